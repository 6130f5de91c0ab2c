// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a driver believe it runs on Hyper-V, and answers its hypercalls.
 *
 * Nothing traps on a config window under emulation, so the "use MMIO hypercalls" hint is set: a driver that knows it (pci-hyperv
 * from 6.2 on, hvpci) then reaches config space by hypercalls.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/mshyperv.h>
#include "standin.h"

/* Hypercall numbers, the hint and the layouts of the calls that 6.1's headers do not have: TLFS, "Hypercall reference". */
#define CALL_MMIO_READ 0x0106
#define CALL_MMIO_WRITE 0x0107
#define CALL_RETARGET 0x007e
#define HINT_MMIO_HYPERCALLS BIT(21)
#define STATUS_INVALID_CODE 2
#define STATUS_INVALID_PARAMETER 5
#define STATUS_ACCESS_DENIED 6

struct mmio_input {
	u64 address;
	u32 bytes;
	u32 reserved;
	u8 data[64];
} __packed;

void standin_hypercall_entry(void);
void standin_return_true(void);
u64 standin_hypercall(u64 control, u64 input, u64 output);

void standin_hold(u64 done)
{
	while (standin_now() < done)
		cpu_relax();
}

/* So many accesses to config windows are denied. */
static atomic_t denied = ATOMIC_INIT(0);

void standin_deny(u32 count)
{
	atomic_set(&denied, count);
}

u64 standin_hypercall(u64 control, u64 input, u64 output)
{
	const struct mmio_input *mmio = input ? phys_to_virt(input) : NULL;
	unsigned long flags;
	u64 done = 0, status = 0;
	u32 value = 0;

	if (!mmio)
		return STATUS_INVALID_PARAMETER;
	if ((control & 0xffff) != CALL_RETARGET && atomic_dec_if_positive(&denied) >= 0)
		return STATUS_ACCESS_DENIED;
	switch (control & 0xffff) {
	case CALL_MMIO_READ:
		spin_lock_irqsave(&standin_lock, flags);
		value = standin_load(standin_host, standin_now(), mmio->address, mmio->bytes, &done);
		spin_unlock_irqrestore(&standin_lock, flags);
		memcpy(phys_to_virt(output), &value, sizeof(value));
		break;
	case CALL_MMIO_WRITE:
		memcpy(&value, mmio->data, min_t(u32, mmio->bytes, sizeof(value)));
		spin_lock_irqsave(&standin_lock, flags);
		if (standin_store(standin_host, standin_now(), mmio->address, mmio->bytes, value, &done))
			standin_wipe_soon();
		spin_unlock_irqrestore(&standin_lock, flags);
		break;
	case CALL_RETARGET:
		spin_lock_irqsave(&standin_lock, flags);
		/* the rest of the input page: the variable part says for itself how long it is */
		status = standin_retarget(standin_host, mmio, PAGE_SIZE - offset_in_page(mmio), control >> 17 & 0x3ff);
		spin_unlock_irqrestore(&standin_lock, flags);
		break;
	default:
		pr_info("unexpected hypercall %#llx\n", control);
		return STATUS_INVALID_CODE;
	}
	standin_hold(done);
	return status;
}

static int to_return_true(struct kprobe *probe, struct pt_regs *regs)
{
	/* probes placed by ftrace ignore a changed sp, not a changed ip: so jump to a function that returns */
	regs->ip = (unsigned long)standin_return_true;
	return 1;
}

static struct kprobe probe = { .symbol_name = "hv_is_hyperv_initialized", .pre_handler = to_return_true };
static void * __percpu *inputs;
static u32 *processors;

int standin_hypercall_init(void)
{
	int cpu, error;

	if (hv_hypercall_pg)
		return -EBUSY;
	inputs = alloc_percpu(void *);
	processors = kcalloc(nr_cpu_ids, sizeof(*processors), GFP_KERNEL);
	if (!inputs || !processors)
		goto no_memory;
	for_each_possible_cpu(cpu) {
		processors[cpu] = cpu;
		/* two pages, as the kernel has them: input, then output */
		*per_cpu_ptr(inputs, cpu) = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
		if (!*per_cpu_ptr(inputs, cpu))
			goto no_memory;
	}
	error = register_kprobe(&probe);
	if (error) {
		pr_err("no probe on hv_is_hyperv_initialized: %d\n", error);
		standin_hypercall_exit();
		return error;
	}
	hv_vp_index = processors;
	hv_max_vp_index = nr_cpu_ids;
	hyperv_pcpu_input_arg = inputs;
	hv_hypercall_pg = standin_hypercall_entry;
	if (!standin_mmio_windows)
		ms_hyperv.hints |= HINT_MMIO_HYPERCALLS;
	return 0;

no_memory:
	standin_hypercall_exit();
	return -ENOMEM;
}

void standin_hypercall_exit(void)
{
	int cpu;

	if (hv_hypercall_pg == standin_hypercall_entry) {
		ms_hyperv.hints &= ~HINT_MMIO_HYPERCALLS;
		hv_hypercall_pg = NULL;
		hyperv_pcpu_input_arg = NULL;
		hv_vp_index = NULL;
		unregister_kprobe(&probe);
	}
	if (inputs)
		for_each_possible_cpu(cpu)
			free_pages((unsigned long)*per_cpu_ptr(inputs, cpu), 1);
	free_percpu(inputs);
	kfree(processors);
	inputs = NULL;
	processors = NULL;
}
