// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The PCI host bridge of a bus.
 *
 * A bridge lives from the first function shown to the last one taken away. It is registered without windows; one joins it when
 * a function is shown that lies in it (hvpci_bridge_add_windows). Windows that a bridge is registered with the PCI core makes one
 * of where they lie side by side: it would change ranges that vmbus gave us one by one and takes back so.
 *
 * Who holds a function, or its bus, holds the bridge, and may read config space: that has the module's code called. While the bus
 * is in use the vmbus driver sees to it that the module stays. After that a bridge that somebody still holds has a pin (pins.c).
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "hvpci.h"

static void bridge_released(struct pci_host_bridge *bridge)
{
	struct hvpci_bridge *own = pci_host_bridge_priv(bridge);

	hvpci_unpin(own->pin);
}

/*
 * Gives back our reference to a bridge that nobody finds any more. Whoever holds it longer gets all ones from now on. When ours is
 * the last reference there will be no other one.
 */
static void let_go(struct pci_host_bridge *bridge)
{
	struct hvpci_bridge *own = pci_host_bridge_priv(bridge);

	RCU_INIT_POINTER(own->bus, NULL);
	synchronize_rcu();
	own->sysdata.fwnode = NULL;
	if (kref_read(&bridge->dev.kobj.kref) > 1) {
		own->pin = hvpci_pin();
		bridge->release_fn = bridge_released;
	}
	pci_free_host_bridge(bridge);
}

/*
 * Registering a bridge takes its windows off it, and loses them when it fails after that: they are still linked to each other,
 * on a list whose head is gone.
 */
static void free_lost_windows(struct pci_host_bridge *bridge, struct resource_entry *first, unsigned int count)
{
	struct resource_entry *next;

	if (!list_empty(&bridge->windows))
		return;
	while (count--) {
		next = list_next_entry(first, node);
		resource_list_free_entry(first);
		first = next;
	}
}

/* Registers the bridge and its root bus. On failure the bridge is gone. */
static int bridge_register(struct pci_host_bridge *bridge)
{
	struct resource_entry *window, *first = NULL;
	unsigned int count = 0;
	int err;

	resource_list_for_each_entry(window, &bridge->windows) {
		if (!count++)
			first = window;
	}
	get_device(&bridge->dev);
	/* Finds nothing: functions are shown one at a time. */
	err = pci_scan_root_bus_bridge(bridge);
	if (err) {
		free_lost_windows(bridge, first, count);
		/* Where the bus can't be registered the PCI core lets go of our reference itself; elsewhere it doesn't. */
		if (kref_read(&bridge->dev.kobj.kref) > 1)
			put_device(&bridge->dev);
		let_go(bridge);
		return err;
	}
	put_device(&bridge->dev);
	return 0;
}

/* The rescan lock is held. */
int hvpci_bridge_create(struct hvpci_bus *bus, const struct hvpci_function *function)
{
	struct pci_host_bridge *bridge;
	struct hvpci_bridge *own;
	int err;

	bus->domain = hvpci_domain_get(function->preferred_domain);
	if (!bus->domain)
		return -ENOSPC;
	if (function->preferred_domain && bus->domain != function->preferred_domain)
		dev_warn(&bus->device->device, "PCI domain %04x is taken, using %04x\n", function->preferred_domain,
			 bus->domain);
	err = hvpci_irq_domain_create(bus);
	if (err)
		goto no_irqs;
	bridge = pci_alloc_host_bridge(sizeof(*own));
	if (!bridge) {
		err = -ENOMEM;
		goto no_bridge;
	}
	own = pci_host_bridge_priv(bridge);
	own->sysdata.domain = bus->domain;
	own->sysdata.node = NUMA_NO_NODE;
	own->sysdata.fwnode = bus->fwnode;
	RCU_INIT_POINTER(own->bus, bus);
	own->numbers = (struct resource) {
		.name = "hvpci bus numbers",
		.start = 0,
		.end = 0xff,
		.flags = IORESOURCE_BUS,
	};
	own->nothing = (struct resource) { .name = "hvpci no window", .flags = IORESOURCE_UNSET };
	pci_add_resource(&bridge->windows, &own->numbers);
	bridge->dev.parent = &bus->device->device;
	bridge->sysdata = &own->sysdata;
	bridge->ops = &hvpci_pci_ops;
	err = bridge_register(bridge);
	if (err)
		goto no_bridge;
	bus->bridge = bridge;
	return 0;

no_bridge:
	hvpci_irq_domain_remove(bus);
no_irqs:
	hvpci_domain_put(bus->domain);
	bus->domain = 0;
	return err;
}

