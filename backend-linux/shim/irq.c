// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * MSI, MSI-X and multi-MSI: an irq domain over the CPU vectors.
 *
 * The host makes an interrupt's address and data (CREATE_INTERRUPT, when the kernel composes the message) and is told where
 * it goes by a hypercall (when it is unmasked or moved). An interrupt is made once and kept until it is freed: the kernel
 * composes a message when vectors are allocated and again when the interrupt is requested, the second time with interrupts
 * off, and the hypercall says which vector and CPU it is for anyway.
 */
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <asm/hw_irq.h>
#include <asm/irqdomain.h>
#include <asm/mshyperv.h>

#include "hvpci.h"

/* Room beyond what was asked for, for deletions that are still on their way. */
#define HVPCI_MSI_SLACK 32

/* The chip data of an interrupt. */
struct hvpci_irq {
	struct list_head node;
	struct hvpci_bus *bus;
	unsigned int virq;
	u32 devfn;
	u32 index;		/* in its multi-MSI group */
	u32 count;		/* of the group */
	bool made;		/* msi is what the host gave */
	struct hvpci_msi msi;
};

/* ---- aiming ---- */

/* Sends an interrupt to where the kernel has it now. Nobody moves it meanwhile. */
static void aim(struct hvpci_irq *irq, struct irq_data *data, const struct hvpci_msi *msi)
{
	struct irq_cfg *cfg = irqd_cfg(data);
	struct hvpci_target target = { };
	unsigned long flags;
	u64 control, status;
	void *input;
	int err;

	if (!cfg)
		return;
	target.msi = *msi;
	target.devfn = irq->devfn;
	target.vector = cfg->vector;
	target.cpus = irq_data_get_effective_affinity_mask(data);
	local_irq_save(flags);
	input = hyperv_pcpu_input_arg ? *this_cpu_ptr(hyperv_pcpu_input_arg) : NULL;
	if (input) {
		memset(input, 0, 1024);
		err = hvpci_rs_retarget(irq->bus->rust, &target, input, HV_HYP_PAGE_SIZE, &control);
		status = err ? U64_MAX : hv_do_hypercall(control, input, NULL);
	} else {
		status = U64_MAX;
	}
	local_irq_restore(flags);
	/* Fails, as it may, once the channel is closed. */
	if (!hv_result_success(status) && READ_ONCE(irq->bus->open) && !hvpci_shim_rescinded(irq->bus))
		dev_err_ratelimited(&irq->bus->device->device, "interrupt %u could not be aimed: %#llx\n", irq->virq,
				    status);
}

/* The irq descriptor lock is held: interrupts are off. */
static noinline void hvpci_irq_retarget(struct irq_data *data)
{
	struct hvpci_irq *irq = irq_data_get_irq_chip_data(data);
	struct hvpci_msi msi;
	unsigned long flags;
	bool made;

	raw_spin_lock_irqsave(&irq->bus->msi_lock, flags);
	made = irq->made;
	msi = irq->msi;
	raw_spin_unlock_irqrestore(&irq->bus->msi_lock, flags);
	if (made)
		aim(irq, data, &msi);
}

static void hvpci_irq_mask(struct irq_data *data)
{
	pci_msi_mask_irq(data);
	if (data->parent_data->chip->irq_mask)
		irq_chip_mask_parent(data);
}

static void hvpci_irq_unmask(struct irq_data *data)
{
	struct hvpci_irq *irq = irq_data_get_irq_chip_data(data);
	unsigned long flags;

	hvpci_irq_retarget(data);
	if (data->parent_data->chip->irq_unmask)
		irq_chip_unmask_parent(data);
	/*
	 * The message of an interrupt that the host did not make points at memory: it stays masked (see hvpci_irq_write). The lock,
	 * because hvpci_shim_msi_lost may be about to mask it.
	 */
	raw_spin_lock_irqsave(&irq->bus->msi_lock, flags);
	if (irq->made)
		pci_msi_unmask_irq(data);
	raw_spin_unlock_irqrestore(&irq->bus->msi_lock, flags);
}

