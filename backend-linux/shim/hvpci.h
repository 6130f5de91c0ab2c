/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of the shim share. Rust sees none of this. */
#ifndef HVPCI_H
#define HVPCI_H

#include <linux/completion.h>
#include <linux/hyperv.h>
#include <linux/irqdomain.h>
#include <linux/list.h>
#include <linux/msi.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "rust.h"

/*
 * A list of 256 functions in its longest form is 16 + 8 + 256 * 28 bytes: the longest packet a host has reason to send.
 * The rings hold three of them, headers and all.
 */
#define HVPCI_MAX_PACKET SZ_8K
#define HVPCI_RING_BYTES VMBUS_RING_SIZE(28 * SZ_1K)

enum hvpci_worker { HVPCI_PUMP, HVPCI_PUBLISHER, HVPCI_WORKERS };

/* MMIO space that vmbus gave us. */
struct hvpci_range {
	struct list_head node;
	struct resource *resource;
};

/* A worker's claim on memory that is always there. */
struct hvpci_reserve {
	struct list_head node;
	struct task_struct *task;	/* who may use it now */
	void *block;
	bool used;
};

/* Who wants to hear of changed config blocks. */
struct hvpci_listener {
	void (*changed)(void *context, u64 mask);
	void *context;
};

struct hvpci_bus {
	struct hv_device *device;
	void *rust;
	struct list_head node;		/* in the list of all buses */

	raw_spinlock_t engine_lock;
	raw_spinlock_t config_lock;

	/* Workers. */
	struct delayed_work pump;
	struct delayed_work publisher;
	struct work_struct notifier;
	bool over[HVPCI_WORKERS];
	struct hvpci_reserve reserve[HVPCI_WORKERS];
	wait_queue_head_t waiters;
	atomic_t wakes;
	unsigned int users;		/* suspend and resume, under a lock of bus.c */

	/* Channel. */
	raw_spinlock_t ring_lock;	/* one reader of the ring at a time */
	void *packet;			/* HVPCI_MAX_PACKET bytes, under ring_lock */
	bool open;

	/* Config window; the pointers change under config_lock. */
	struct resource *window;
	void __iomem *window_mapping;
	u64 window_address;		/* 0: no window, everything reads all ones */
	bool window_calls;		/* by hypercall instead of loads and stores */

	/* BAR windows: only the pump changes the list, with ranges_lock held. */
	struct mutex ranges_lock;
	struct list_head ranges;

	/* The PCI side: changed only by those who hold the rescan lock. */
	struct pci_host_bridge *bridge;
	DECLARE_BITMAP(shown, 256);	/* by devfn */
	struct pci_slot *slots[256];
	s16 nodes[256];			/* the kernel's, by devfn, of those shown */
	u32 domain;			/* 0: none yet */

	/* Interrupts. */
	struct fwnode_handle *fwnode;
	struct irq_domain *irqs;
	struct msi_domain_info msi_info;
	raw_spinlock_t msi_lock;	/* what follows, and the entries of the list */
	struct list_head msis;
	u16 vectors[256];		/* by devfn: asked for; an MSI-X table has 2048 at most */
	u32 vectors_total;
	atomic_t msi_count;		/* those that are there, for debugfs */

	/* Config blocks. */
	spinlock_t listeners_lock;
	struct hvpci_listener *listeners;	/* 256, by devfn; made when first needed */

	struct dentry *debugfs;
	struct ratelimit_state ratelimit;
	struct ratelimit_state error_ratelimit;
	u64 longest_write_ns;		/* the longest config write, under no lock: a hint */
};

/* The private part of a host bridge: lives as long as anybody holds a function of it. */
struct hvpci_bridge {
	struct pci_sysdata sysdata;
	struct hvpci_bus __rcu *bus;	/* NULL once the bridge is being taken away */
	struct resource numbers;
	struct resource nothing;	/* of no type, so that nothing lies in it: see bridge.c */
	bool pin;			/* for hvpci_unpin, where there is one */
};

static inline struct hvpci_bridge *hvpci_bridge_of(struct pci_bus *bus)
{
	return container_of(to_pci_sysdata(bus), struct hvpci_bridge, sysdata);
}

/* module.c */
extern struct workqueue_struct *hvpci_pump_queue;
extern struct workqueue_struct *hvpci_publish_queue;
extern int hvpci_log_level;
bool hvpci_is_isolated(void);
bool hvpci_reserve_add(struct hvpci_reserve *reserve);
void hvpci_reserve_remove(struct hvpci_reserve *reserve);
int hvpci_live_allocations(void);

/* bus.c */
extern struct hv_driver hvpci_driver;
void hvpci_bus_wake_waiters(struct hvpci_bus *bus);
/* Has all buses go down side by side, before they are removed one after the other. Sleepable. */
void hvpci_bus_stop_all(void);

/* pins.c */
bool hvpci_pin(void);
void hvpci_unpin(bool referenced);
void hvpci_pins_wait(void);

/* config.c */
extern struct pci_ops hvpci_pci_ops;
struct hvpci_bus *hvpci_bus_of(struct pci_dev *pdev);
/* Whether a function is on one of our buses, be it one that has gone. */
bool hvpci_pci_owns(struct pci_dev *pdev);
int hvpci_config_init(void);
void hvpci_config_exit(void);

/* bridge.c; the caller of the first three holds the rescan lock */
int hvpci_bridge_create(struct hvpci_bus *bus, const struct hvpci_function *function);
int hvpci_bridge_add_windows(struct hvpci_bus *bus, const struct hvpci_function *function);
void hvpci_bridge_destroy(struct hvpci_bus *bus);
void hvpci_bridge_drop_window(struct hvpci_bus *bus, struct resource *resource);

/* domain.c */
u32 hvpci_domain_get(u32 preferred);
void hvpci_domain_put(u32 domain);

/* irq.c */
int hvpci_irq_domain_create(struct hvpci_bus *bus);
void hvpci_irq_domain_remove(struct hvpci_bus *bus);
/* The function is gone: no vectors are its own any more. */
void hvpci_irq_forget(struct hvpci_bus *bus, unsigned int devfn);

/* block.c */
int hvpci_block_init(void);
void hvpci_block_exit(void);
/* A function is about to be shown: pci-hyperv can't be loaded until it is gone, or could not be shown. Sleepable. */
void hvpci_block_hold(void);
void hvpci_block_release(void);
void hvpci_block_forget(struct hvpci_bus *bus, unsigned int devfn);

/* debugfs.c */
void hvpci_debugfs_init(void);
void hvpci_debugfs_exit(void);
void hvpci_debugfs_add(struct hvpci_bus *bus);
void hvpci_debugfs_remove(struct hvpci_bus *bus);

#endif
