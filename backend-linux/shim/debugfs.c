// SPDX-License-Identifier: MIT OR GPL-2.0
/* debugfs: hvpci/<guid>/ledger and hvpci/<guid>/status. */
#include <linux/debugfs.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "hvpci.h"

#define HVPCI_STATUS_BYTES 1024

static struct dentry *root;

static void show_ledger(struct seq_file *file, const char *name, const struct hvpci_ledger *ledger)
{
	seq_printf(file, "%-8s %6llu %6llu %11llu %8llu %8llu %12llu %15llu %15llu %10llu %17llu %11llu\n", name, ledger->maps,
		   ledger->unmaps, ledger->host_unmaps, ledger->traps, ledger->messages, ledger->reads_served,
		   ledger->writes_absorbed, ledger->refused_enables, ledger->stale_bars, ledger->wasted_prefetches,
		   div_u64(ledger->host_map_ns, 1000));
}

static int ledger_show(struct seq_file *file, void *unused)
{
	struct hvpci_bus *bus = file->private;
	struct hvpci_ledger ledger;
	char name[16];
	u32 devfn;

	seq_printf(file, "%-8s %6s %6s %11s %8s %8s %12s %15s %15s %10s %17s %11s\n", "function", "maps", "unmaps",
		   "host_unmaps", "traps", "messages", "reads_served", "writes_absorbed", "refused_enables", "stale_bars",
		   "wasted_prefetches", "host_map_us");
	for (devfn = 0; devfn < 256; devfn++) {
		if (!hvpci_rs_ledger(bus->rust, devfn, &ledger))
			continue;
		snprintf(name, sizeof(name), "%02x.%u", PCI_SLOT(devfn), PCI_FUNC(devfn));
		show_ledger(file, name, &ledger);
	}
	hvpci_rs_total(bus->rust, &ledger);
	show_ledger(file, "total", &ledger);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ledger);

static int status_show(struct seq_file *file, void *unused)
{
	struct hvpci_bus *bus = file->private;
	u8 *text = kmalloc(HVPCI_STATUS_BYTES, GFP_KERNEL);
	size_t length;

	if (!text)
		return -ENOMEM;
	length = hvpci_rs_describe(bus->rust, text, HVPCI_STATUS_BYTES);
	seq_write(file, text, length);
	kfree(text);
	seq_printf(file, "PCI domain: %04x\n", bus->domain);
	seq_printf(file, "config window: %#llx by %s\n", bus->window_address, bus->window_calls ? "hypercall" : "MMIO");
	seq_printf(file, "interrupts: %d\n", atomic_read(&bus->msi_count));
	seq_printf(file, "longest config write: %llu us\n", div_u64(READ_ONCE(bus->longest_write_ns), 1000));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

static int allocations_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", hvpci_live_allocations());
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(allocations);

void hvpci_debugfs_init(void)
{
	root = debugfs_create_dir("hvpci", NULL);
	debugfs_create_file("allocations", 0400, root, NULL, &allocations_fops);
}

void hvpci_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}

void hvpci_debugfs_add(struct hvpci_bus *bus)
{
	char name[UUID_STRING_LEN + 1];

	snprintf(name, sizeof(name), "%pUl", &bus->device->dev_instance);
	bus->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("ledger", 0400, bus->debugfs, bus, &ledger_fops);
	debugfs_create_file("status", 0400, bus->debugfs, bus, &status_fops);
}

void hvpci_debugfs_remove(struct hvpci_bus *bus)
{
	debugfs_remove_recursive(bus->debugfs);
}
