// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Pins: what keeps the module's code while somebody else may still come back to it.
 *
 * A PCI bus that was taken away and is still held, and a call that we handed on to another driver, end when others let them
 * end. Each has a pin meanwhile: a reference to the module, so that rmmod says that it is in use. While the module is being
 * unloaded there are no references to be had, and no way back. So pins are counted as well, and the unload waits for them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "hvpci.h"

/* How long an unload waits before it says for what. */
#define HVPCI_PATIENCE (10 * HZ)

/* With and without a reference. */
static atomic_t pins = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(unpinned);

/* Any context. Returns what hvpci_unpin wants to know: whether there is a reference. */
bool hvpci_pin(void)
{
	bool referenced = try_module_get(THIS_MODULE);

	atomic_inc(&pins);
	return referenced;
}

/* Any context. */
void hvpci_unpin(bool referenced)
{
	if (atomic_dec_and_test(&pins))
		wake_up_all(&unpinned);
	if (referenced)
		module_put(THIS_MODULE);
}

/*
 * The last thing of an unload, or of a load that fails: nothing leads into the module any more, but some may be inside. It
 * waits for as long as they are: going on would have them return to memory that is somebody else's.
 */
void hvpci_pins_wait(void)
{
	bool told = false;

	/* Whoever found the way in before it was closed has a pin by now, or is out again. */
	synchronize_rcu_tasks();
	while (!wait_event_timeout(unpinned, !atomic_read(&pins), HVPCI_PATIENCE)) {
		if (!told)
			pr_warn("%d removed PCI buses, or config block calls of other drivers, are still held: the module is unloaded when they end\n",
				atomic_read(&pins));
		told = true;
	}
	/* The pins are gone, but the last instructions of who had them are ours. */
	synchronize_rcu_tasks();
}
