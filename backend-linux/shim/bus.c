// SPDX-License-Identifier: MIT OR GPL-2.0
/* A vmbus device and its workers, from probe to remove. */
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/version.h>

#include "hvpci.h"

/* How often a wait looks for a rescinded channel, of which nobody tells us before remove. */
#define HVPCI_TICK_MS 100

/* ---- workers ---- */

static void run(struct hvpci_bus *bus, enum hvpci_worker worker, struct workqueue_struct *queue, struct delayed_work *work,
		u64 (*step)(void *rust))
{
	unsigned int scope = 0;
	u64 next;

	if (READ_ONCE(bus->over[worker]))
		return;
	/* A disk may hang on this bus: the pump must not wait for memory through it. The publisher runs drivers' probes. */
	if (worker == HVPCI_PUMP)
		scope = memalloc_noio_save();
	WRITE_ONCE(bus->reserve[worker].task, current);
	next = step(bus->rust);
	WRITE_ONCE(bus->reserve[worker].task, NULL);
	if (worker == HVPCI_PUMP)
		memalloc_noio_restore(scope);
	if (next == HVPCI_OVER)
		WRITE_ONCE(bus->over[worker], true);
	else if (next != HVPCI_IDLE)
		queue_delayed_work(queue, work, nsecs_to_jiffies(next) + 1);
	hvpci_bus_wake_waiters(bus);
}

static void pump_work(struct work_struct *work)
{
	struct hvpci_bus *bus = container_of(to_delayed_work(work), struct hvpci_bus, pump);

	run(bus, HVPCI_PUMP, hvpci_pump_queue, &bus->pump, hvpci_rs_pump);
}

static void publisher_work(struct work_struct *work)
{
	struct hvpci_bus *bus = container_of(to_delayed_work(work), struct hvpci_bus, publisher);

	run(bus, HVPCI_PUBLISHER, hvpci_publish_queue, &bus->publisher, hvpci_rs_publisher);
}

/* Waking a wait queue takes a sleeping lock on some kernels: not from where packets arrive. */
static void notifier_work(struct work_struct *work)
{
	hvpci_bus_wake_waiters(container_of(work, struct hvpci_bus, notifier));
}

void hvpci_bus_wake_waiters(struct hvpci_bus *bus)
{
	wake_up_all(&bus->waiters);
}

/* A worker that wakes itself looks at its flag before it waits: queueing it again would only run it for nothing. */
static bool is_running(struct hvpci_bus *bus, enum hvpci_worker worker)
{
	return in_task() && READ_ONCE(bus->reserve[worker].task) == current;
}

void hvpci_shim_wake(struct hvpci_bus *bus, bool publisher)
{
	atomic_inc(&bus->wakes);
	if (!is_running(bus, HVPCI_PUMP))
		mod_delayed_work(hvpci_pump_queue, &bus->pump, 0);
	if (publisher && !is_running(bus, HVPCI_PUBLISHER))
		mod_delayed_work(hvpci_publish_queue, &bus->publisher, 0);
	if (wq_has_sleeper(&bus->waiters))
		queue_work(hvpci_pump_queue, &bus->notifier);
}

u32 hvpci_shim_wakes(struct hvpci_bus *bus)
{
	return atomic_read(&bus->wakes);
}

void hvpci_shim_wait(struct hvpci_bus *bus, u32 seen, u32 milliseconds)
{
	wait_event_timeout(bus->waiters, (u32)atomic_read(&bus->wakes) != seen, msecs_to_jiffies(milliseconds));
}

/* Waits for both workers to end. They do: the engine has a deadline for everything it asks the host. */
static void wait_until_over(struct hvpci_bus *bus)
{
	bool told = false;

	while (!READ_ONCE(bus->over[HVPCI_PUMP]) || !READ_ONCE(bus->over[HVPCI_PUBLISHER])) {
		if (!told && hvpci_shim_rescinded(bus)) {
			told = true;
			hvpci_rs_rescinded(bus->rust);
		}
		wait_event_timeout(bus->waiters,
				   READ_ONCE(bus->over[HVPCI_PUMP]) && READ_ONCE(bus->over[HVPCI_PUBLISHER]),
				   msecs_to_jiffies(HVPCI_TICK_MS));
	}
}

/* Waits for the bus to leave state 1 (see hvpci_rs_state), which its deadlines make it do. */
static int wait_until_settled(struct hvpci_bus *bus)
{
	bool told = false;

	while (hvpci_rs_state(bus->rust) == 1) {
		if (!told && hvpci_shim_rescinded(bus)) {
			told = true;
			hvpci_rs_rescinded(bus->rust);
		}
		wait_event_timeout(bus->waiters, hvpci_rs_state(bus->rust) != 1, msecs_to_jiffies(HVPCI_TICK_MS));
	}
	return hvpci_rs_state(bus->rust);
}

/* ---- vmbus ---- */

/*
 * The bus of a device, kept from being freed until put_bus. vmbus calls suspend and resume without the device's lock, and a
 * rescind removes the device at any time, in the middle of either.
 */
static DEFINE_SPINLOCK(users_lock);

static struct hvpci_bus *get_bus(struct hv_device *device)
{
	struct hvpci_bus *bus;

	spin_lock(&users_lock);
	bus = hv_get_drvdata(device);
	if (bus)
		bus->users++;
	spin_unlock(&users_lock);
	return bus;
}

