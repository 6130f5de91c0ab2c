// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Memory for the Rust side: allocations that are counted, and a block of each worker's own for the futures that can't fail.
 */
#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "hvpci.h"

static DEFINE_RAW_SPINLOCK(reserves_lock);
static LIST_HEAD(reserves);
static atomic_t reserves_used = ATOMIC_INIT(0);
static atomic_t live_allocations = ATOMIC_INIT(0);

int hvpci_live_allocations(void)
{
	return atomic_read(&live_allocations);
}

bool hvpci_reserve_add(struct hvpci_reserve *reserve)
{
	unsigned long flags;

	reserve->block = kmalloc(HVPCI_RESERVE_BYTES, GFP_KERNEL);
	if (!reserve->block)
		return false;
	raw_spin_lock_irqsave(&reserves_lock, flags);
	list_add(&reserve->node, &reserves);
	raw_spin_unlock_irqrestore(&reserves_lock, flags);
	return true;
}

void hvpci_reserve_remove(struct hvpci_reserve *reserve)
{
	unsigned long flags;

	if (!reserve->block)
		return;
	raw_spin_lock_irqsave(&reserves_lock, flags);
	list_del(&reserve->node);
	raw_spin_unlock_irqrestore(&reserves_lock, flags);
	WARN_ON_ONCE(reserve->used);
	kfree(reserve->block);
	reserve->block = NULL;
}

/* The block of the worker that is running: its futures, one at a time, can't fail. Nothing else may have it. */
static void *reserve_take(size_t size)
{
	struct hvpci_reserve *reserve;
	unsigned long flags;
	void *block = NULL;

	if (size > HVPCI_RESERVE_BYTES)
		return NULL;
	raw_spin_lock_irqsave(&reserves_lock, flags);
	list_for_each_entry(reserve, &reserves, node) {
		if (READ_ONCE(reserve->task) != current || reserve->used)
			continue;
		reserve->used = true;
		atomic_inc(&reserves_used);
		block = reserve->block;
		break;
	}
	raw_spin_unlock_irqrestore(&reserves_lock, flags);
	return block;
}

static bool reserve_give(void *block)
{
	struct hvpci_reserve *reserve;
	unsigned long flags;
	bool found = false;

	if (likely(!atomic_read(&reserves_used)))
		return false;
	raw_spin_lock_irqsave(&reserves_lock, flags);
	list_for_each_entry(reserve, &reserves, node) {
		if (reserve->block != block)
			continue;
		reserve->used = false;
		atomic_dec(&reserves_used);
		found = true;
		break;
	}
	raw_spin_unlock_irqrestore(&reserves_lock, flags);
	return found;
}

/*
 * The engine allocates and frees under its raw lock, which PREEMPT_RT does not allow: Kbuild refuses such kernels. On all
 * others the allocator's locks spin as well; PROVE_RAW_LOCK_NESTING has to be told.
 */
#ifdef DEFINE_WAIT_OVERRIDE_MAP
static DEFINE_WAIT_OVERRIDE_MAP(allocator_spins, LD_WAIT_CONFIG);

static void under_lock_begin(void)
{
	lock_map_acquire_try(&allocator_spins);
}

static void under_lock_end(void)
{
	lock_map_release(&allocator_spins);
}
#else
static void under_lock_begin(void) { }
static void under_lock_end(void) { }
#endif

static void *allocate(size_t size, size_t align)
{
	bool atomic = irqs_disabled();
	void *memory;

	/* Only powers of two are aligned to their size. */
	if (align > ARCH_KMALLOC_MINALIGN)
		size = roundup_pow_of_two(max(size, align));
	if (atomic) {
		under_lock_begin();
		memory = kmalloc(size, GFP_ATOMIC | __GFP_NOWARN);
		under_lock_end();
	} else if (size > PAGE_SIZE) {
		memory = kvmalloc(size, GFP_KERNEL);
	} else {
		memory = kmalloc(size, GFP_KERNEL | __GFP_NOWARN);
	}
	return memory;
}

void *hvpci_shim_alloc(size_t size, size_t align)
{
	void *memory = allocate(size, align);

	if (memory)
		atomic_inc(&live_allocations);
	return memory;
}

void *hvpci_shim_alloc_future(size_t size, size_t align)
{
	void *memory = allocate(size, align);

	if (unlikely(!memory))
		memory = reserve_take(size);
	if (memory)
		atomic_inc(&live_allocations);
	return memory;
}

void hvpci_shim_free(void *memory)
{
	bool atomic = irqs_disabled();

	atomic_dec(&live_allocations);
	if (reserve_give(memory))
		return;
	if (atomic)
		under_lock_begin();
	kvfree(memory);
	if (atomic)
		under_lock_end();
}
