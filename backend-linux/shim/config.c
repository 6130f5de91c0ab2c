// SPDX-License-Identifier: MIT OR GPL-2.0
/* Config space of the functions on our bridges, and word of the functions and drivers that come and go. */
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>

#include "hvpci.h"

static int hvpci_config_read(struct pci_bus *pci, unsigned int devfn, int where, int size, u32 *value)
{
	struct hvpci_bus *bus;

	*value = U32_MAX;
	rcu_read_lock();
	bus = rcu_dereference(hvpci_bridge_of(pci)->bus);
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
	bus = rcu_dereference(hvpci_bridge_of(pci)->bus);
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
	return rcu_dereference_protected(hvpci_bridge_of(pdev->bus)->bus, 1);
}

/* ---- functions added, their drivers coming and going ---- */

static int pci_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct hvpci_bus *bus;

	if (event != BUS_NOTIFY_ADD_DEVICE && event != BUS_NOTIFY_BIND_DRIVER && event != BUS_NOTIFY_UNBOUND_DRIVER &&
	    event != BUS_NOTIFY_DRIVER_NOT_BOUND)
		return NOTIFY_DONE;
	bus = hvpci_bus_of(pdev);
	if (!bus)
		return NOTIFY_DONE;
	/* Here, because a function that somebody took away in sysfs is found again by a rescan, without us. */
	if (event == BUS_NOTIFY_ADD_DEVICE)
		set_dev_node(&pdev->dev, bus->nodes[pdev->devfn]);
	else
		hvpci_rs_bound(bus->rust, pdev->devfn, event == BUS_NOTIFY_BIND_DRIVER);
	return NOTIFY_DONE;
}

static struct notifier_block pci_events = { .notifier_call = pci_event };

int hvpci_config_init(void)
{
	return bus_register_notifier(&pci_bus_type, &pci_events);
}

void hvpci_config_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &pci_events);
}
