// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The PCI host bridge of a bus, and the functions on it.
 *
 * A bridge lives from the first function shown to the last one taken away. It is registered without windows, and those that
 * the engine holds join it before a function is shown (add_windows): the first ones, and the one that a function added later
 * needs. Windows that a bridge is registered with the PCI core makes one of where they lie side by side: it would change
 * ranges that vmbus gave us one by one and takes back so.
 */
#include <linux/module.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "hvpci.h"

/* Private part of the host bridge: lives as long as anybody holds a function of it. */
struct hvpci_bridge {
	struct pci_sysdata sysdata;
	struct hvpci_bus __rcu *bus;	/* NULL once the bridge is being taken away */
	struct resource numbers;
};

static atomic_t live_bridges = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(bridges_gone);

static struct hvpci_bridge *bridge_of(struct pci_bus *bus)
{
	return container_of(to_pci_sysdata(bus), struct hvpci_bridge, sysdata);
}

/* ---- config space ---- */

static int hvpci_config_read(struct pci_bus *pci, unsigned int devfn, int where, int size, u32 *value)
{
	struct hvpci_bus *bus;

	*value = U32_MAX;
	rcu_read_lock();
	bus = rcu_dereference(bridge_of(pci)->bus);
	if (bus && !pci->parent && devfn < 256 && test_bit(devfn, bus->shown))
		*value = hvpci_rs_config_read(bus->rust, devfn, where, size);
	rcu_read_unlock();
	return PCIBIOS_SUCCESSFUL;
}

static int hvpci_config_write(struct pci_bus *pci, unsigned int devfn, int where, int size, u32 value)
{
	struct hvpci_bus *bus;
	u64 begin, took;

	rcu_read_lock();
	bus = rcu_dereference(bridge_of(pci)->bus);
	if (bus && !pci->parent && devfn < 256 && test_bit(devfn, bus->shown)) {
		begin = ktime_get_ns();
		hvpci_rs_config_write(bus->rust, devfn, where, size, value);
		took = ktime_get_ns() - begin;
		if (took > READ_ONCE(bus->longest_write_ns))
			WRITE_ONCE(bus->longest_write_ns, took);
	}
	rcu_read_unlock();
	return PCIBIOS_SUCCESSFUL;
}

struct pci_ops hvpci_pci_ops = {
	.read = hvpci_config_read,
	.write = hvpci_config_write,
};

bool hvpci_pci_owns(struct pci_dev *pdev)
{
	return pdev->bus->ops == &hvpci_pci_ops;
}

/* The bus of a function, or NULL when it isn't ours. The caller holds something that keeps the function bound to it. */
struct hvpci_bus *hvpci_bus_of(struct pci_dev *pdev)
{
	if (!hvpci_pci_owns(pdev) || pdev->bus->parent)
		return NULL;
	return rcu_dereference_protected(bridge_of(pdev->bus)->bus, 1);
}

/* ---- function drivers coming and going ---- */

static int pci_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct hvpci_bus *bus;

	if (event != BUS_NOTIFY_BIND_DRIVER && event != BUS_NOTIFY_UNBOUND_DRIVER && event != BUS_NOTIFY_DRIVER_NOT_BOUND)
		return NOTIFY_DONE;
	bus = hvpci_bus_of(pdev);
	if (bus)
		hvpci_rs_bound(bus->rust, pdev->devfn, event == BUS_NOTIFY_BIND_DRIVER);
	return NOTIFY_DONE;
}

static struct notifier_block pci_events = { .notifier_call = pci_event };

/* ---- the bridge ---- */

static void bridge_released(struct pci_host_bridge *bridge)
{
	if (atomic_dec_and_test(&live_bridges))
		wake_up_all(&bridges_gone);
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
			pci_free_host_bridge(bridge);
	}
	put_device(&bridge->dev);
	return err;
}

/* The rescan lock is held. */
static int bridge_create(struct hvpci_bus *bus, const struct hvpci_function *function)
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
	pci_add_resource(&bridge->windows, &own->numbers);
	bridge->dev.parent = &bus->device->device;
	bridge->sysdata = &own->sysdata;
	bridge->ops = &hvpci_pci_ops;
	bridge->release_fn = bridge_released;
	atomic_inc(&live_bridges);
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
static void bridge_destroy(struct hvpci_bus *bus)
{
	struct pci_host_bridge *bridge = bus->bridge;
	struct hvpci_bridge *own;

	if (!bridge)
		return;
	own = pci_host_bridge_priv(bridge);
	bus->bridge = NULL;
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	/* Whoever holds a function longer than it lives gets all ones from now on. */
	RCU_INIT_POINTER(own->bus, NULL);
	synchronize_rcu();
	own->sysdata.fwnode = NULL;
	pci_free_host_bridge(bridge);
	hvpci_irq_domain_remove(bus);
	hvpci_domain_put(bus->domain);
	bus->domain = 0;
}