static int hvpci_irq_set_affinity(struct irq_data *data, const struct cpumask *cpus, bool force)
{
	int ret = irq_chip_set_affinity_parent(data, cpus, force);

	if (ret >= 0 && irqd_is_started(data) && !irqd_irq_masked(data))
		hvpci_irq_retarget(data);
	return ret;
}

/* ---- making ---- */

static void write_message(const struct hvpci_msi *msi, struct msi_msg *message)
{
	message->address_lo = lower_32_bits(msi->address);
	message->address_hi = upper_32_bits(msi->address);
	message->data = msi->data;
}

/* Interrupts may be off and the irq descriptor lock held. */
static noinline void hvpci_irq_compose(struct irq_data *data, struct msi_msg *message)
{
	struct hvpci_irq *irq = irq_data_get_irq_chip_data(data);
	struct msi_desc *desc = irq_data_get_msi_desc(data);
	struct irq_cfg *cfg = irqd_cfg(data);
	struct irq_data *first_data;
	struct hvpci_irq *first;
	struct hvpci_msi msi = { };
	unsigned long flags;
	int err = 0;

	memset(message, 0, sizeof(*message));
	if (!irq->made && data->irq != desc->irq) {
		first_data = irq_domain_get_irq_data(irq->bus->irqs, desc->irq);
		first = first_data ? irq_data_get_irq_chip_data(first_data) : NULL;
		err = first && first->made ? hvpci_rs_msi_alias(&first->msi, irq->count, irq->index, &msi) : -ENODEV;
	} else if (!irq->made) {
		/* Where it may go at all, not where it goes now: at this point that is the first CPU for every interrupt. */
		err = hvpci_rs_msi_create(irq->bus->rust, irq->devfn, cfg ? cfg->vector : 0, irq->count,
					  irq_data_get_affinity_mask(data), &msi);
	}
	if (err) {
		dev_err_ratelimited(&irq->bus->device->device, "interrupt %u could not be made: %d\n", irq->virq, err);
		return;
	}
	raw_spin_lock_irqsave(&irq->bus->msi_lock, flags);
	if (!irq->made)
		irq->msi = msi;
	irq->made = true;
	write_message(&irq->msi, message);
	raw_spin_unlock_irqrestore(&irq->bus->msi_lock, flags);
}

/*
 * Plain MSI may have no mask bits: a function whose message is nobody's is kept from sending any. Interrupts may be off and the
 * irq descriptor lock held.
 */
static void allow_messages(struct hvpci_irq *irq, const struct msi_desc *desc, bool allow)
{
	if (!desc->pci.msi_attrib.is_msix)
		hvpci_rs_msi_allow(irq->bus->rust, irq->devfn, allow);
}

/* A message of zeros is none: the host made no interrupt, or the kernel has shut it down. */
static void hvpci_irq_write(struct irq_data *data, struct msi_msg *message)
{
	struct hvpci_irq *irq = irq_data_get_irq_chip_data(data);
	struct msi_desc *desc = irq_data_get_msi_desc(data);
	bool some = message->address_lo || message->address_hi;

	/* A multi-MSI group has the first one's message. */
	if (desc->irq != data->irq)
		return;
	if (!some)
		allow_messages(irq, desc, false);
	pci_write_msi_msg(data->irq, message);
	if (some)
		allow_messages(irq, desc, true);
}

/*
 * The bus was suspended, and the host has made the interrupt anew, for the vector it had when it was first made. To the kernel
 * it was never masked, so nobody aims it again: that is done here. The kernel moves no interrupts while devices sleep. From the
 * pump.
 */
