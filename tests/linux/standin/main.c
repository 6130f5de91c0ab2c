// SPDX-License-Identifier: GPL-2.0
/*
 * The stand-in's life: parameters, the host, offers and rescinds.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "standin.h"

static uint buses = 1, functions = 1, bar_gb = 128, map_ms, parallel = 1, trap_us, message_us, highest_minor;
static int node = -1;
static bool leftover, twins;
static char *device = "gpu";
module_param(buses, uint, 0444);
MODULE_PARM_DESC(buses, "how many vPCI buses the host offers");
module_param(functions, uint, 0444);
MODULE_PARM_DESC(functions, "functions on each bus");
module_param(bar_gb, uint, 0444);
MODULE_PARM_DESC(bar_gb, "size of a GPU's BAR in GiB");
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "gpu, nvme, mix, soft (a GPU that D3hot resets), or msi (a GPU without MSI-X)");
module_param(leftover, bool, 0444);
MODULE_PARM_DESC(leftover, "memory decode and BARs as a previous kernel left them");
module_param(twins, bool, 0444);
MODULE_PARM_DESC(twins, "all buses ask for the same PCI domain");
module_param(node, int, 0444);
MODULE_PARM_DESC(node, "virtual NUMA node of all functions; -1: none");
module_param(map_ms, uint, 0444);
MODULE_PARM_DESC(map_ms, "milliseconds to map 128 GiB");
module_param(parallel, uint, 0444);
MODULE_PARM_DESC(parallel, "maps that run at once");
module_param(trap_us, uint, 0444);
MODULE_PARM_DESC(trap_us, "microseconds of a config access");
module_param(message_us, uint, 0444);
MODULE_PARM_DESC(message_us, "microseconds of a message round trip");
module_param(highest_minor, uint, 0444);
MODULE_PARM_DESC(highest_minor, "highest protocol version 1.x the host accepts; 0: all");

#define MOST_BUSES 64

struct standin *standin_host;
DEFINE_SPINLOCK(standin_lock);
#ifdef CONFIG_LOCKDEP
static struct lock_class_key standin_lock_key;
#endif
/* buses by number; written by the offer and rescind workers only, read under standin_lock */
static struct standin_bus *offered[MOST_BUSES];
static bool going;
/* a bus is there from its offer until its rescind is done: the next offer of the same instance waits for that */
static bool present[MOST_BUSES];
static DECLARE_WAIT_QUEUE_HEAD(changed);
/* VMBus handles primary offers one after the other, and rescinds on a queue of their own */
static struct workqueue_struct *offers, *rescinds;

struct offer {
	struct work_struct work;
	u32 bus;
};

u64 standin_now(void)
{
	return ktime_get_ns();
}

void *standin_alloc(size_t size, size_t align)
{
	gfp_t flags = in_atomic() || irqs_disabled() ? GFP_ATOMIC : GFP_KERNEL;

	/* kmalloc aligns naturally for powers of two only */
	if (align > ARCH_KMALLOC_MINALIGN)
		size = roundup_pow_of_two(max(size, align));
	/* the host's memory is not the guest's: FAILSLAB, which is meant for the guest, leaves this alone */
	if (size <= PAGE_SIZE)
		flags |= __GFP_NOFAIL;
	return kmalloc(size, flags);
}

void standin_free(void *memory)
{
	kfree(memory);
}

void standin_panic(const char *text, size_t length)
{
	pr_emerg("Rust panic: %.*s\n", (int)length, text);
}

static void offer_work(struct work_struct *work)
{
	struct offer *offer = container_of(work, struct offer, work);
	u32 number = offer->bus;

	kfree(offer);
	wait_event(changed, !READ_ONCE(present[number]));
	WRITE_ONCE(present[number], true);
	if (standin_bus_offer(number))
		WRITE_ONCE(present[number], false);
	wake_up_all(&changed);
}

static void rescind_work(struct work_struct *work)
{
	struct standin_bus *bus = container_of(work, struct standin_bus, rescind);
	u32 number = bus->number;
	unsigned long flags;

	/* as VMBus does: the driver's probe ends before its remove begins */
	wait_event(changed, READ_ONCE(bus->channel.probe_done));
	spin_lock_irqsave(&standin_lock, flags);
	if (offered[number] == bus)
		offered[number] = NULL;
	spin_unlock_irqrestore(&standin_lock, flags);
	standin_bus_withdraw(bus);
	WRITE_ONCE(present[number], false);
	wake_up_all(&changed);
}

int standin_bus_known(struct standin_bus *bus, bool known)
{
	unsigned long flags;
	int error = 0;

	if (known)
		INIT_WORK(&bus->rescind, rescind_work);
	spin_lock_irqsave(&standin_lock, flags);
	/* a rescind that came before this moment found no bus to take away */
	if (known && !standin_is_offered(standin_host, bus->number))
		error = -ENODEV;
	else
		offered[bus->number] = known ? bus : NULL;
	spin_unlock_irqrestore(&standin_lock, flags);
	return error;
}

static int queue_offer(u32 number)
{
	struct offer *offer = standin_alloc(sizeof(*offer), __alignof__(*offer));

	if (!offer)
		return -ENOMEM;
	offer->bus = number;
	INIT_WORK(&offer->work, offer_work);
	queue_work(offers, &offer->work);
	return 0;
}

