// SPDX-License-Identifier: GPL-2.0
/*
 * Config windows of ordinary memory, with the parameter mmio=1: hvpci uses loads and stores, and nothing traps.
 *
 * What a trap would be are probes around the functions of hvpci's shim that touch the window. Before a load the host's
 * value is put where the load has to look, with other bytes all around it. Before a store the place is overwritten; after
 * it, the bytes that have changed go to the host. So the loads and stores themselves are the driver's, and an offset, a
 * width or a selection that is wrong shows: as a value the host did not mean, or as bytes that changed or did not.
 *
 * The order of two stores to memory can't be seen on x86; that the barriers are there is looked up in the object code
 * (backend-linux/check.sh).
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include "standin.h"

#define MOST_WINDOWS 64
#define CONFIG_PAGE 0x1000
#define POISON 0x5a
/* the bytes before and after an access that are watched */
#define AROUND 4

bool standin_mmio_windows;
module_param_named(mmio, standin_mmio_windows, bool, 0444);
MODULE_PARM_DESC(mmio, "config windows are reached by loads and stores, seen by probes in hvpci");

/* A window of one of the driver's buses, which is known by its address only. */
struct window {
	unsigned long bus;
	u64 address;
	bool selected;
};

struct call {
	unsigned long arguments[4];
};

static struct window windows[MOST_WINDOWS];
static DEFINE_SPINLOCK(windows_lock);
static u8 __iomem *memory;
static u64 memory_start;
static struct dentry *file;

static atomic_t selects, reads[3], writes[3], faults;
static char first_fault[120];

static void fault(const char *what, u32 offset, u32 bytes, u32 got, u32 wanted)
{
	if (atomic_inc_return(&faults) == 1)
		snprintf(first_fault, sizeof(first_fault), "%s at %#x, %u bytes: %#x, not %#x", what, offset, bytes, got,
			 wanted);
}

static struct window *window_of(unsigned long bus)
{
	struct window *window;

	for (window = windows; window < windows + MOST_WINDOWS; window++)
		if (window->bus == bus)
			return window;
	return NULL;
}

static u8 __iomem *place(const struct window *window, u32 offset)
{
	return memory + (window->address - memory_start) + offset;
}

static void poison(const struct window *window, u32 offset, u32 bytes)
{
	u32 at = offset >= AROUND ? offset - AROUND : 0;

	for (; at < offset + bytes + AROUND && at < 2 * CONFIG_PAGE; at++)
		writeb(POISON, place(window, at));
}

/* Nothing but the bytes of the access may have changed. */
static void look_around(const struct window *window, u32 offset, u32 bytes)
{
	u32 at = offset >= AROUND ? offset - AROUND : 0;

	for (; at < offset + bytes + AROUND && at < 2 * CONFIG_PAGE; at++) {
		if (at >= offset && at < offset + bytes)
			continue;
		if (readb(place(window, at)) != POISON)
			fault("a byte beside the access changed", at, bytes, readb(place(window, at)), POISON);
	}
}

static u32 take(const struct window *window, u32 offset, u32 bytes)
{
	u32 value = 0, at;

	for (at = 0; at < bytes; at++)
		value |= (u32)readb(place(window, offset + at)) << 8 * at;
	return value;
}

static u32 width_mask(u32 bytes)
{
	return U32_MAX >> (32 - 8 * min(bytes, 4u));
}

static void count(atomic_t *counts, u32 bytes)
{
	if (bytes == 1 || bytes == 2 || bytes == 4)
		atomic_inc(&counts[bytes / 2]);
	else
		fault("a width that is none", 0, bytes, bytes, 4);
}

/* The host's side: as a hypercall would have it. */
static void host_store(const struct window *window, u32 offset, u32 bytes, u32 value)
{
	unsigned long flags;
	u64 done = 0;

	spin_lock_irqsave(&standin_lock, flags);
	standin_store(standin_host, standin_now(), window->address + offset, bytes, value, &done);
	spin_unlock_irqrestore(&standin_lock, flags);
	standin_hold(done);
}

