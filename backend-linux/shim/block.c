// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Config blocks: the way in which a driver (mlx5) talks to the host's side of its function.
 *
 * The kernel has one global set of pointers for this, hvpci_block_ops, and pci-hyperv's functions take any pci_dev for one
 * of theirs. So ours look at the device's bus first and hand foreign ones to whoever was there before. pci-hyperv overwrites
 * the pointers when it is loaded, without looking: its load is noticed, and undone afterwards; while one of our functions
 * is shown, it is refused, because there is a moment in between. (A function that comes up while pci-hyperv is being loaded
 * has that moment.)
 *
 * A call that is handed on returns through this module, and may sleep in the other driver for as long as its host likes: it has
 * a pin (pins.c).
 */
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "hvpci.h"

static struct hyperv_pci_block_ops previous;
static DEFINE_MUTEX(chain_lock);
/* Functions of ours that are shown. */
static atomic_t shown = ATOMIC_INIT(0);

static int foreign_read(struct pci_dev *pdev, void *buffer, unsigned int length, unsigned int block, unsigned int *returned)
{
	bool pin = hvpci_pin();
	int err = previous.read_block ? previous.read_block(pdev, buffer, length, block, returned) : -EOPNOTSUPP;

	hvpci_unpin(pin);
	return err;
}

static int foreign_write(struct pci_dev *pdev, void *buffer, unsigned int length, unsigned int block)
{
	bool pin = hvpci_pin();
	int err = previous.write_block ? previous.write_block(pdev, buffer, length, block) : -EOPNOTSUPP;

	hvpci_unpin(pin);
	return err;
}

static int foreign_register(struct pci_dev *pdev, void *context, void (*changed)(void *context, u64 mask))
{
	bool pin = hvpci_pin();
	int err = previous.reg_blk_invalidate ? previous.reg_blk_invalidate(pdev, context, changed) : -EOPNOTSUPP;

	hvpci_unpin(pin);
	return err;
}

static int read_block(struct pci_dev *pdev, void *buffer, unsigned int length, unsigned int block, unsigned int *returned)
{
	struct hvpci_bus *bus = hvpci_bus_of(pdev);

	if (!hvpci_pci_owns(pdev))
		return foreign_read(pdev, buffer, length, block, returned);
	/* ours, but its bus has gone: whoever was there before would take it for its own */
	if (!bus)
		return -ENODEV;
	return hvpci_rs_block_read(bus->rust, pdev->devfn, block, buffer, length, returned);
}

static int write_block(struct pci_dev *pdev, void *buffer, unsigned int length, unsigned int block)
{
	struct hvpci_bus *bus = hvpci_bus_of(pdev);

	if (!hvpci_pci_owns(pdev))
		return foreign_write(pdev, buffer, length, block);
	/* ours, but its bus has gone: whoever was there before would take it for its own */
	if (!bus)
		return -ENODEV;
	return hvpci_rs_block_write(bus->rust, pdev->devfn, block, buffer, length);
}

static int register_invalidate(struct pci_dev *pdev, void *context, void (*changed)(void *context, u64 mask))
{
	struct hvpci_bus *bus = hvpci_bus_of(pdev);
	struct hvpci_listener *listeners;
	unsigned long flags;

	if (!hvpci_pci_owns(pdev))
		return foreign_register(pdev, context, changed);
	/* ours, but its bus has gone: whoever was there before would take it for its own */
	if (!bus)
		return -ENODEV;
	if (!READ_ONCE(bus->listeners)) {
		listeners = kcalloc(256, sizeof(*listeners), GFP_KERNEL);
		if (!listeners)
			return -ENOMEM;
		spin_lock_irqsave(&bus->listeners_lock, flags);
		if (!bus->listeners)
			swap(bus->listeners, listeners);
		spin_unlock_irqrestore(&bus->listeners_lock, flags);
		kfree(listeners);
	}
	spin_lock_irqsave(&bus->listeners_lock, flags);
	bus->listeners[pdev->devfn].changed = changed;
	bus->listeners[pdev->devfn].context = context;
	spin_unlock_irqrestore(&bus->listeners_lock, flags);
	return 0;
}

/* The function is gone, and its driver with it. */
void hvpci_block_forget(struct hvpci_bus *bus, unsigned int devfn)
{
	unsigned long flags;

	spin_lock_irqsave(&bus->listeners_lock, flags);
	if (bus->listeners)
		bus->listeners[devfn] = (struct hvpci_listener){ };
	spin_unlock_irqrestore(&bus->listeners_lock, flags);
}

/* From the pump. The lock is held over the call, so that whoever unregisters is not called afterwards. */
void hvpci_shim_blocks_changed(struct hvpci_bus *bus, u32 devfn, u64 mask)
{
	struct hvpci_listener *listener;
	unsigned long flags;

	spin_lock_irqsave(&bus->listeners_lock, flags);
	listener = bus->listeners && devfn < 256 ? &bus->listeners[devfn] : NULL;
	if (listener && listener->changed)
		listener->changed(listener->context, mask);
	spin_unlock_irqrestore(&bus->listeners_lock, flags);
}

/* ---- the chain ---- */

static bool chained(void)
{
	return hvpci_block_ops.read_block == read_block && hvpci_block_ops.write_block == write_block &&
	       hvpci_block_ops.reg_blk_invalidate == register_invalidate;
}

/* Puts our functions in front of those that are there. */
static void check(void)
{
	mutex_lock(&chain_lock);
	if (!chained()) {
		previous = hvpci_block_ops;
		hvpci_block_ops.read_block = read_block;
		hvpci_block_ops.write_block = write_block;
		hvpci_block_ops.reg_blk_invalidate = register_invalidate;
	}
	mutex_unlock(&chain_lock);
}

void hvpci_block_hold(void)
{
	atomic_inc(&shown);
	/* A load from here on is refused; this sees those before. */
	check();
}

void hvpci_block_release(void)
{
	atomic_dec(&shown);
}

static int module_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct module *module = data;

	if (strcmp(module->name, "pci_hyperv"))
		return NOTIFY_DONE;
	if (event == MODULE_STATE_COMING && atomic_read(&shown)) {
		pr_err("hvpci: pci-hyperv can't be loaded now: hvpci has functions in use, whose config blocks pci-hyperv would take over. Load pci-hyperv before hvpci.\n");
		return notifier_from_errno(-EBUSY);
	}
	/* Loaded: it has overwritten the pointers. Unloaded: it has cleared them. */
	if (event == MODULE_STATE_LIVE || event == MODULE_STATE_GOING)
		check();
	return NOTIFY_DONE;
}

static struct notifier_block module_events = { .notifier_call = module_event };

int hvpci_block_init(void)
{
	int err = register_module_notifier(&module_events);

	if (!err)
		check();
	return err;
}

void hvpci_block_exit(void)
{
	unregister_module_notifier(&module_events);
	mutex_lock(&chain_lock);
	if (chained())
		hvpci_block_ops = previous;
	mutex_unlock(&chain_lock);
}
