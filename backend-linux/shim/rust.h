/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the C shim and the Rust side say to each other.
 *
 * Rust sees struct hvpci_bus as an opaque handle; C sees the Rust bus as void *. The structs below are the only ones both
 * sides know; their sizes and HVPCI_ABI are compared when the module is loaded (hvpci_rs_init).
 */
#ifndef HVPCI_RUST_H
#define HVPCI_RUST_H

#include <linux/types.h>

struct hvpci_bus;

/* Changes whenever a struct or a function of this file does. */
#define HVPCI_ABI 4

/* What a worker always has memory for: a future of at most this size. */
#define HVPCI_RESERVE_BYTES 1024

/* The choices of the administrator and of the machine. */
struct hvpci_settings {
	u32 abi;
	u32 size;		/* of this struct */
	u32 function_size;
	u32 msi_size;
	u32 target_size;
	u32 ledger_size;
	const char *policy;
	size_t policy_length;
	const char *version;	/* the highest version offered, "1.4" */
	size_t version_length;
	u64 headroom_low;	/* bytes */
	u64 headroom_high;	/* bytes */
	u32 log_level;		/* 0 errors, 1 warnings, 2 information, 3 everything */
	u16 max_functions;	/* of a bus */
	u8 isolated;		/* a confidential VM */
	u8 cache;		/* the read cache of config space */
};

/* A function to be shown to the PCI core. */
struct hvpci_function {
	u32 devfn;
	u32 serial;
	s32 numa_node;		/* virtual node, -1 when the host named none */
	u32 preferred_domain;	/* 0 when there is none */
	u64 address[6];		/* of the BARs, by lower register; size 0 where there is none */
	u64 size[6];
};

/* An interrupt that the host made. */
struct hvpci_msi {
	u64 number;		/* for its whole life */
	u64 address;
	u32 data;
	u16 count;		/* messages; 0 for an alias */
	u16 reserved;
};

/* An interrupt to be aimed. */
struct hvpci_target {
	struct hvpci_msi msi;
	u32 devfn;
	u32 vector;
	const void *cpus;	/* struct cpumask */
};

/* What a function has cost; see core/src/decode/ledger.rs. */
struct hvpci_ledger {
	u64 maps;
	u64 unmaps;
	u64 host_unmaps;
	u64 traps;
	u64 messages;
	u64 reads_served;
	u64 writes_absorbed;
	u64 refused_enables;
	u64 stale_bars;
	u64 wasted_prefetches;
	u64 host_map_ns;
};

/* The locks of a bus; the last one is of the module, its bus is NULL. */
enum hvpci_lock {
	HVPCI_LOCK_ENGINE,
	HVPCI_LOCK_CONFIG,
	HVPCI_LOCK_MODULE,
};

/* ---- offered by Rust, called by C ---- */

/* Sleepable. 0 or a negative errno. */
int hvpci_rs_init(const struct hvpci_settings *settings);
/* Sleepable. NULL without memory. */
void *hvpci_rs_new(struct hvpci_bus *bus, const u8 *instance);
void hvpci_rs_free(void *rust);

/* The two workers: returns HVPCI_OVER, HVPCI_IDLE, or the nanoseconds after which to call again. Sleepable, one at a time. */
#define HVPCI_OVER U64_MAX
#define HVPCI_IDLE (U64_MAX - 1)
u64 hvpci_rs_pump(void *rust);
u64 hvpci_rs_publisher(void *rust);

/* Any context. */
void hvpci_rs_start(void *rust);
void hvpci_rs_stop(void *rust);
void hvpci_rs_suspend(void *rust);
void hvpci_rs_resume(void *rust);
void hvpci_rs_rescinded(void *rust);
/* 0 up, 1 on its way, 2 at rest (stopped or suspended), 3 failed or gone. */
int hvpci_rs_state(void *rust);
void hvpci_rs_packet(void *rust, bool completion, u64 id, const u8 *payload, size_t length);
u32 hvpci_rs_config_read(void *rust, u32 devfn, u32 offset, u32 bytes);
void hvpci_rs_config_write(void *rust, u32 devfn, u32 offset, u32 bytes, u32 value);
void hvpci_rs_bound(void *rust, u32 devfn, bool bound);