static u32 host_load(const struct window *window, u32 offset, u32 bytes)
{
	unsigned long flags;
	u64 done = 0;
	u32 value;

	spin_lock_irqsave(&standin_lock, flags);
	value = standin_load(standin_host, standin_now(), window->address + offset, bytes, &done);
	spin_unlock_irqrestore(&standin_lock, flags);
	standin_hold(done);
	return value & width_mask(bytes);
}

static void look_at_context(const struct pt_regs *regs, u32 offset)
{
	/* the driver's lock is held, over the selection and the access */
	if (!irqs_disabled() && (regs->flags & X86_EFLAGS_IF))
		fault("interrupts are on", offset, 0, 1, 0);
}

static int keep_arguments(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct call *call = (struct call *)instance->data;
	int at;

	for (at = 0; at < ARRAY_SIZE(call->arguments); at++)
		call->arguments[at] = regs_get_kernel_argument(regs, at);
	return 0;
}

/* ---- hvpci_shim_map_window(bus, &address), hvpci_shim_unmap_window(bus) ---- */

static int mapped(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct call *call = (struct call *)instance->data;
	struct window *window;
	unsigned long flags;

	if (regs_return_value(regs))
		return 0;
	spin_lock_irqsave(&windows_lock, flags);
	window = window_of(call->arguments[0]) ?: window_of(0);
	if (window) {
		window->bus = call->arguments[0];
		window->address = *(u64 *)call->arguments[1];
		window->selected = false;
	}
	spin_unlock_irqrestore(&windows_lock, flags);
	return 0;
}

static int unmapped(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct call *call = (struct call *)instance->data;
	struct window *window;
	unsigned long flags;

	spin_lock_irqsave(&windows_lock, flags);
	window = window_of(call->arguments[0]);
	if (window)
		window->bus = 0;
	spin_unlock_irqrestore(&windows_lock, flags);
	return 0;
}

/* ---- hvpci_shim_select(bus, slot) ---- */

static int selecting(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct window *window;

	keep_arguments(instance, regs);
	window = window_of(regs_get_kernel_argument(regs, 0));
	look_at_context(regs, 0);
	if (window)
		poison(window, 0, 4);
	return 0;
}

static int selected(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct call *call = (struct call *)instance->data;
	struct window *window = window_of(call->arguments[0]);
	u32 slot;

	if (!window)
		return 0;
	atomic_inc(&selects);
	slot = take(window, 0, 4);
	if (slot != (u32)call->arguments[1])
		fault("the selector", 0, 4, slot, call->arguments[1]);
	look_around(window, 0, 4);
	window->selected = true;
	host_store(window, 0, 4, slot);
	return 0;
}

/* ---- hvpci_shim_window_read(bus, offset, bytes) ---- */

static int reading(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	u32 offset = CONFIG_PAGE + regs_get_kernel_argument(regs, 1), bytes = regs_get_kernel_argument(regs, 2), value, at;
	struct call *call = (struct call *)instance->data;
	struct window *window;

	keep_arguments(instance, regs);
	window = window_of(call->arguments[0]);
	look_at_context(regs, offset);
	if (!window || offset + bytes > 2 * CONFIG_PAGE)
		return 0;
	if (!window->selected)
		fault("an access without a selection", offset, bytes, 0, 1);
	value = host_load(window, offset, bytes);
	poison(window, offset, bytes);
	for (at = 0; at < bytes; at++)
		writeb(value >> 8 * at, place(window, offset + at));
	call->arguments[3] = value;
	return 0;
}

static int has_read(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct call *call = (struct call *)instance->data;
	struct window *window = window_of(call->arguments[0]);
	u32 offset = CONFIG_PAGE + call->arguments[1], bytes = call->arguments[2];

	if (!window || offset + bytes > 2 * CONFIG_PAGE)
		return 0;
	count(reads, bytes);
	if ((u32)regs_return_value(regs) != (u32)call->arguments[3])
		fault("a read", offset, bytes, regs_return_value(regs), call->arguments[3]);
	look_around(window, offset, bytes);
	return 0;
}

/* ---- hvpci_shim_window_write(bus, offset, bytes, value) ---- */