int standin_kernel_dies(u32 number)
{
	struct standin_bus *bus;
	unsigned long flags;
	char text[20];
	int error = -ENODEV;

	if (number >= MOST_BUSES)
		return -EINVAL;
	snprintf(text, sizeof(text), "crash %u", number);
	spin_lock_irqsave(&standin_lock, flags);
	bus = offered[number];
	if (bus)
		error = standin_command(standin_host, standin_now(), text, strlen(text));
	if (!error) {
		bus->open = false;
		WRITE_ONCE(bus->channel.rescind, true);
		queue_work(rescinds, &bus->rescind);
	}
	spin_unlock_irqrestore(&standin_lock, flags);
	if (!error)
		wait_event(changed, !READ_ONCE(present[number]));
	return error;
}

int standin_kernel_boots(u32 number)
{
	return number < MOST_BUSES ? queue_offer(number) : -EINVAL;
}

void standin_poll(void)
{
	unsigned long flags;
	u32 number = 0;
	int kind, i;

	if (!READ_ONCE(going))
		return;
	for (;;) {
		spin_lock_irqsave(&standin_lock, flags);
		kind = standin_event(standin_host, &number);
		if (kind == 2 && number < MOST_BUSES && offered[number]) {
			WRITE_ONCE(offered[number]->channel.rescind, true);
			queue_work(rescinds, &offered[number]->rescind);
		}
		spin_unlock_irqrestore(&standin_lock, flags);
		if (!kind)
			break;
		if (kind == 1 && number < MOST_BUSES)
			queue_offer(number);
	}
	spin_lock_irqsave(&standin_lock, flags);
	for (i = 0; i < MOST_BUSES; i++) {
		u64 due;

		/* only what is due now: the timers see to the rest */
		if (offered[i] && offered[i]->open && standin_next_due(standin_host, i, &due))
			hrtimer_start(&offered[i]->timer, ns_to_ktime(due), HRTIMER_MODE_ABS);
	}
	spin_unlock_irqrestore(&standin_lock, flags);
}

static void poll_work(struct irq_work *work)
{
	standin_poll();
}
static DEFINE_IRQ_WORK(poll, poll_work);

void standin_poll_soon(void)
{
	irq_work_queue(&poll);
}

void standin_go(void)
{
	unsigned long flags;

	spin_lock_irqsave(&standin_lock, flags);
	standin_started(standin_host, standin_now());
	spin_unlock_irqrestore(&standin_lock, flags);
	WRITE_ONCE(going, true);
	standin_poll();
	flush_workqueue(offers);
}

static int __init standin_init(void)
{
	struct standin_scene scene = {
		.buses = min(buses, (uint)MOST_BUSES), .functions = functions, .bar_gb = bar_gb,
		.device = !strcmp(device, "nvme") ? 1 : !strcmp(device, "mix") ? 2 :
			  !strcmp(device, "soft") ? 3 : !strcmp(device, "msi") ? 4 : 0,
		.leftover = leftover, .map_ms = map_ms, .parallel = parallel, .trap_us = trap_us,
		.message_us = message_us, .highest_minor = highest_minor, .twins = twins, .node = node + 1,
	};
	int error;

#ifdef CONFIG_LOCKDEP
	/*
	 * What the host does is not done by the guest: its lock may be taken where the guest holds raw spinlocks, and it
	 * allocates under it (PROVE_RAW_LOCK_NESTING).
	 */
	lockdep_init_map_type(&standin_lock.dep_map, "standin_lock", &standin_lock_key, 0, LD_WAIT_CONFIG, LD_WAIT_SPIN,
			      LD_LOCK_WAIT_OVERRIDE);
#endif
	standin_host = standin_new(&scene);
	offers = alloc_ordered_workqueue("standin_offers", 0);
	rescinds = alloc_ordered_workqueue("standin_rescinds", 0);
	error = -ENOMEM;
	if (!standin_host || !offers || !rescinds)
		goto no_memory;
	error = standin_mmio_init();
	if (error)
		goto no_memory;
	error = standin_hypercall_init();
	if (error)
		goto no_hypercall;
	error = standin_bus_init();
	if (error)
		goto no_bus;
	error = standin_control_init();
	if (error)
		goto no_control;
	pr_info("ready: %u buses, %u functions each\n", scene.buses, scene.functions);
	return 0;

no_control:
	standin_bus_exit();
no_bus:
	standin_hypercall_exit();
no_hypercall:
	standin_mmio_exit();
no_memory:
	if (rescinds)
		destroy_workqueue(rescinds);
	if (offers)
		destroy_workqueue(offers);
	if (standin_host)
		standin_delete(standin_host);
	return error;
}

static void __exit standin_exit(void)
{
	int i;

	standin_control_exit();
	WRITE_ONCE(going, false);
	flush_workqueue(offers);
	for (i = 0; i < MOST_BUSES; i++)
		if (offered[i])
			queue_work(rescinds, &offered[i]->rescind);
	destroy_workqueue(rescinds);
	destroy_workqueue(offers);
	standin_bus_exit();
	standin_hypercall_exit();
	standin_power_exit();
	irq_work_sync(&poll);
	standin_mmio_exit();
	standin_delete(standin_host);
}

module_init(standin_init);
module_exit(standin_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stand-in for hv_vmbus with a mock vPCI host inside, for tests");
