// SPDX-License-Identifier: GPL-2.0
/*
 * Channels: what a vPCI driver imports of VMBus to open, send, receive and keep its requests apart.
 *
 * Packets do not pass a shared ring: the host's next packet is copied when the guest asks for it. The guest is called as VMBus
 * calls it: from the channel's tasklet.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/uio.h>
#include "standin.h"

static struct standin_bus *bus_of(struct vmbus_channel *channel)
{
	return container_of(channel, struct standin_bus, channel);
}

static void call_guest(unsigned long data)
{
	struct standin_bus *bus = (struct standin_bus *)data;
	void (*callback)(void *context) = READ_ONCE(bus->channel.onchannel_callback);

	if (!callback)
		return;
	callback(bus->channel.channel_callback_context);
	standin_channel_kick(bus);
}

static void interrupt_arrived(void *data)
{
	struct standin_bus *bus = data;

	tasklet_schedule(&bus->channel.callback_event);
}

/*
 * A tasklet that is scheduled on one processor while it runs on another keeps the first one spinning. On Hyper-V that can't be:
 * a channel interrupts one processor, and VMBus has the channels of slow devices, vPCI's too, interrupt the first.
 */
static void interrupt_guest(struct standin_bus *bus)
{
	/* -EBUSY: it is on its way already */
	smp_call_function_single_async(0, &bus->interrupt);
}

static enum hrtimer_restart timer_expired(struct hrtimer *timer)
{
	interrupt_guest(container_of(timer, struct standin_bus, timer));
	return HRTIMER_NORESTART;
}