/* The rescan lock is held, and no function is shown. */
void hvpci_bridge_destroy(struct hvpci_bus *bus)
{
	struct pci_host_bridge *bridge = bus->bridge;

	if (!bridge)
		return;
	bus->bridge = NULL;
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	let_go(bridge);
	hvpci_irq_domain_remove(bus);
	hvpci_domain_put(bus->domain);
	bus->domain = 0;
}

/*
 * The bridge's entry for a resource on either list, or NULL. With own->nothing: one to use again.
 *
 * Drivers walk both lists without a lock (pci_bus_address, pci_bus_for_each_resource), so an entry stays linked, and lives as
 * long as the bus or the bridge. What has lost its window shows own->nothing, which no walker finds anything in. (One that has
 * just read the pointer still looks at a resource that vmbus is about to free: no lock of ours keeps it.)
 */
static struct pci_bus_resource *root_entry(struct pci_bus *root, const struct resource *resource)
{
	struct pci_bus_resource *entry;

	list_for_each_entry(entry, &root->resources, list) {
		if (entry->res == resource)
			return entry;
	}
	return NULL;
}

static struct resource_entry *bridge_entry(struct pci_host_bridge *bridge, const struct resource *resource)
{
	struct resource_entry *entry;

	resource_list_for_each_entry(entry, &bridge->windows) {
		if (entry->res == resource)
			return entry;
	}
	return NULL;
}

/* Has both lists show a window. The rescan lock is held. */
static int show_window(struct pci_host_bridge *bridge, struct resource *resource)
{
	struct hvpci_bridge *own = pci_host_bridge_priv(bridge);
	struct resource_entry *in_bridge = bridge_entry(bridge, &own->nothing);
	struct pci_bus_resource *in_root = root_entry(bridge->bus, &own->nothing);

	if (!in_root) {
		in_root = kzalloc(sizeof(*in_root), GFP_KERNEL);
		if (!in_root)
			return -ENOMEM;
		in_root->res = &own->nothing;
		list_add_tail_rcu(&in_root->list, &bridge->bus->resources);
	}
	if (!in_bridge) {
		in_bridge = resource_list_create_entry(&own->nothing, 0);
		if (!in_bridge)
			return -ENOMEM;
		list_add_tail_rcu(&in_bridge->node, &bridge->windows);
	}
	WRITE_ONCE(in_bridge->res, resource);
	WRITE_ONCE(in_root->res, resource);
	return 0;
}

/* Whether a BAR of the function lies in a window. */
static bool lies_in(const struct hvpci_function *function, const struct resource *window)
{
	int bar;

	for (bar = 0; bar < ARRAY_SIZE(function->size); bar++) {
		if (function->size[bar] && function->address[bar] >= window->start && function->address[bar] <= window->end)
			return true;
	}
	return false;
}

/*
 * Gives the bridge the windows that a function lies in. What pci_bus_add_resource would do if it were exported, with the public
 * list that pci_bus_for_each_resource walks; the PCI core frees the entries with the bus. The rescan lock is held: nobody looks
 * for room for a BAR meanwhile. A new entry is complete before it is linked, at the end.
 */
int hvpci_bridge_add_windows(struct hvpci_bus *bus, const struct hvpci_function *function)
{
	struct pci_bus *root = bus->bridge->bus;
	struct hvpci_range *range;
	int err = 0;

	mutex_lock(&bus->ranges_lock);
	list_for_each_entry(range, &bus->ranges, node) {
		if (!lies_in(function, range->resource) || root_entry(root, range->resource))
			continue;
		err = show_window(bus->bridge, range->resource);
		if (err)
			break;
		dev_info(&root->dev, "root bus resource %pR\n", range->resource);
	}
	mutex_unlock(&bus->ranges_lock);
	return err;
}

/* Takes a window off the bridge, if it has it: the engine gives it back, so no function lies in it. Sleepable. */
void hvpci_bridge_drop_window(struct hvpci_bus *bus, struct resource *resource)
{
	struct resource_entry *in_bridge;
	struct pci_bus_resource *in_root;
	struct hvpci_bridge *own;

	pci_lock_rescan_remove();
	if (bus->bridge) {
		own = pci_host_bridge_priv(bus->bridge);
		in_root = root_entry(bus->bridge->bus, resource);
		if (in_root)
			WRITE_ONCE(in_root->res, &own->nothing);
		in_bridge = bridge_entry(bus->bridge, resource);
		if (in_bridge)
			WRITE_ONCE(in_bridge->res, &own->nothing);
	}
	pci_unlock_rescan_remove();
}
