// SPDX-License-Identifier: MIT OR GPL-2.0
/* Functions are shown to the PCI core, and taken away from it. */
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/pci.h>

#include "hvpci.h"

/* The engine has placed the BARs; the PCI core takes them where they are. Anything left it places itself. */
static void claim_bars(struct pci_dev *pdev)
{
	bool left = false;
	int bar;

	for (bar = 0; bar < PCI_NUM_RESOURCES; bar++) {
		struct resource *resource = &pdev->resource[bar];

		if (!resource->flags || resource->parent || bar >= PCI_BRIDGE_RESOURCES)
			continue;
		if (!(resource->flags & IORESOURCE_UNSET) && resource->start && !pci_claim_resource(pdev, bar))
			continue;
		left = true;
	}
	if (left)
		pci_bus_assign_resources(pdev->bus);
}

static void name_slot(struct hvpci_bus *bus, struct pci_dev *pdev, u32 serial)
{
	struct pci_slot *slot;
	char name[12];

	snprintf(name, sizeof(name), "%u", serial);
	slot = pci_create_slot(pdev->bus, PCI_SLOT(pdev->devfn), name, NULL);
	if (IS_ERR(slot))
		pci_warn(pdev, "slot %s could not be named: %ld\n", name, PTR_ERR(slot));
	else
		bus->slots[pdev->devfn] = slot;
}

/*
 * The host names a node of its own numbering, which the kernel may not have, or not use: then it is the nearest one that is
 * used. Where the host names none it is the first, as in the kernel's own driver: without any, work is spread over all nodes.
 */
static int usable_node(s32 node)
{
	if (node < 0 || node >= MAX_NUMNODES || !node_possible(node))
		node = 0;
	return numa_map_to_online_node(node);
}

int hvpci_shim_publish(struct hvpci_bus *bus, const struct hvpci_function *function)
{
	u32 devfn = function->devfn;
	struct pci_dev *pdev;
	int err;

	if (devfn >= 256)
		return -EINVAL;
	hvpci_block_hold();
	pci_lock_rescan_remove();
	err = bus->bridge ? 0 : hvpci_bridge_create(bus, function);
	if (!err)
		err = hvpci_bridge_add_windows(bus, function);
	if (err)
		goto out;
	bus->nodes[devfn] = usable_node(function->numa_node);
	set_bit(devfn, bus->shown);
	pdev = pci_scan_single_device(bus->bridge->bus, devfn);
	if (!pdev) {
		clear_bit(devfn, bus->shown);
		err = -ENODEV;
		goto out;
	}
	name_slot(bus, pdev, function->serial);
	claim_bars(pdev);
	pci_bus_add_device(pdev);
out:
	if (err)
		hvpci_block_release();
	if (err && bus->bridge && bitmap_empty(bus->shown, 256))
		hvpci_bridge_destroy(bus);
	pci_unlock_rescan_remove();
	return err;
}

void hvpci_shim_unpublish(struct hvpci_bus *bus, u32 devfn, bool surprise)
{
	struct pci_dev *pdev;

	if (devfn >= 256)
		return;
	pci_lock_rescan_remove();
	pdev = bus->bridge ? pci_get_slot(bus->bridge->bus, devfn) : NULL;
	if (pdev) {
		/* Drivers ask for this before they wait for hardware that is gone. */
		if (surprise)
			pdev->error_state = pci_channel_io_perm_failure;
		pci_stop_and_remove_bus_device(pdev);
		pci_dev_put(pdev);
	}
	hvpci_block_forget(bus, devfn);
	hvpci_irq_forget(bus, devfn);
	if (test_and_clear_bit(devfn, bus->shown))
		hvpci_block_release();
	if (bus->slots[devfn])
		pci_destroy_slot(bus->slots[devfn]);
	bus->slots[devfn] = NULL;
	if (bitmap_empty(bus->shown, 256))
		hvpci_bridge_destroy(bus);
	pci_unlock_rescan_remove();
}
