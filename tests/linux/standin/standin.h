/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stand-in for hv_vmbus.ko that has the mock host inside: what its C files and its Rust object share.
 *
 * One lock, standin_lock, is held around every call into Rust that names a host.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <linux/hyperv.h>
#include <linux/hrtimer.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct standin;

/* The same as Scene in rust/src/scene.rs. */
struct standin_scene {
	u32 buses, functions, bar_gb, device, leftover, map_ms, parallel, trap_us, message_us, highest_minor, twins, node;
};

/* Rust (rust/src/ffi.rs) */
struct standin *standin_new(const struct standin_scene *scene);
void standin_delete(struct standin *host);
u32 standin_bus_count(const struct standin *host);
void standin_instance(const struct standin *host, u32 bus, guid_t *guid);
void standin_started(struct standin *host, u64 now);
int standin_event(struct standin *host, u32 *bus);
bool standin_is_offered(const struct standin *host, u32 bus);
bool standin_open(struct standin *host, u32 bus, u64 now);
void standin_close(struct standin *host, u32 bus, u64 now);
int standin_send(struct standin *host, u32 bus, u64 now, bool wants_completion, u64 id, const void *payload,
		 size_t length);
int standin_receive(struct standin *host, u32 bus, u64 now, void *buffer, size_t length, size_t limit,
		    u32 *actual, u64 *id);
bool standin_next_due(const struct standin *host, u32 bus, u64 *due);
u32 standin_load(struct standin *host, u64 now, u64 address, u32 bytes, u64 *done);
/* Whether a function was reset by it. */
bool standin_store(struct standin *host, u64 now, u64 address, u32 bytes, u32 value, u64 *done);
u16 standin_retarget(struct standin *host, const void *input, size_t length, u16 header);
void standin_aperture(struct standin *host, u32 bus, u64 base, u64 size, bool given);
u32 standin_msix_table(const struct standin *host, u32 bus, u32 slot, u64 *address);
bool standin_memory_write(struct standin *host, u64 now, u64 address, u32 value);
int standin_deliver(struct standin *host, u32 bus, u32 slot, u16 message, u32 *vector, u32 *processor);
/* The memory of an MSI-X table that a device lost, by a reset or with its power; false when there is none. */
bool standin_next_wipe(struct standin *host, u64 *address, u32 *entries);
int standin_command(struct standin *host, u64 now, const char *text, size_t length);
void *standin_state(struct standin *host, u64 now, size_t *length);
void standin_text_delete(void *text, size_t length);

int standin_plant_rust(const char *kind, size_t length);

/* called by Rust */
void *standin_alloc(size_t size, size_t align);
void standin_free(void *memory);
void standin_panic(const char *text, size_t length);
/* Has standin_poll run when interrupts are on again; any context, with the lock or without. */
void standin_poll_soon(void);

/* A vPCI bus as VMBus shows it: from its offer until its rescind. */
struct standin_bus {
	struct hv_device device;
	struct vmbus_channel channel;
	u32 number;
	bool open;
	/* what driver_override in sysfs says; under the device's lock */
	char *override;
	struct hrtimer timer;
	/* the host's interrupt for this channel: the tasklet is scheduled where it arrives */
	call_single_data_t interrupt;
	struct work_struct rescind;
};

#define to_standin_bus(hv) container_of(hv, struct standin_bus, device)

extern struct standin *standin_host;
extern spinlock_t standin_lock;

/* main.c */
u64 standin_now(void);
/* Does what the host wants done by itself; any context, without the lock. */
void standin_poll(void);
void standin_go(void);
/* The kernel dies without a word to the host: its bus goes, what the host holds stays. Until the next open nothing reaches it. */
int standin_kernel_dies(u32 number);
/* The next kernel is told of the bus. */
int standin_kernel_boots(u32 number);
/* Makes a bus findable, before its driver is called, or forgets it. Fails if it was rescinded before. */
int standin_bus_known(struct standin_bus *bus, bool known);

/* bus.c */
int standin_bus_init(void);
void standin_bus_exit(void);
/* Returns when the driver's probe has returned. */
int standin_bus_offer(u32 number);
void standin_bus_withdraw(struct standin_bus *bus);

/* channel.c */
void standin_channel_init(struct standin_bus *bus);
void standin_channel_exit(struct standin_bus *bus);
/* Sees to it that the guest is called when the host has something for it; any context, without the lock. */
void standin_channel_kick(struct standin_bus *bus);

/* mmio.c */
int standin_mmio_init(void);
void standin_mmio_exit(void);
unsigned int standin_mmio_held(void);

const struct resource *standin_mmio_small(void);

/* window.c */
extern bool standin_mmio_windows;
struct dentry;
int standin_window_init(struct dentry *directory, const struct resource *range);
void standin_window_exit(void);

/* hypercall.c */
/* The processor stands still until the host is done. */
void standin_hold(u64 done);
int standin_hypercall_init(void);
void standin_deny(u32 count);
void standin_hypercall_exit(void);

/* power.c */
extern const struct dev_pm_ops standin_pm_ops;
/* Has commands run when a phase of a system sleep begins. */
int standin_pm_arm(const char *phase, const char *commands);
/* A line about suspends and resumes so far. */
int standin_pm_state(char *text, size_t length);
/* Does what standin_next_wipe says: soon, from any context; or now, sleepable. */
void standin_wipe_soon(void);
void standin_wipe(void);
void standin_power_exit(void);

/* seeded.c */
int standin_plant(const char *kind);

/* control.c */
/* Runs one line of text for the host; any context, without the lock. */
int standin_run(const char *text);
int standin_control_init(void);
void standin_control_exit(void);

#endif
