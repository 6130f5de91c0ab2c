// SPDX-License-Identifier: GPL-2.0
/*
 * Mistakes on purpose. A debug kernel that does not report them would report none of the driver's either.
 */
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include "standin.h"

static DEFINE_SPINLOCK(seeded_lock);
static DEFINE_MUTEX(seeded_first);
static DEFINE_MUTEX(seeded_second);
static volatile int seeded_bits = 40;

static noinline void allocate_in_atomic(void)
{
	void *memory;

	spin_lock(&seeded_lock);
	memory = kmalloc(64, GFP_KERNEL);
	spin_unlock(&seeded_lock);
	kfree(memory);
}

static noinline void invert_locks(void)
{
	mutex_lock(&seeded_first);
	mutex_lock(&seeded_second);
	mutex_unlock(&seeded_second);
	mutex_unlock(&seeded_first);

	mutex_lock(&seeded_second);
	mutex_lock(&seeded_first);
	mutex_unlock(&seeded_first);
	mutex_unlock(&seeded_second);
}

static void seeded_expired(struct timer_list *timer)
{
}

static noinline void free_active_timer(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, seeded_expired, 0);
	mod_timer(timer, jiffies + 60 * HZ);
	kfree(timer);
}

static noinline int shift_too_far(void)
{
	return 1 << seeded_bits;
}

int standin_plant(const char *kind)
{
	if (!strcmp(kind, "atomic"))
		allocate_in_atomic();
	else if (!strcmp(kind, "locks"))
		invert_locks();
	else if (!strcmp(kind, "timer"))
		free_active_timer();
	else if (!strcmp(kind, "shift"))
		seeded_bits = 40 + (shift_too_far() & 0);
	else
		return standin_plant_rust(kind, strlen(kind));
	return 0;
}
