// SPDX-License-Identifier: MIT OR GPL-2.0
/* The channel, and MMIO space from vmbus. */
#include <linux/delay.h>
#include <linux/hyperv.h>
#include <linux/nmi.h>
#include <linux/slab.h>

#include "hvpci.h"

/* Packets handed on per call: a host that never stops sending gets the CPU back to others in between. */
#define HVPCI_DRAIN_BUDGET 1024

bool hvpci_shim_rescinded(struct hvpci_bus *bus)
{
	return READ_ONCE(bus->device->channel->rescind);
}

/* Takes one packet out of the ring; false when there was none. */
static bool take_packet(struct hvpci_bus *bus)
{
	struct vmpacket_descriptor *head = bus->packet;
	u32 length = 0, start;
	unsigned long flags;
	bool taken = false;
	u64 id = 0;

	raw_spin_lock_irqsave(&bus->ring_lock, flags);
	if (READ_ONCE(bus->open) &&
	    !vmbus_recvpacket_raw(bus->device->channel, bus->packet, HVPCI_MAX_PACKET, &length, &id) && length) {
		taken = true;
		start = length >= sizeof(*head) ? (u32)head->offset8 << 3 : 0;
		/* What has no payload, or says that it starts elsewhere, is an empty packet: the engine counts it. */
		if (start < sizeof(*head) || start > length)
			start = length;
		if (length >= sizeof(*head) && (head->type == VM_PKT_DATA_INBAND || head->type == VM_PKT_COMP))
			hvpci_rs_packet(bus->rust, head->type == VM_PKT_COMP, id, bus->packet + start, length - start);
	}
	raw_spin_unlock_irqrestore(&bus->ring_lock, flags);
	return taken;
}

void hvpci_shim_drain(struct hvpci_bus *bus)
{
	unsigned int budget = HVPCI_DRAIN_BUDGET;

	while (budget-- && take_packet(bus))
		;
}

static void hvpci_channel_callback(void *context)
{
	hvpci_shim_drain(context);
}

void hvpci_shim_delay(void)
{
	if (irqs_disabled()) {
		/* The wait is bounded, by a time that is longer than the watchdog's. */
		touch_nmi_watchdog();
		udelay(100);
	} else {
		usleep_range(50, 100);
	}
}

int hvpci_shim_open(struct hvpci_bus *bus)
{
	struct vmbus_channel *channel = bus->device->channel;
	int err;

	/* Transaction ids are the engine's: no requestor table. */
	channel->next_request_id_callback = NULL;
	channel->request_addr_callback = NULL;
	channel->rqstor_size = 0;
	channel->max_pkt_size = HVPCI_MAX_PACKET;
	WRITE_ONCE(bus->open, true);
	err = vmbus_open(channel, HVPCI_RING_BYTES, HVPCI_RING_BYTES, NULL, 0, hvpci_channel_callback, bus);
	if (err)
		WRITE_ONCE(bus->open, false);
	return err;
}

void hvpci_shim_close(struct hvpci_bus *bus)
{
	unsigned long flags;

	if (!bus->open)
		return;
	/* Whoever drains without the callback must be out of the ring before it goes. */
	raw_spin_lock_irqsave(&bus->ring_lock, flags);
	WRITE_ONCE(bus->open, false);
	raw_spin_unlock_irqrestore(&bus->ring_lock, flags);
	vmbus_close(bus->device->channel);
}

int hvpci_shim_send(struct hvpci_bus *bus, u64 id, bool completion, const u8 *payload, size_t length)
{
	u32 flags = completion ? VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED : 0;

	if (!READ_ONCE(bus->open) || hvpci_shim_rescinded(bus))
		return -ENODEV;
	return vmbus_sendpacket(bus->device->channel, (void *)payload, length, id, VM_PKT_DATA_INBAND, flags);
}

int hvpci_shim_reserve(struct hvpci_bus *bus, bool high, u64 size, u64 align, u64 *base)
{
	resource_size_t min = high ? SZ_4G : 0, max = high ? (resource_size_t)-1 : SZ_4G - 1;
	struct hvpci_range *range = kzalloc(sizeof(*range), GFP_KERNEL);
	int err;

	if (!range)
		return -ENOMEM;
	err = vmbus_allocate_mmio(&range->resource, bus->device, min, max, size, align, false);
	if (err) {
		kfree(range);
		return err;
	}
	/* A bridge window is no region of a driver: what lies in it is requested by others. */
	range->resource->flags |= IORESOURCE_WINDOW;
	range->resource->flags &= ~IORESOURCE_BUSY;
	mutex_lock(&bus->ranges_lock);
	list_add_tail(&range->node, &bus->ranges);
	mutex_unlock(&bus->ranges_lock);
	*base = range->resource->start;
	return 0;
}

void hvpci_shim_release(struct hvpci_bus *bus, u64 base, u64 size)
{
	struct hvpci_range *range, *found = NULL;

	mutex_lock(&bus->ranges_lock);
	list_for_each_entry(range, &bus->ranges, node) {
		if (range->resource->start == base && resource_size(range->resource) == size) {
			found = range;
			break;
		}
	}
	if (found)
		list_del(&found->node);
	mutex_unlock(&bus->ranges_lock);
	if (WARN_ON_ONCE(!found))
		return;
	hvpci_bridge_drop_window(bus, found->resource);
	found->resource->flags |= IORESOURCE_BUSY;
	vmbus_free_mmio(base, size);
	kfree(found);
}
