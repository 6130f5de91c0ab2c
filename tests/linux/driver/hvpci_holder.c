// SPDX-License-Identifier: GPL-2.0
/*
 * Holds a PCI function for as long as a test likes, as a debugger or another driver may, without being its driver, and uses config
 * blocks of it from there.
 *
 * /sys/kernel/debug/hvpci-holder takes:
 *	hold DOMAIN:BUS:DEV.FN		takes a reference to the function
 *	release				gives it back
 *	read BLOCK			reads a config block of it; sleeps as long as that does
 *	listen, deaf			hears of changed blocks, or no longer
 *	walk				remembers the entries of its root bus's lists of windows, as somebody who walks them does
 *	drop				has hvpci take the last of its windows off both lists, as when its engine gives one back
 * and shows: held=NAME vendor=0xN heard=N; after `walk`, before heard: windows=N entries=N lost=N, of both lists the entries that show
 * a memory window, all of them, and those remembered that are not linked any more.
 */
#define pr_fmt(fmt) "holder: " fmt
#include <linux/debugfs.h>
#include <linux/hyperv.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* For the pointer alone: who reads a block keeps a reference of its own meanwhile. */
static DEFINE_MUTEX(lock);
static struct pci_dev *held;
#define MOST_ENTRIES 32
/* never looked into: they may be gone */
static const void *walked[MOST_ENTRIES];
static unsigned int walked_entries;
static struct dentry *file;
static atomic_t heard;

static void changed(void *context, u64 mask)
{
	atomic_inc(&heard);
	pr_info("%s: blocks %#llx invalidated\n", pci_name(context), mask);
}

static int read_block(struct pci_dev *device, unsigned int block)
{
	int (*read)(struct pci_dev *, void *, unsigned int, unsigned int, unsigned int *);
	unsigned int bytes = 0;
	char buffer[128];
	int error;

	read = symbol_get(hyperv_read_cfg_blk);
	if (!read)
		return -ENOENT;
	error = read(device, buffer, sizeof(buffer), block, &bytes);
	symbol_put(hyperv_read_cfg_blk);
	pr_info("%s: block %u: %d, %u bytes\n", pci_name(device), block, error, bytes);
	return error;
}

static int listen(struct pci_dev *device, bool on)
{
	int (*watch)(struct pci_dev *, void *, void (*)(void *, u64));
	int error;

	watch = symbol_get(hyperv_reg_block_invalidate);
	if (!watch)
		return -ENOENT;
	error = watch(device, on ? device : NULL, on ? changed : NULL);
	symbol_put(hyperv_reg_block_invalidate);
	return error;
}

struct walk {
	const void *entries[MOST_ENTRIES];
	unsigned int count, windows;
};

static void step(struct walk *walk, const void *entry, const struct resource *resource)
{
	if (walk->count < MOST_ENTRIES)
		walk->entries[walk->count++] = entry;
	if (resource && resource_type(resource) == IORESOURCE_MEM)
		walk->windows++;
}

/* Both lists. The lock keeps hvpci from changing them meanwhile. */
static void walk_windows(struct pci_dev *device, struct walk *walk)
{
	struct pci_host_bridge *bridge;
	struct resource_entry *entry;
	struct pci_bus_resource *of_bus;
	struct pci_bus *root = device->bus;

	pci_lock_rescan_remove();
	while (root->parent)
		root = root->parent;
	bridge = to_pci_host_bridge(root->bridge);
	resource_list_for_each_entry(entry, &bridge->windows)
		step(walk, entry, entry->res);
	list_for_each_entry(of_bus, &root->resources, list)
		step(walk, of_bus, of_bus->res);
	pci_unlock_rescan_remove();
}

static int remember(struct pci_dev *device)
{
	struct walk walk = { };

	walk_windows(device, &walk);
	if (walk.count == MOST_ENTRIES)
		return -ENOSPC;
	mutex_lock(&lock);
	memcpy(walked, walk.entries, sizeof(walked));
	walked_entries = walk.count;
	mutex_unlock(&lock);
	return 0;
}