static void put_bus(struct hvpci_bus *bus)
{
	spin_lock(&users_lock);
	bus->users--;
	wake_up_all(&bus->waiters);
	spin_unlock(&users_lock);
}

static bool unused(struct hvpci_bus *bus)
{
	bool unused;

	/* the lock: put_bus is through with the bus as well */
	spin_lock(&users_lock);
	unused = !bus->users;
	spin_unlock(&users_lock);
	return unused;
}

static void bus_free(struct hvpci_bus *bus)
{
	if (bus->rust)
		hvpci_rs_free(bus->rust);
	hvpci_reserve_remove(&bus->reserve[HVPCI_PUMP]);
	hvpci_reserve_remove(&bus->reserve[HVPCI_PUBLISHER]);
	kfree(bus->listeners);
	kfree(bus->packet);
	kfree(bus);
}

/* Only starts the bus: what follows happens on the workers, so buses come up side by side. */
static int hvpci_probe(struct hv_device *device, const struct hv_vmbus_device_id *id)
{
	struct hvpci_bus *bus = kzalloc(sizeof(*bus), GFP_KERNEL);

	if (!bus)
		return -ENOMEM;
	bus->device = device;
	raw_spin_lock_init(&bus->engine_lock);
	raw_spin_lock_init(&bus->config_lock);
	raw_spin_lock_init(&bus->ring_lock);
	raw_spin_lock_init(&bus->msi_lock);
	spin_lock_init(&bus->listeners_lock);
	mutex_init(&bus->ranges_lock);
	INIT_LIST_HEAD(&bus->ranges);
	INIT_LIST_HEAD(&bus->msis);
	INIT_DELAYED_WORK(&bus->pump, pump_work);
	INIT_DELAYED_WORK(&bus->publisher, publisher_work);
	INIT_WORK(&bus->notifier, notifier_work);
	init_waitqueue_head(&bus->waiters);
	ratelimit_state_init(&bus->ratelimit, 5 * HZ, 50);
	/* One of every function of a full bus, and a few more. */
	ratelimit_state_init(&bus->error_ratelimit, 5 * HZ, 300);
	bus->packet = kmalloc(HVPCI_MAX_PACKET, GFP_KERNEL);
	if (!bus->packet || !hvpci_reserve_add(&bus->reserve[HVPCI_PUMP]) ||
	    !hvpci_reserve_add(&bus->reserve[HVPCI_PUBLISHER]))
		goto no_memory;
	bus->rust = hvpci_rs_new(bus, (const u8 *)&device->dev_instance);
	if (!bus->rust)
		goto no_memory;
	hv_set_drvdata(device, bus);
	hvpci_debugfs_add(bus);
	hvpci_rs_start(bus->rust);
	return 0;

no_memory:
	bus_free(bus);
	return -ENOMEM;
}

static void hvpci_take_down(struct hv_device *device)
{
	struct hvpci_bus *bus = hv_get_drvdata(device);

	if (hvpci_shim_rescinded(bus))
		hvpci_rs_rescinded(bus->rust);
	hvpci_rs_stop(bus->rust);
	wait_until_over(bus);
	hvpci_debugfs_remove(bus);
	/* First nobody finds the bus any more: a suspend or resume that still has it may queue the workers once more. */
	spin_lock(&users_lock);
	hv_set_drvdata(device, NULL);
	spin_unlock(&users_lock);
	wait_event(bus->waiters, unused(bus));
	/* The engine has closed the channel and given back everything; nothing calls in any more. */
	cancel_delayed_work_sync(&bus->pump);
	cancel_delayed_work_sync(&bus->publisher);
	cancel_work_sync(&bus->notifier);
	bus_free(bus);
}

static int stop_one(struct device *device, void *unused)
{
	struct hvpci_bus *bus;

	/* Probe and remove hold it: the bus is all there, or not there. */
	device_lock(device);
	bus = dev_get_drvdata(device);
	if (bus)
		hvpci_rs_stop(bus->rust);
	device_unlock(device);
	return 0;
}

void hvpci_bus_stop_all(void)
{
	if (driver_for_each_device(&hvpci_driver.driver, NULL, NULL, stop_one))
		pr_warn("hvpci: not every bus was told to stop\n");
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
static void hvpci_remove(struct hv_device *device)
{
	hvpci_take_down(device);
}
#else
static int hvpci_remove(struct hv_device *device)
{
	hvpci_take_down(device);
	return 0;
}
#endif

static int hvpci_suspend(struct hv_device *device)
{
	struct hvpci_bus *bus = get_bus(device);

	if (!bus)
		return 0;
	hvpci_rs_suspend(bus->rust);
	wait_until_settled(bus);
	put_bus(bus);
	return 0;
}

static int hvpci_resume(struct hv_device *device)
{
	struct hvpci_bus *bus = get_bus(device);
	int state;

	if (!bus)
		return -ENODEV;
	hvpci_rs_resume(bus->rust);
	state = wait_until_settled(bus);
	put_bus(bus);
	return state == 3 ? -EIO : 0;
}

/* No id: nothing is bound unless somebody asks, by driver_override or new_id. */
static const struct hv_vmbus_device_id no_ids[] = { { } };

struct hv_driver hvpci_driver = {
	.name = KBUILD_MODNAME,
	.id_table = no_ids,
	.probe = hvpci_probe,
	.remove = hvpci_remove,
	.suspend = hvpci_suspend,
	.resume = hvpci_resume,
	.driver = {
		.probe_type = PROBE_PREFER_ASYNCHRONOUS,
	},
};