void hvpci_shim_msi_moved(struct hvpci_bus *bus, u32 devfn, const struct hvpci_msi *msi)
{
	struct msi_msg message = { };
	struct irq_data *data;
	struct hvpci_irq *irq;
	unsigned long flags;

	/* The lock is kept throughout: while an interrupt is on the list its descriptor is there. */
	raw_spin_lock_irqsave(&bus->msi_lock, flags);
	list_for_each_entry(irq, &bus->msis, node) {
		if (!irq->made || irq->devfn != devfn || irq->msi.number != msi->number)
			continue;
		if (irq->index) {
			/* The others of a multi-MSI group have the first one's message and their index. */
			hvpci_rs_msi_alias(msi, irq->count, irq->index, &irq->msi);
		} else {
			irq->msi = *msi;
			write_message(msi, &message);
			/* A suspended function only notes it, and gets it when the PCI core restores it. */
			pci_write_msi_msg(irq->virq, &message);
		}
		data = irq_domain_get_irq_data(bus->irqs, irq->virq);
		if (data && irqd_is_started(data) && !irqd_irq_masked(data))
			aim(irq, data, &irq->msi);
	}
	raw_spin_unlock_irqrestore(&bus->msi_lock, flags);
}

/* The host does not make the interrupt anew: its message is nobody's now, and must not be sent. From the pump. */
void hvpci_shim_msi_lost(struct hvpci_bus *bus, u64 number)
{
	struct irq_data *data;
	struct hvpci_irq *irq;
	unsigned long flags;

	/* The lock is kept throughout: while an interrupt is on the list its descriptor is there. */
	raw_spin_lock_irqsave(&bus->msi_lock, flags);
	list_for_each_entry(irq, &bus->msis, node) {
		if (!irq->made || irq->msi.number != number)
			continue;
		irq->made = false;
		data = irq_domain_get_irq_data(bus->irqs, irq->virq);
		if (!data)
			continue;
		pci_msi_mask_irq(data);
		allow_messages(irq, irq_data_get_msi_desc(data), false);
	}
	raw_spin_unlock_irqrestore(&bus->msi_lock, flags);
}

static struct irq_chip hvpci_chip = {
	.name = "hvpci",
	.irq_compose_msi_msg = hvpci_irq_compose,
	.irq_write_msi_msg = hvpci_irq_write,
	.irq_set_affinity = hvpci_irq_set_affinity,
	.irq_ack = irq_chip_ack_parent,
	.irq_retrigger = irq_chip_retrigger_hierarchy,
	.irq_mask = hvpci_irq_mask,
	.irq_unmask = hvpci_irq_unmask,
	.flags = IRQCHIP_SKIP_SET_WAKE,
};

/* ---- the domain ---- */

/*
 * Functions allocate their vectors side by side: each counts from here on, not when its interrupts are there. What a function
 * asks for takes the place of what it asked for before, which it has given back. Returns the sum of all functions.
 */
static u32 promise(struct hvpci_bus *bus, unsigned int devfn, u32 vectors)
{
	unsigned long flags;
	u32 sum;

	raw_spin_lock_irqsave(&bus->msi_lock, flags);
	bus->vectors_total += vectors - bus->vectors[devfn];
	bus->vectors[devfn] = vectors;
	sum = bus->vectors_total;
	raw_spin_unlock_irqrestore(&bus->msi_lock, flags);
	return sum;
}

void hvpci_irq_forget(struct hvpci_bus *bus, unsigned int devfn)
{
	promise(bus, devfn, 0);
}

static int hvpci_msi_prepare(struct irq_domain *domain, struct device *dev, int vectors, msi_alloc_info_t *info)
{
	struct msi_domain_info *own = domain->host_data;
	struct hvpci_bus *bus = own->data;
	int err;

	err = hvpci_rs_msi_reserve(bus->rust, promise(bus, to_pci_dev(dev)->devfn, vectors) + HVPCI_MSI_SLACK);
	if (err)
		return err;
	err = pci_msi_prepare(domain, dev, vectors, info);
#ifdef HVPCI_CONTIGUOUS_VECTORS
	/* The hypervisor remaps interrupts: vectors of a multi-MSI group need not lie side by side. */
	if (!err && info->type == X86_IRQ_ALLOC_TYPE_PCI_MSI)
		info->flags &= ~X86_IRQ_ALLOC_CONTIGUOUS_VECTORS;
#endif
	return err;
}

