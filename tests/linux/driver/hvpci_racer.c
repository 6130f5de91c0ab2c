// SPDX-License-Identifier: GPL-2.0
/*
 * Has an interrupt lost in the middle of its unmasking: what the pump of another processor may do at that moment, when the host
 * does not make the interrupt again. Probes in hvpci say when that is; nothing waits for anybody, so it does not depend on luck.
 *
 * hvpci must be loaded, with one bus. The first interrupt that is aimed after that is lost there and then.
 */
#define pr_fmt(fmt) "racer: " fmt
#include <linux/kprobes.h>
#include <linux/module.h>

/* The beginning of struct hvpci_msi in backend-linux/shim/rust.h. */
struct msi {
	u64 number;
};

struct call {
	const struct msi *msi;
};

static void *bus;
static u64 number;
static bool made, done;
static void (*lose)(void *bus, u64 number);

/* hvpci_shim_send(bus, ...) */
static int sends(struct kprobe *probe, struct pt_regs *regs)
{
	bus = (void *)regs->di;
	return 0;
}

/* hvpci_rs_msi_create(rust, devfn, vector, count, cpus, msi) */
static int creates(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	((struct call *)instance->data)->msi = (const struct msi *)regs->r9;
	return 0;
}

static int created(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	if (!regs_return_value(regs)) {
		number = ((struct call *)instance->data)->msi->number;
		made = true;
	}
	return 0;
}

/* hvpci_irq_retarget: on the way to the unmasking, with no lock of hvpci's held. */
static int aims(struct kprobe *probe, struct pt_regs *regs)
{
	if (bus && made && !done) {
		done = true;
		lose(bus, number);
		pr_info("interrupt %llu is lost\n", number);
	}
	return 0;
}

static struct kprobe losing = { .symbol_name = "hvpci_shim_msi_lost" };
static struct kprobe sending = { .symbol_name = "hvpci_shim_send", .pre_handler = sends };
static struct kprobe aiming = { .symbol_name = "hvpci_irq_retarget", .pre_handler = aims };
static struct kretprobe creating = {
	.kp.symbol_name = "hvpci_rs_msi_create", .entry_handler = creates, .handler = created,
	.data_size = sizeof(struct call),
};

static int __init racer_init(void)
{
	int error = register_kprobe(&losing);

	if (error)
		return error;
	/* for its address alone */
	lose = (void *)losing.addr;
	unregister_kprobe(&losing);
	error = register_kretprobe(&creating);
	if (error)
		return error;
	error = register_kprobe(&sending);
	if (error)
		goto no_sending;
	error = register_kprobe(&aiming);
	if (error)
		goto no_aiming;
	return 0;

no_aiming:
	unregister_kprobe(&sending);
no_sending:
	unregister_kretprobe(&creating);
	return error;
}

static void __exit racer_exit(void)
{
	unregister_kprobe(&aiming);
	unregister_kprobe(&sending);
	unregister_kretprobe(&creating);
}

module_init(racer_init);
module_exit(racer_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Loses an interrupt of hvpci's while it is unmasked, for tests");