void hvpci_bridge_remove(struct hvpci_bus *bus)
{
	pci_lock_rescan_remove();
	bridge_destroy(bus);
	pci_unlock_rescan_remove();
}

bool hvpci_bridge_uses(struct hvpci_bus *bus, struct resource *resource)
{
	struct resource_entry *window;
	bool uses = false;

	pci_lock_rescan_remove();
	if (bus->bridge) {
		resource_list_for_each_entry(window, &bus->bridge->windows) {
			if (window->res == resource)
				uses = true;
		}
	}
	pci_unlock_rescan_remove();
	return uses;
}

static bool bridge_has(struct pci_bus *root, struct resource *resource)
{
	struct pci_bus_resource *window;

	list_for_each_entry(window, &root->resources, list) {
		if (window->res == resource)
			return true;
	}
	return false;
}

/*
 * Gives the bridge the windows it lacks. What pci_bus_add_resource would do if it were exported, with the public list that
 * pci_bus_for_each_resource walks; the PCI core frees the entries with the bus. The rescan lock is held: nobody looks for
 * room for a BAR meanwhile. The new entry is complete before it is linked, at the end.
 */
static int add_windows(struct hvpci_bus *bus)
{
	struct pci_bus *root = bus->bridge->bus;
	struct pci_bus_resource *window;
	struct hvpci_range *range;
	int err = 0;

	mutex_lock(&bus->ranges_lock);
	list_for_each_entry(range, &bus->ranges, node) {
		if (bridge_has(root, range->resource))
			continue;
		window = kzalloc(sizeof(*window), GFP_KERNEL);
		if (!window) {
			err = -ENOMEM;
			break;
		}
		window->res = range->resource;
		pci_add_resource(&bus->bridge->windows, range->resource);
		list_add_tail_rcu(&window->list, &root->resources);
		dev_info(&root->dev, "root bus resource %pR\n", range->resource);
	}
	mutex_unlock(&bus->ranges_lock);
	return err;
}

/* ---- functions ---- */

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

static void set_node(struct pci_dev *pdev, s32 node)
{
	if (node >= 0 && node < MAX_NUMNODES && node_online(node))
		set_dev_node(&pdev->dev, node);
}

int hvpci_shim_publish(struct hvpci_bus *bus, const struct hvpci_function *function)
{
	u32 devfn = function->devfn;
	struct pci_dev *pdev;
	int err;

	if (devfn >= 256)
		return -EINVAL;
	hvpci_block_check();
	pci_lock_rescan_remove();
	err = bus->bridge ? 0 : bridge_create(bus, function);
	if (!err)
		err = add_windows(bus);
	if (err)
		goto out;
	set_bit(devfn, bus->shown);
	pdev = pci_scan_single_device(bus->bridge->bus, devfn);
	if (!pdev) {
		clear_bit(devfn, bus->shown);
		err = -ENODEV;
		goto out;
	}
	set_node(pdev, function->numa_node);
	name_slot(bus, pdev, function->serial);
	claim_bars(pdev);
	pci_bus_add_device(pdev);
out:
	if (err && bus->bridge && bitmap_empty(bus->shown, 256))
		bridge_destroy(bus);
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
	clear_bit(devfn, bus->shown);
	if (bus->slots[devfn])
		pci_destroy_slot(bus->slots[devfn]);
	bus->slots[devfn] = NULL;
	if (bitmap_empty(bus->shown, 256))
		bridge_destroy(bus);
	pci_unlock_rescan_remove();
}

/* ---- module ---- */

int hvpci_pci_init(void)
{
	return bus_register_notifier(&pci_bus_type, &pci_events);
}

void hvpci_pci_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &pci_events);
	/* A function that somebody still holds would call into code that is gone. */
	if (!wait_event_timeout(bridges_gone, !atomic_read(&live_bridges), 10 * HZ))
		pr_err("hvpci: %d removed PCI buses are still held by somebody\n", atomic_read(&live_bridges));
	/* The releasing call returns into the PCI core, not into us, but its last instructions are ours. */
	synchronize_rcu();
}
