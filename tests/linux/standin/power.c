// SPDX-License-Identifier: GPL-2.0
/*
 * Sleep: the callbacks of VMBus's devices, and what happens to the host and its devices meanwhile.
 *
 * VMBus hands hibernation on to its drivers, in the phase without interrupts, and keeps suspend-to-idle from them: a freeze or
 * a power-off is the driver's suspend, a thaw or a restore its resume. A driver without a suspend stops the hibernation.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include "standin.h"

enum phase { FREEZE, THAW, POWEROFF, RESTORE, PHASES };
static const char *const names[PHASES] = { "freeze", "thaw", "poweroff", "restore" };

/* Commands by phase; userspace is frozen when they are run. */
#define ARMED_BYTES 100
static char armed[PHASES][ARMED_BYTES];

static unsigned int suspends, resumes, errors;
static u64 longest_ns;

int standin_pm_arm(const char *phase, const char *commands)
{
	int at = match_string(names, PHASES, phase);

	if (at < 0 || strlen(commands) >= ARMED_BYTES)
		return -EINVAL;
	strscpy(armed[at], commands, ARMED_BYTES);
	return 0;
}

/* Once, when the first device of the phase is reached. */
static void run_armed(enum phase phase)
{
	char text[ARMED_BYTES], *rest = text, *command;

	strscpy(text, armed[phase], sizeof(text));
	armed[phase][0] = 0;
	while ((command = strsep(&rest, ";"))) {
		command = strim(command);
		if (*command)
			pr_info("at %s: %s: %d\n", names[phase], command, standin_run(command));
	}
}

static struct hv_driver *driver_of(struct device *device)
{
	return device->driver ? container_of(device->driver, struct hv_driver, driver) : NULL;
}

static int call(struct device *device, enum phase phase, int (*callback)(struct hv_device *), unsigned int *count)
{
	struct standin_bus *bus = to_standin_bus(container_of(device, struct hv_device, device));
	u64 begin = ktime_get_ns(), took;
	int error;

	error = callback ? callback(&bus->device) : -EOPNOTSUPP;
	took = ktime_get_ns() - begin;
	longest_ns = max(longest_ns, took);
	(*count)++;
	if (error)
		errors++;
	pr_info("bus %u: %s: %d after %llu us\n", bus->number, names[phase], error, div_u64(took, 1000));
	return error;
}

static int go_down(struct device *device, enum phase phase)
{
	struct hv_driver *driver;

	run_armed(phase);
	driver = driver_of(device);
	return driver ? call(device, phase, driver->suspend, &suspends) : 0;
}

static int come_up(struct device *device, enum phase phase)
{
	struct hv_driver *driver;

	run_armed(phase);
	driver = driver_of(device);
	return driver ? call(device, phase, driver->resume, &resumes) : 0;
}

static int standin_freeze(struct device *device)
{
	return go_down(device, FREEZE);
}

static int standin_thaw(struct device *device)
{
	return come_up(device, THAW);
}

static int standin_poweroff(struct device *device)
{
	return go_down(device, POWEROFF);
}

static int standin_restore(struct device *device)
{
	return come_up(device, RESTORE);
}

const struct dev_pm_ops standin_pm_ops = {
	.freeze_noirq = standin_freeze,
	.thaw_noirq = standin_thaw,
	.poweroff_noirq = standin_poweroff,
	.restore_noirq = standin_restore,
};

int standin_pm_state(char *text, size_t length)
{
	return scnprintf(text, length, "power suspends=%u resumes=%u errors=%u longest_ms=%llu\n", suspends, resumes, errors,
			 div_u64(longest_ns, 1000000));
}

/*
 * What a device keeps behind its BAR is lost when it is reset. The memory that stands for it is not, so it gets the reset state
 * of an MSI-X table here: no messages, all masked. A guest that resets a function sleeps afterwards, and this runs meanwhile.
 */
void standin_wipe(void)
{
	unsigned long flags;
	u32 __iomem *table;
	u32 entries, at;
	u64 address;
	bool more;

	for (;;) {
		spin_lock_irqsave(&standin_lock, flags);
		more = standin_next_wipe(standin_host, &address, &entries);
		spin_unlock_irqrestore(&standin_lock, flags);
		if (!more)
			return;
		table = ioremap(address, entries * 16);
		if (!table)
			continue;
		for (at = 0; at < entries * 4; at++)
			writel(at % 4 == 3, table + at);
		iounmap(table);
	}
}

static void wipe_work(struct work_struct *work)
{
	standin_wipe();
}
static DECLARE_WORK(wipe, wipe_work);

void standin_wipe_soon(void)
{
	queue_work(system_highpri_wq, &wipe);
}

void standin_power_exit(void)
{
	flush_work(&wipe);
}