/* hvpci_bridge_drop_window, found by a probe that is taken away again. */
static int drop(struct pci_dev *device)
{
	struct pci_host_bridge *bridge = to_pci_host_bridge(device->bus->bridge);
	struct kprobe probe = { .symbol_name = "hvpci_bridge_drop_window" };
	void (*drop_window)(void *bus, struct resource *window);
	struct resource *window = NULL;
	struct resource_entry *entry;
	int error;

	pci_lock_rescan_remove();
	resource_list_for_each_entry(entry, &bridge->windows) {
		if (resource_type(entry->res) == IORESOURCE_MEM)
			window = entry->res;
	}
	pci_unlock_rescan_remove();
	error = window ? register_kprobe(&probe) : -ENOENT;
	if (error)
		return error;
	drop_window = (void *)probe.addr;
	unregister_kprobe(&probe);
	drop_window(dev_get_drvdata(bridge->dev.parent), window);
	return 0;
}

/* How many of the remembered entries are not linked. */
static unsigned int lost(const struct walk *walk)
{
	unsigned int old, new, count = 0;

	mutex_lock(&lock);
	for (old = 0; old < walked_entries; old++) {
		for (new = 0; new < walk->count && walk->entries[new] != walked[old]; new++)
			;
		count += new == walk->count;
	}
	mutex_unlock(&lock);
	return count;
}

/* The function held, with a reference more. */
static struct pci_dev *get_held(void)
{
	struct pci_dev *device;

	mutex_lock(&lock);
	device = pci_dev_get(held);
	mutex_unlock(&lock);
	return device;
}

static int hold(struct pci_dev *device)
{
	mutex_lock(&lock);
	swap(held, device);
	walked_entries = 0;
	mutex_unlock(&lock);
	pci_dev_put(device);
	return 0;
}

static int run(const char *text)
{
	unsigned int domain, bus, slot, function, block;
	struct pci_dev *device;
	int error = -EINVAL;

	if (sscanf(text, "hold %x:%x:%x.%x", &domain, &bus, &slot, &function) == 4) {
		device = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
		return device ? hold(device) : -ENODEV;
	}
	if (!strcmp(text, "release"))
		return hold(NULL);
	device = get_held();
	if (!device)
		return -ENODEV;
	if (sscanf(text, "read %u", &block) == 1)
		error = read_block(device, block);
	else if (!strcmp(text, "listen"))
		error = listen(device, true);
	else if (!strcmp(text, "deaf"))
		error = listen(device, false);
	else if (!strcmp(text, "walk"))
		error = remember(device);
	else if (!strcmp(text, "drop"))
		error = drop(device);
	pci_dev_put(device);
	return error;
}

static ssize_t holder_write(struct file *file, const char __user *from, size_t count, loff_t *position)
{
	char text[64];
	int error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = 0;
	error = run(strim(text));
	return error ?: count;
}

static int holder_show(struct seq_file *out, void *unused)
{
	struct pci_dev *device = get_held();
	struct walk walk = { };
	u32 vendor = 0;

	if (!device) {
		seq_printf(out, "held=none heard=%d\n", atomic_read(&heard));
		return 0;
	}
	/* by the bus, past the PCI core's own knowledge of what is gone */
	pci_bus_read_config_dword(device->bus, device->devfn, PCI_VENDOR_ID, &vendor);
	seq_printf(out, "held=%s vendor=%#x ", pci_name(device), vendor);
	/* only where a test wants it: once the bridge is gone its windows are, too */
	if (READ_ONCE(walked_entries)) {
		walk_windows(device, &walk);
		seq_printf(out, "windows=%u entries=%u lost=%u ", walk.windows, walk.count, lost(&walk));
	}
	seq_printf(out, "heard=%d\n", atomic_read(&heard));
	pci_dev_put(device);
	return 0;
}

static int holder_open(struct inode *inode, struct file *file)
{
	return single_open(file, holder_show, NULL);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE, .open = holder_open, .read = seq_read, .write = holder_write, .llseek = seq_lseek,
	.release = single_release,
};

static int __init holder_init(void)
{
	file = debugfs_create_file("hvpci-holder", 0600, NULL, NULL, &operations);
	return 0;
}

static void __exit holder_exit(void)
{
	debugfs_remove(file);
	hold(NULL);
}

module_init(holder_init);
module_exit(holder_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Holds a PCI function, for tests of hvpci");
