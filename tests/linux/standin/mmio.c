// SPDX-License-Identifier: GPL-2.0
/*
 * Guest-physical ranges for config windows and BARs.
 *
 * QEMU's ivshmem devices give ranges with memory behind them: a large one for BARs, so that an MSI-X table a guest writes can
 * be read back, and a small one for config windows (which nobody touches while config accesses are hypercalls; see window.c).
 * Ranges below 4 GiB come from the hole of the machine's own PCI bus and have nothing behind them.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include "standin.h"

#define SMALL_BYTES SZ_1M

struct held {
	struct list_head list;
	struct resource *resource;
	u32 bus;
};

static LIST_HEAD(held);
static DEFINE_MUTEX(lock);
static struct pci_dev *large, *small;

static struct resource *low_hole(void)
{
	struct resource *child;

	for (child = iomem_resource.child; child; child = child->sibling)
		if (child->start <= 0xD0000000 && child->end >= 0xDFFFFFFF)
			return child;
	return NULL;
}

int vmbus_allocate_mmio(struct resource **out, struct hv_device *device, resource_size_t min, resource_size_t max,
			resource_size_t size, resource_size_t align, bool fb_overlap_ok)
{
	struct standin_bus *bus = to_standin_bus(device);
	struct resource *parent;
	struct held *range;
	unsigned long flags;
	int error = -ENOMEM;

	if (max <= U32_MAX)
		parent = low_hole();
	else
		parent = &(size <= SMALL_BYTES ? small : large)->resource[2];
	if (!parent)
		return -ENXIO;
	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return -ENOMEM;
	range->resource = kzalloc(sizeof(*range->resource), GFP_KERNEL);
	if (!range->resource)
		goto failed;
	range->bus = bus->number;
	range->resource->name = "hyperv mmio";
	range->resource->flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	error = allocate_resource(parent, range->resource, size, max(min, parent->start), min(max, parent->end), align,
				  NULL, NULL);
	if (error) {
		pr_info("bus %u: no %#llx bytes in %pR\n", bus->number, (u64)size, parent);
		goto failed;
	}
	mutex_lock(&lock);
	list_add(&range->list, &held);
	mutex_unlock(&lock);
	spin_lock_irqsave(&standin_lock, flags);
	standin_aperture(standin_host, range->bus, range->resource->start, size, true);
	spin_unlock_irqrestore(&standin_lock, flags);
	*out = range->resource;
	return 0;

failed:
	kfree(range->resource);
	kfree(range);
	return error;
}
EXPORT_SYMBOL_GPL(vmbus_allocate_mmio);

static void give_back(struct held *range)
{
	unsigned long flags;

	list_del(&range->list);
	spin_lock_irqsave(&standin_lock, flags);
	standin_aperture(standin_host, range->bus, range->resource->start, resource_size(range->resource), false);
	spin_unlock_irqrestore(&standin_lock, flags);
	release_resource(range->resource);
	kfree(range->resource);
	kfree(range);
}

void vmbus_free_mmio(resource_size_t start, resource_size_t size)
{
	struct held *range, *next;
	bool found = false;

	mutex_lock(&lock);
	list_for_each_entry_safe(range, next, &held, list)
		if (range->resource->start == start && resource_size(range->resource) == size) {
			give_back(range);
			found = true;
		}
	mutex_unlock(&lock);
	if (!found)
		pr_err("vmbus_free_mmio of %#llx, %#llx bytes, which nobody holds\n", (u64)start, (u64)size);
}
EXPORT_SYMBOL_GPL(vmbus_free_mmio);

unsigned int standin_mmio_held(void)
{
	struct held *range;
	unsigned int count = 0;

	mutex_lock(&lock);
	list_for_each_entry(range, &held, list)
		count++;
	mutex_unlock(&lock);
	return count;
}

/* Where config windows lie. */
const struct resource *standin_mmio_small(void)
{
	return &small->resource[2];
}

int standin_mmio_init(void)
{
	struct pci_dev *found = NULL;

	while ((found = pci_get_device(0x1AF4, 0x1110, found))) {
		struct pci_dev **place;

		place = resource_size(&found->resource[2]) > SZ_1G ? &large : &small;
		if (!*place && !pci_enable_device(found))
			*place = pci_dev_get(found);
	}
	if (large && small)
		return 0;
	pr_err("QEMU needs two ivshmem-plain devices, one of terabytes and one of megabytes\n");
	standin_mmio_exit();
	return -ENODEV;
}

void standin_mmio_exit(void)
{
	struct held *range, *next;

	list_for_each_entry_safe(range, next, &held, list)
		give_back(range);
	pci_dev_put(large);
	pci_dev_put(small);
	large = small = NULL;
}