void standin_channel_init(struct standin_bus *bus)
{
	spin_lock_init(&bus->channel.sched_lock);
	INIT_LIST_HEAD(&bus->channel.sc_list);
	tasklet_init(&bus->channel.callback_event, call_guest, (unsigned long)bus);
	INIT_CSD(&bus->interrupt, interrupt_arrived, bus);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	hrtimer_setup(&bus->timer, timer_expired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
#else
	hrtimer_init(&bus->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	bus->timer.function = timer_expired;
#endif
}

static void nothing(void *unused)
{
}

void standin_channel_exit(struct standin_bus *bus)
{
	hrtimer_cancel(&bus->timer);
	/* calls to a processor come in order: the bus's own is done after this one */
	smp_call_function_single(0, nothing, NULL, 1);
	tasklet_kill(&bus->channel.callback_event);
}

void standin_channel_kick(struct standin_bus *bus)
{
	unsigned long flags;
	u64 due = 0;
	bool any;

	spin_lock_irqsave(&standin_lock, flags);
	any = bus->open && standin_next_due(standin_host, bus->number, &due);
	/* with the lock held: close_channel clears bus->open under it, and then cancels the timer */
	if (any && due > standin_now())
		hrtimer_start(&bus->timer, ns_to_ktime(due), HRTIMER_MODE_ABS);
	else if (any)
		interrupt_guest(bus);
	spin_unlock_irqrestore(&standin_lock, flags);
}

static void drop_requests(struct vmbus_requestor *requests)
{
	kfree(requests->req_arr);
	bitmap_free(requests->req_bitmap);
	memset(requests, 0, sizeof(*requests));
	spin_lock_init(&requests->req_lock);
}

int vmbus_open(struct vmbus_channel *channel, u32 send_bytes, u32 receive_bytes, void *data, u32 data_length,
	       void (*callback)(void *context), void *context)
{
	struct vmbus_requestor *requests = &channel->requestor;
	struct standin_bus *bus = bus_of(channel);
	unsigned long flags;
	bool opened;

	drop_requests(requests);
	if (channel->rqstor_size) {
		requests->req_arr = kcalloc(channel->rqstor_size, sizeof(u64), GFP_KERNEL);
		requests->req_bitmap = bitmap_zalloc(channel->rqstor_size, GFP_KERNEL);
		if (!requests->req_arr || !requests->req_bitmap) {
			drop_requests(requests);
			return -ENOMEM;
		}
		requests->size = channel->rqstor_size;
	}
	channel->channel_callback_context = context;
	WRITE_ONCE(channel->onchannel_callback, callback);
	spin_lock_irqsave(&standin_lock, flags);
	opened = standin_open(standin_host, bus->number, standin_now());
	bus->open = opened;
	spin_unlock_irqrestore(&standin_lock, flags);
	if (opened)
		return 0;
	WRITE_ONCE(channel->onchannel_callback, NULL);
	drop_requests(requests);
	return -ENODEV;
}
EXPORT_SYMBOL_GPL(vmbus_open);

void vmbus_close(struct vmbus_channel *channel)
{
	struct standin_bus *bus = bus_of(channel);
	unsigned long flags;

	/* no callback runs from here on, neither the tasklet's nor one that polls under sched_lock */
	tasklet_disable(&channel->callback_event);
	spin_lock_irqsave(&channel->sched_lock, flags);
	WRITE_ONCE(channel->onchannel_callback, NULL);
	spin_unlock_irqrestore(&channel->sched_lock, flags);
	tasklet_enable(&channel->callback_event);

	spin_lock_irqsave(&standin_lock, flags);
	bus->open = false;
	standin_close(standin_host, bus->number, standin_now());
	spin_unlock_irqrestore(&standin_lock, flags);
	hrtimer_cancel(&bus->timer);
	drop_requests(&channel->requestor);
	standin_wipe();
	standin_poll();
}
EXPORT_SYMBOL_GPL(vmbus_close);

int vmbus_sendpacket_getid(struct vmbus_channel *channel, void *buffer, u32 length, u64 request, u64 *transaction,
			   enum vmbus_packet_type type, u32 flags)
{
	bool wants_completion = flags == VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED;
	struct standin_bus *bus = bus_of(channel);
	unsigned long irq_flags;
	u64 id = request;
	int error;

	if (type != VM_PKT_DATA_INBAND)
		return -EOPNOTSUPP;
	if (READ_ONCE(channel->rescind))
		return -ENODEV;
	if (wants_completion && channel->next_request_id_callback) {
		u64 given = channel->next_request_id_callback(channel, request);

		if (given == VMBUS_RQST_ERROR)
			return -EAGAIN;
		if (given != VMBUS_NO_RQSTOR)
			id = given;
	}
	if (transaction)
		*transaction = id;
	spin_lock_irqsave(&standin_lock, irq_flags);
	error = standin_send(standin_host, bus->number, standin_now(), wants_completion, id, buffer, length);
	spin_unlock_irqrestore(&standin_lock, irq_flags);
	if (error && wants_completion && channel->request_addr_callback)
		channel->request_addr_callback(channel, id);
	standin_channel_kick(bus);
	standin_poll();
	return error;
}
EXPORT_SYMBOL(vmbus_sendpacket_getid);

int vmbus_sendpacket(struct vmbus_channel *channel, void *buffer, u32 length, u64 request, enum vmbus_packet_type type,
		     u32 flags)
{
	return vmbus_sendpacket_getid(channel, buffer, length, request, NULL, type, flags);
}
EXPORT_SYMBOL(vmbus_sendpacket);

int vmbus_recvpacket_raw(struct vmbus_channel *channel, void *buffer, u32 length, u32 *actual, u64 *request)
{
	struct standin_bus *bus = bus_of(channel);
	unsigned long flags;
	int error;

	spin_lock_irqsave(&standin_lock, flags);
	error = standin_receive(standin_host, bus->number, standin_now(), buffer, length,
				channel->max_pkt_size ?: VMBUS_DEFAULT_MAX_PKT_SIZE, actual, request);
	spin_unlock_irqrestore(&standin_lock, flags);
	/* reading lets the host read on, and may make it lose patience over an eject */
	standin_poll();
	return error;
}
EXPORT_SYMBOL_GPL(vmbus_recvpacket_raw);

/* Transaction ids are 1 + the index of the request's address, so that 0 stays free for packets without a request. */
u64 vmbus_next_request_id(struct vmbus_channel *channel, u64 address)
{
	struct vmbus_requestor *requests = &channel->requestor;
	unsigned long flags, index;

	if (!requests->size)
		return VMBUS_NO_RQSTOR;
	spin_lock_irqsave(&requests->req_lock, flags);
	index = find_first_zero_bit(requests->req_bitmap, requests->size);
	if (index < requests->size) {
		__set_bit(index, requests->req_bitmap);
		requests->req_arr[index] = address;
	}
	spin_unlock_irqrestore(&requests->req_lock, flags);
	return index < requests->size ? index + 1 : VMBUS_RQST_ERROR;
}
EXPORT_SYMBOL_GPL(vmbus_next_request_id);

/* Frees a transaction id whose request is at `address`, whatever its address with VMBUS_RQST_ADDR_ANY. */
u64 __vmbus_request_addr_match(struct vmbus_channel *channel, u64 transaction, u64 address)
{
	struct vmbus_requestor *requests = &channel->requestor;
	u64 found = VMBUS_RQST_ERROR;

	if (!requests->size)
		return VMBUS_NO_RQSTOR;
	if (!transaction || transaction > requests->size || !test_bit(transaction - 1, requests->req_bitmap))
		return found;
	found = requests->req_arr[transaction - 1];
	if (address == VMBUS_RQST_ADDR_ANY || address == found)
		__clear_bit(transaction - 1, requests->req_bitmap);
	return found;
}
EXPORT_SYMBOL_GPL(__vmbus_request_addr_match);

u64 vmbus_request_addr_match(struct vmbus_channel *channel, u64 transaction, u64 address)
{
	unsigned long flags;
	u64 found;

	spin_lock_irqsave(&channel->requestor.req_lock, flags);
	found = __vmbus_request_addr_match(channel, transaction, address);
	spin_unlock_irqrestore(&channel->requestor.req_lock, flags);
	return found;
}
EXPORT_SYMBOL_GPL(vmbus_request_addr_match);

u64 vmbus_request_addr(struct vmbus_channel *channel, u64 transaction)
{
	return vmbus_request_addr_match(channel, transaction, VMBUS_RQST_ADDR_ANY);
}
EXPORT_SYMBOL_GPL(vmbus_request_addr);