/* Room for the records of so many interrupts in all. Sleepable. 0 or -ENOMEM. */
int hvpci_rs_msi_reserve(void *rust, u32 total);
/* Makes an interrupt; polls, with interrupts off if they are. 0 or a negative errno. */
int hvpci_rs_msi_create(void *rust, u32 devfn, u32 vector, u32 count, const void *cpus, struct hvpci_msi *msi);
/* The message of vector index of a group. Any context. */
int hvpci_rs_msi_alias(const struct hvpci_msi *first, u32 count, u32 index, struct hvpci_msi *msi);
void hvpci_rs_msi_delete(void *rust, u32 devfn, const struct hvpci_msi *msi);
/* Whether a function may send its plain MSI messages: not where its registers hold none that the host made. Any context. */
void hvpci_rs_msi_allow(void *rust, u32 devfn, bool allow);
/* Fills the input page of the retarget hypercall and its control word. Any context. */
int hvpci_rs_retarget(void *rust, const struct hvpci_target *target, void *input, size_t length, u64 *control);

/* Config blocks. Sleepable. 0 or a negative errno. */
int hvpci_rs_block_read(void *rust, u32 devfn, u32 block, u8 *buffer, u32 length, u32 *returned);
int hvpci_rs_block_write(void *rust, u32 devfn, u32 block, const u8 *buffer, u32 length);

/* What is in a slot (by devfn): 1 and the ledger, or 0. Any context. */
int hvpci_rs_ledger(void *rust, u32 devfn, struct hvpci_ledger *ledger);
/* The bus as a whole, departed functions included. Any context. */
void hvpci_rs_total(void *rust, struct hvpci_ledger *ledger);
/* A few lines of text about the bus; returns their length. Any context. */
size_t hvpci_rs_describe(void *rust, u8 *buffer, size_t length);

/* ---- offered by C, called by Rust ---- */

/* Any context. With interrupts off the allocation is atomic. */
void *hvpci_shim_alloc(size_t size, size_t align);
/* The same for a future, one at a time of each worker, which then gets it from what was put aside for it. Sleepable. */
void *hvpci_shim_alloc_future(size_t size, size_t align);
void hvpci_shim_free(void *memory);
void hvpci_shim_log(struct hvpci_bus *bus, int level, const u8 *text, size_t length);
void hvpci_shim_panic(const u8 *text, size_t length);
u64 hvpci_shim_now(void);
unsigned long hvpci_shim_lock(struct hvpci_bus *bus, u32 lock);
void hvpci_shim_unlock(struct hvpci_bus *bus, u32 lock, unsigned long flags);
/* Has the pump run, the publisher if it is wanted, and lets those who wait in hvpci_shim_wait look again. */
void hvpci_shim_wake(struct hvpci_bus *bus, bool publisher);
/* 0, -EAGAIN when the ring is full, or another negative errno when the channel is gone. */
int hvpci_shim_send(struct hvpci_bus *bus, u64 id, bool completion, const u8 *payload, size_t length);
bool hvpci_shim_rescinded(struct hvpci_bus *bus);
/* Hands every packet in the ring to hvpci_rs_packet. */
void hvpci_shim_drain(struct hvpci_bus *bus);
/* 100 us, busy only with interrupts off. */
void hvpci_shim_delay(void);
/* False: nothing was selected; no access may follow. */
bool hvpci_shim_select(struct hvpci_bus *bus, u32 slot);
u32 hvpci_shim_window_read(struct hvpci_bus *bus, u32 offset, u32 bytes);
void hvpci_shim_window_write(struct hvpci_bus *bus, u32 offset, u32 bytes, u32 value);
/* The next CPU of the mask after cpu (-1 to start), or -1; and the number the host knows it by. */
int hvpci_shim_next_cpu(const void *cpus, int cpu);
u32 hvpci_shim_vp(int cpu);
/* From the pump; must not sleep. */
void hvpci_shim_msi_moved(struct hvpci_bus *bus, u32 devfn, const struct hvpci_msi *msi);
void hvpci_shim_msi_lost(struct hvpci_bus *bus, u64 number);
void hvpci_shim_blocks_changed(struct hvpci_bus *bus, u32 devfn, u64 mask);

/* Sleepable. */
u32 hvpci_shim_wakes(struct hvpci_bus *bus);
/* Until a wake after the seen-th, or so many milliseconds. */
void hvpci_shim_wait(struct hvpci_bus *bus, u32 seen, u32 milliseconds);
int hvpci_shim_open(struct hvpci_bus *bus);
void hvpci_shim_close(struct hvpci_bus *bus);
int hvpci_shim_map_window(struct hvpci_bus *bus, u64 *address);
void hvpci_shim_unmap_window(struct hvpci_bus *bus);
int hvpci_shim_reserve(struct hvpci_bus *bus, bool high, u64 size, u64 align, u64 *base);
void hvpci_shim_release(struct hvpci_bus *bus, u64 base, u64 size);
int hvpci_shim_publish(struct hvpci_bus *bus, const struct hvpci_function *function);
void hvpci_shim_unpublish(struct hvpci_bus *bus, u32 devfn, bool surprise);

#endif