static int hvpci_msi_init(struct irq_domain *domain, struct msi_domain_info *info, unsigned int virq,
			  irq_hw_number_t hwirq, msi_alloc_info_t *arg)
{
	struct msi_desc *desc = arg->desc;
	struct hvpci_bus *bus = info->data;
	struct hvpci_irq *irq;
	unsigned long flags;

	irq = kzalloc(sizeof(*irq), GFP_KERNEL);
	if (!irq)
		return -ENOMEM;
	irq->bus = bus;
	irq->virq = virq;
	irq->devfn = msi_desc_to_pci_dev(desc)->devfn;
	irq->count = max(desc->nvec_used, 1U);
	/* A group's interrupts are set up in order, under one descriptor. */
	irq->index = irq->count > 1 ? hwirq - arg->hwirq : 0;
	irq_domain_set_hwirq_and_chip(domain, virq, hwirq, &hvpci_chip, irq);
	__irq_set_handler(virq, handle_edge_irq, 0, "edge");
	atomic_inc(&bus->msi_count);
	raw_spin_lock_irqsave(&bus->msi_lock, flags);
	list_add_tail(&irq->node, &bus->msis);
	raw_spin_unlock_irqrestore(&bus->msi_lock, flags);
	return 0;
}

static void hvpci_msi_free(struct irq_domain *domain, struct msi_domain_info *info, unsigned int virq)
{
	struct irq_data *data = irq_domain_get_irq_data(domain, virq);
	struct hvpci_irq *irq = data ? irq_data_get_irq_chip_data(data) : NULL;
	struct hvpci_bus *bus = info->data;
	unsigned long flags;

	if (!irq)
		return;
	raw_spin_lock_irqsave(&bus->msi_lock, flags);
	list_del(&irq->node);
	raw_spin_unlock_irqrestore(&bus->msi_lock, flags);
	if (irq->made)
		hvpci_rs_msi_delete(bus->rust, irq->devfn, &irq->msi);
	data->chip_data = NULL;
	atomic_dec(&bus->msi_count);
	kfree(irq);
}

static struct msi_domain_ops hvpci_msi_ops = {
	.msi_prepare = hvpci_msi_prepare,
	.msi_init = hvpci_msi_init,
	.msi_free = hvpci_msi_free,
};

int hvpci_irq_domain_create(struct hvpci_bus *bus)
{
	bus->fwnode = irq_domain_alloc_named_id_fwnode("hvpci", bus->domain);
	if (!bus->fwnode)
		return -ENOMEM;
	bus->msi_info = (struct msi_domain_info) {
		.flags = MSI_FLAG_USE_DEF_DOM_OPS | MSI_FLAG_USE_DEF_CHIP_OPS | MSI_FLAG_MULTI_PCI_MSI | MSI_FLAG_PCI_MSIX,
		.ops = &hvpci_msi_ops,
		.chip = &hvpci_chip,
		.data = bus,
	};
	bus->irqs = pci_msi_create_irq_domain(bus->fwnode, &bus->msi_info, x86_vector_domain);
	if (!bus->irqs) {
		irq_domain_free_fwnode(bus->fwnode);
		bus->fwnode = NULL;
		return -ENOMEM;
	}
	return 0;
}

void hvpci_irq_domain_remove(struct hvpci_bus *bus)
{
	if (bus->irqs)
		irq_domain_remove(bus->irqs);
	if (bus->fwnode)
		irq_domain_free_fwnode(bus->fwnode);
	bus->irqs = NULL;
	bus->fwnode = NULL;
}

/* ---- processors ---- */

int hvpci_shim_next_cpu(const void *cpus, int cpu)
{
	unsigned int next = cpumask_next_and(cpu, cpus, cpu_online_mask);

	return next < nr_cpu_ids ? (int)next : -1;
}

u32 hvpci_shim_vp(int cpu)
{
	return hv_vp_index ? hv_vp_index[cpu] : cpu;
}
