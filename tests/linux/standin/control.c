// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/hvpci-standin: `control` takes one command per write, `state` shows what the host knows.
 *
 *	go				the host offers its buses (returns when all probes have returned)
 *	fire BUS SLOT MESSAGE		a device sends one of its MSI-X or MSI messages
 *	crash BUS, boot BUS		the kernel dies with the bus open; the next one is offered it
 *	pm PHASE COMMAND[;COMMAND]	at freeze, thaw, poweroff or restore; without commands: nothing any more
 *	at BUS STEP COMMAND[;COMMAND]	at a step of the bus: rust/src/armed.rs
 *	plant KIND			a mistake on purpose (seeded.c, rust/src/seeded.rs)
 *	everything else			rust/src/command.rs
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/apic.h>
#include "standin.h"

static struct dentry *directory;

/*
 * A device sends a message. An MSI-X table is read from the memory behind the BAR, as the guest wrote it; the host then says whether
 * that message is one it made and whom it reaches; and it arrives as it does on a machine: as a fixed interrupt with that vector at
 * that processor's local APIC. The guest's own vector table decides whose handler runs.
 */
static int fire(u32 number, u32 slot, u32 message)
{
	u32 entries, vector = 0, processor = 0, at;
	unsigned long flags;
	u64 address = 0;
	u32 __iomem *table = NULL;
	int error = 0;

	spin_lock_irqsave(&standin_lock, flags);
	entries = standin_msix_table(standin_host, number, slot, &address);
	spin_unlock_irqrestore(&standin_lock, flags);
	if (entries && !address)
		return -ENXIO;
	if (entries) {
		table = ioremap(address, entries * 16);
		if (!table)
			return -ENOMEM;
	}
	spin_lock_irqsave(&standin_lock, flags);
	for (at = 0; at < entries * 4 && !error; at++)
		if (!standin_memory_write(standin_host, standin_now(), address + at * 4, readl(table + at)))
			error = -EFAULT;
	if (!error)
		error = standin_deliver(standin_host, number, slot, message, &vector, &processor);
	spin_unlock_irqrestore(&standin_lock, flags);
	if (table)
		iounmap(table);
	if (error)
		return error;
	if (vector < 0x20 || vector > 0xff || processor >= nr_cpu_ids || !cpu_online(processor))
		return -ERANGE;
	preempt_disable();
	apic->send_IPI(processor, vector);
	preempt_enable();
	return 0;
}

int standin_run(const char *text)
{
	unsigned long flags;
	int error;

	spin_lock_irqsave(&standin_lock, flags);
	error = standin_command(standin_host, standin_now(), text, strlen(text));
	spin_unlock_irqrestore(&standin_lock, flags);
	standin_poll();
	return error;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *position)
{
	u32 bus, slot, message;
	char text[120], phase[12];
	int error, length = 0;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = 0;
	strim(text);
	if (!strcmp(text, "go")) {
		standin_go();
		error = 0;
	} else if (sscanf(text, "fire %u %u %u", &bus, &slot, &message) == 3) {
		error = fire(bus, slot, message);
	} else if (sscanf(text, "crash %u", &bus) == 1) {
		error = standin_kernel_dies(bus);
	} else if (sscanf(text, "boot %u", &bus) == 1) {
		error = standin_kernel_boots(bus);
	} else if (sscanf(text, "pm %11s%n", phase, &length) == 1) {
		error = standin_pm_arm(phase, skip_spaces(text + length));
	} else if (sscanf(text, "deny %u", &bus) == 1) {
		standin_deny(bus);
		error = 0;
	} else if (!strncmp(text, "plant ", 6)) {
		error = standin_plant(text + 6);
	} else {
		error = standin_run(text);
	}
	return error ?: count;
}

static const struct file_operations control_operations = { .owner = THIS_MODULE, .write = control_write };

static ssize_t state_read(struct file *file, char __user *to, size_t count, loff_t *position)
{
	char held[160];
	unsigned long flags;
	size_t length, more;
	ssize_t done;
	void *text;

	/* a fresh text per read: readers take it in one go */
	spin_lock_irqsave(&standin_lock, flags);
	text = standin_state(standin_host, standin_now(), &length);
	spin_unlock_irqrestore(&standin_lock, flags);
	more = scnprintf(held, sizeof(held), "mmio held=%u\n", standin_mmio_held());
	more += standin_pm_state(held + more, sizeof(held) - more);
	if (*position < more)
		done = simple_read_from_buffer(to, count, position, held, more);
	else {
		loff_t inner = *position - more;

		done = simple_read_from_buffer(to, count, &inner, text, length);
		*position = inner + more;
	}
	spin_lock_irqsave(&standin_lock, flags);
	standin_text_delete(text, length);
	spin_unlock_irqrestore(&standin_lock, flags);
	return done;
}

static const struct file_operations state_operations = { .owner = THIS_MODULE, .read = state_read,
							 .llseek = default_llseek };

int standin_control_init(void)
{
	int error;

	directory = debugfs_create_dir("hvpci-standin", NULL);
	debugfs_create_file("control", 0200, directory, NULL, &control_operations);
	debugfs_create_file("state", 0400, directory, NULL, &state_operations);
	error = standin_window_init(directory, standin_mmio_small());
	if (error)
		debugfs_remove_recursive(directory);
	return error;
}

void standin_control_exit(void)
{
	standin_window_exit();
	debugfs_remove_recursive(directory);
}
