// SPDX-License-Identifier: MIT OR GPL-2.0
/* Parameters, loading and unloading, time, locks and messages. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/ktime.h>
#include <linux/module.h>
#include <asm/mshyperv.h>

#include "hvpci.h"

#ifndef HVPCI_VERSION
#error "the Kbuild file sets HVPCI_VERSION"
#endif

static char *policy = "deferred";
module_param(policy, charp, 0444);
MODULE_PARM_DESC(policy, "When the host is told to map a function's BARs: eager, deferred (default), absorbing, prefetch; the last two are refused in isolated VMs");
static char *version = "1.4";
module_param(version, charp, 0444);
MODULE_PARM_DESC(version, "The highest protocol version offered to the host: 1.1 to 1.6 (default 1.4)");
int hvpci_log_level = 2;
module_param_named(log_level, hvpci_log_level, int, 0644);
MODULE_PARM_DESC(log_level, "0 errors, 1 and warnings, 2 and information (default), 3 and every event");
static bool cache = true;
module_param(cache, bool, 0444);
MODULE_PARM_DESC(cache, "Answer reads of constant config registers without the host (default on)");
static ushort max_functions = 256;
module_param(max_functions, ushort, 0444);
MODULE_PARM_DESC(max_functions, "Functions a bus has room for: 1 to 256 (default 256)");
static uint headroom_low_mb;
module_param(headroom_low_mb, uint, 0444);
MODULE_PARM_DESC(headroom_low_mb, "MMIO space below 4 GiB asked for beyond what the first functions need, in MiB (default 0)");
static uint headroom_high_mb;
module_param(headroom_high_mb, uint, 0444);
MODULE_PARM_DESC(headroom_high_mb, "MMIO space above 4 GiB asked for beyond what the first functions need, in MiB (default 0)");
static bool assume_isolated;
module_param(assume_isolated, bool, 0444);
MODULE_PARM_DESC(assume_isolated, "Follow the rules for isolated (confidential) VMs in any VM (default off)");

struct workqueue_struct *hvpci_pump_queue;
struct workqueue_struct *hvpci_publish_queue;

static DEFINE_RAW_SPINLOCK(module_lock);

bool hvpci_is_isolated(void)
{
	return assume_isolated || hv_is_isolation_supported();
}

/* ---- messages ---- */

void hvpci_shim_log(struct hvpci_bus *bus, int level, const u8 *text, size_t length)
{
	int chars = min_t(size_t, length, 512);

	if (level > READ_ONCE(hvpci_log_level))
		return;
	if (!bus) {
		if (level <= 0)
			pr_err("%.*s\n", chars, text);
		else if (level == 1)
			pr_warn("%.*s\n", chars, text);
		else
			pr_info("%.*s\n", chars, text);
		return;
	}
	/* The host decides how often these come; errors have a share of their own, which others cannot use up. */
	if (!__ratelimit(level <= 0 ? &bus->error_ratelimit : &bus->ratelimit))
		return;
	if (level <= 0)
		dev_err(&bus->device->device, "%.*s\n", chars, text);
	else if (level == 1)
		dev_warn(&bus->device->device, "%.*s\n", chars, text);
	else
		dev_info(&bus->device->device, "%.*s\n", chars, text);
}

/* Reports and returns: the Rust side ends the thread with an illegal instruction, which is an oops with a backtrace. */
void hvpci_shim_panic(const u8 *text, size_t length)
{
	pr_emerg("Rust panic: %.*s\n", (int)min_t(size_t, length, 512), text);
}

u64 hvpci_shim_now(void)
{
	return ktime_get_ns();
}

unsigned long hvpci_shim_lock(struct hvpci_bus *bus, u32 lock)
{
	unsigned long flags;

	if (lock == HVPCI_LOCK_ENGINE)
		raw_spin_lock_irqsave(&bus->engine_lock, flags);
	else if (lock == HVPCI_LOCK_CONFIG)
		raw_spin_lock_irqsave(&bus->config_lock, flags);
	else
		raw_spin_lock_irqsave(&module_lock, flags);
	return flags;
}

void hvpci_shim_unlock(struct hvpci_bus *bus, u32 lock, unsigned long flags)
{
	if (lock == HVPCI_LOCK_ENGINE)
		raw_spin_unlock_irqrestore(&bus->engine_lock, flags);
	else if (lock == HVPCI_LOCK_CONFIG)
		raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	else
		raw_spin_unlock_irqrestore(&module_lock, flags);
}

/* ---- loading ---- */

static int __init hvpci_init(void)
{
	const struct hvpci_settings settings = {
		.abi = HVPCI_ABI,
		.size = sizeof(struct hvpci_settings),
		.function_size = sizeof(struct hvpci_function),
		.msi_size = sizeof(struct hvpci_msi),
		.target_size = sizeof(struct hvpci_target),
		.ledger_size = sizeof(struct hvpci_ledger),
		.policy = policy,
		.policy_length = strlen(policy),
		.version = version,
		.version_length = strlen(version),
		.headroom_low = (u64)headroom_low_mb << 20,
		.headroom_high = (u64)headroom_high_mb << 20,
		.log_level = hvpci_log_level,
		.max_functions = max_functions,
		.isolated = hvpci_is_isolated(),
		.cache = cache,
	};
	int err;

	if (!hv_is_hyperv_initialized())
		return -ENODEV;
	err = hvpci_rs_init(&settings);
	if (err)
		return err;
	/* Not ordered as a whole: each work item runs on one CPU at a time, and buses don't wait for each other. */
	hvpci_pump_queue = alloc_workqueue("hvpci_pump", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	hvpci_publish_queue = alloc_workqueue("hvpci_publish", WQ_UNBOUND, 0);
	if (!hvpci_pump_queue || !hvpci_publish_queue) {
		err = -ENOMEM;
		goto queues;
	}
	err = hvpci_config_init();
	if (err)
		goto queues;
	err = hvpci_block_init();
	if (err)
		goto config;
	hvpci_debugfs_init();
	err = vmbus_driver_register(&hvpci_driver);
	if (err)
		goto debugfs;
	pr_info("version %s, policy %s%s\n", HVPCI_VERSION, policy, settings.isolated ? ", isolated VM" : "");
	return 0;

debugfs:
	hvpci_debugfs_exit();
	hvpci_block_exit();
config:
	hvpci_config_exit();
	hvpci_pins_wait();
queues:
	if (hvpci_publish_queue)
		destroy_workqueue(hvpci_publish_queue);
	if (hvpci_pump_queue)
		destroy_workqueue(hvpci_pump_queue);
	return err;
}

static void __exit hvpci_exit(void)
{
	int left;

	/* A host that does not answer D0EXIT costs ten seconds: once, not once for each bus. */
	hvpci_bus_stop_all();
	vmbus_driver_unregister(&hvpci_driver);
	hvpci_block_exit();
	hvpci_config_exit();
	hvpci_debugfs_exit();
	destroy_workqueue(hvpci_publish_queue);
	destroy_workqueue(hvpci_pump_queue);
	hvpci_pins_wait();
	left = hvpci_live_allocations();
	if (left)
		pr_err("%d allocations were not given back\n", left);
	else
		pr_info("unloaded, all memory given back\n");
}

module_init(hvpci_init);
module_exit(hvpci_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_AUTHOR("the hvpci authors");
MODULE_DESCRIPTION("PCI devices passed through by Hyper-V (vPCI), with deferred memory decode");
MODULE_VERSION(HVPCI_VERSION);