static int writing(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct call *call = (struct call *)instance->data;
	struct window *window;
	u32 offset, bytes;

	keep_arguments(instance, regs);
	window = window_of(call->arguments[0]);
	offset = CONFIG_PAGE + call->arguments[1];
	bytes = call->arguments[2];
	look_at_context(regs, offset);
	if (!window || offset + bytes > 2 * CONFIG_PAGE)
		return 0;
	if (!window->selected)
		fault("an access without a selection", offset, bytes, 0, 1);
	poison(window, offset, bytes);
	return 0;
}

static int has_written(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	const struct call *call = (struct call *)instance->data;
	struct window *window = window_of(call->arguments[0]);
	u32 offset = CONFIG_PAGE + call->arguments[1], bytes = call->arguments[2], value;

	if (!window || offset + bytes > 2 * CONFIG_PAGE)
		return 0;
	count(writes, bytes);
	value = take(window, offset, bytes);
	if (value != ((u32)call->arguments[3] & width_mask(bytes)))
		fault("a write", offset, bytes, value, call->arguments[3]);
	look_around(window, offset, bytes);
	host_store(window, offset, bytes, value);
	return 0;
}

/* ---- the probes come and go with the module ---- */

#define PROBE(function, before, after) \
	{ .kp.symbol_name = "hvpci:" function, .entry_handler = before, .handler = after, .maxactive = 32, \
	  .data_size = sizeof(struct call) }

static struct kretprobe templates[] = {
	PROBE("hvpci_shim_map_window", keep_arguments, mapped),
	PROBE("hvpci_shim_unmap_window", keep_arguments, unmapped),
	PROBE("hvpci_shim_select", selecting, selected),
	PROBE("hvpci_shim_window_read", reading, has_read),
	PROBE("hvpci_shim_window_write", writing, has_written),
};
static struct kretprobe probes[ARRAY_SIZE(templates)];
static bool probed;
static int missed;

static void unprobe(void)
{
	int at;

	if (!probed)
		return;
	probed = false;
	for (at = 0; at < ARRAY_SIZE(probes); at++) {
		missed += probes[at].nmissed + probes[at].kp.nmissed;
		unregister_kretprobe(&probes[at]);
	}
}

static int module_event(struct notifier_block *block, unsigned long event, void *data)
{
	int error = 0, at;

	if (strcmp(((struct module *)data)->name, "hvpci"))
		return NOTIFY_DONE;
	if (event == MODULE_STATE_COMING) {
		memcpy(probes, templates, sizeof(probes));
		for (at = 0; at < ARRAY_SIZE(probes) && !error; at++)
			error = register_kretprobe(&probes[at]);
		if (error) {
			pr_err("no probe on %s: %d\n", templates[at - 1].kp.symbol_name, error);
			for (at--; at > 0; at--)
				unregister_kretprobe(&probes[at - 1]);
			return notifier_from_errno(error);
		}
		probed = true;
	} else if (event == MODULE_STATE_GOING) {
		unprobe();
	}
	return NOTIFY_DONE;
}

static struct notifier_block module_events = { .notifier_call = module_event };

static int window_show(struct seq_file *out, void *unused)
{
	int at, now = missed;

	for (at = 0; probed && at < ARRAY_SIZE(probes); at++)
		now += probes[at].nmissed + probes[at].kp.nmissed;
	seq_printf(out, "selects=%d reads=%d,%d,%d writes=%d,%d,%d faults=%d missed=%d %s\n", atomic_read(&selects),
		   atomic_read(&reads[0]), atomic_read(&reads[1]), atomic_read(&reads[2]), atomic_read(&writes[0]),
		   atomic_read(&writes[1]), atomic_read(&writes[2]), atomic_read(&faults), now, first_fault);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(window);

int standin_window_init(struct dentry *directory, const struct resource *range)
{
	int error;

	if (!standin_mmio_windows)
		return 0;
	memory_start = range->start;
	memory = ioremap(range->start, resource_size(range));
	if (!memory)
		return -ENOMEM;
	error = register_module_notifier(&module_events);
	if (error) {
		iounmap(memory);
		memory = NULL;
		return error;
	}
	file = debugfs_create_file("window", 0400, directory, NULL, &window_fops);
	return 0;
}

void standin_window_exit(void)
{
	if (!memory)
		return;
	debugfs_remove(file);
	unregister_module_notifier(&module_events);
	unprobe();
	iounmap(memory);
	memory = NULL;
}
