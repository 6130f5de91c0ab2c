// SPDX-License-Identifier: GPL-2.0
/*
 * Takes memory away from hvpci's Rust code on a kernel without FAILSLAB, several times in a row if need be.
 *
 * /sys/kernel/debug/hvpci-scarce takes "N COUNT": from the Nth allocation on, COUNT of them fail; and shows: seen=N failed=N, since
 * then. Only those by hvpci_shim_alloc and hvpci_shim_alloc_future are counted, what the kernel allocates for hvpci is not.
 */
#define pr_fmt(fmt) "scarce: " fmt
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

static unsigned int first, count;
static atomic_t seen, failed;
static struct dentry *file;

/* Called by hvpci? Its C files allocate what has a fixed size, by other functions. */
static int entered(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	char name[KSYM_SYMBOL_LEN];

	if (!READ_ONCE(count))
		return 1;
	sprint_symbol(name, *(unsigned long *)kernel_stack_pointer(regs));
	return !strstr(name, "[hvpci]");
}

static int returned(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	unsigned int nth = atomic_inc_return(&seen);

	if (nth < READ_ONCE(first) || nth - READ_ONCE(first) >= READ_ONCE(count))
		return 0;
	kvfree((void *)regs_return_value(regs));
	regs_set_return_value(regs, 0);
	atomic_inc(&failed);
	return 0;
}

/* What allocates up to a page, and more. 6.10 gave both other names. */
static struct kretprobe probes[] = {
	{ .entry_handler = entered, .handler = returned },
	{ .entry_handler = entered, .handler = returned },
};
static const char *const names[ARRAY_SIZE(probes)][2] = {
	{ "__kmalloc_noprof", "__kmalloc" },
	{ "__kvmalloc_node_noprof", "kvmalloc_node" },
};

static int scarce_show(struct seq_file *out, void *unused)
{
	seq_printf(out, "seen=%d failed=%d\n", atomic_read(&seen), atomic_read(&failed));
	return 0;
}

static int scarce_open(struct inode *inode, struct file *file)
{
	return single_open(file, scarce_show, NULL);
}

static ssize_t scarce_write(struct file *file, const char __user *from, size_t bytes, loff_t *position)
{
	unsigned int at, times;
	char text[32];

	if (bytes >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, bytes))
		return -EFAULT;
	text[bytes] = 0;
	if (sscanf(text, "%u %u", &at, &times) != 2)
		return -EINVAL;
	WRITE_ONCE(count, 0);
	WRITE_ONCE(first, at);
	atomic_set(&seen, 0);
	atomic_set(&failed, 0);
	WRITE_ONCE(count, times);
	return bytes;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE, .open = scarce_open, .read = seq_read, .write = scarce_write, .llseek = seq_lseek,
	.release = single_release,
};

static int plant(struct kretprobe *probe, const char *const names[2])
{
	int error = -ENOENT, at;

	for (at = 0; at < 2 && error; at++) {
		probe->kp.addr = NULL;
		probe->kp.flags = 0;
		probe->kp.symbol_name = names[at];
		error = register_kretprobe(probe);
	}
	if (error)
		pr_err("no probe on %s: %d\n", names[0], error);
	return error;
}

static int __init scarce_init(void)
{
	int error = plant(&probes[0], names[0]);

	if (error)
		return error;
	error = plant(&probes[1], names[1]);
	if (error) {
		unregister_kretprobe(&probes[0]);
		return error;
	}
	file = debugfs_create_file("hvpci-scarce", 0600, NULL, NULL, &operations);
	return 0;
}

static void __exit scarce_exit(void)
{
	debugfs_remove(file);
	unregister_kretprobe(&probes[1]);
	unregister_kretprobe(&probes[0]);
}

module_init(scarce_init);
module_exit(scarce_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Memory runs out under hvpci's Rust code, for tests");
