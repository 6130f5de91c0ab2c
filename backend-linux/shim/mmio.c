// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The config window: two pages, the slot selector at offset 0 of the first, the selected function's config space in the
 * second. By loads and stores, or by hypercall where the host can't decode the guest's instructions.
 *
 * All accessors are called with the config lock held: interrupts are off.
 */
#include <linux/hyperv.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <asm/mshyperv.h>

#include "hvpci.h"

#define HVPCI_WINDOW_BYTES (2 * SZ_4K)
#define HVPCI_CONFIG_PAGE SZ_4K

/* Not in the headers of every kernel (reference/protocol.md section 7). */
#define HVPCI_HINT_MMIO_HYPERCALLS BIT(21)
#define HVPCI_CALL_MMIO_READ 0x0106
#define HVPCI_CALL_MMIO_WRITE 0x0107

/* Input of both hypercalls; the read's output is the data alone. */
struct mmio_call {
	u64 address;
	u32 size;
	u32 reserved;
	u8 data[64];
};

/*
 * The two hypercalls. The input page is the CPU's own, and interrupts are off. They stand in functions of their own so
 * that a tracer can see them.
 */
static noinline u64 mmio_read_call(u64 address, u32 bytes, u32 *value)
{
	struct mmio_call *input = *this_cpu_ptr(hyperv_pcpu_input_arg);
	/* The rest of the page is free for the answer. */
	u8 *output;
	u64 status;

	if (WARN_ON_ONCE(!input))
		return U64_MAX;
	output = (u8 *)input + 256;
	input->address = address;
	input->size = bytes;
	input->reserved = 0;
	status = hv_do_hypercall(HVPCI_CALL_MMIO_READ, input, output);
	*value = 0;
	memcpy(value, output, bytes);
	return status;
}

static noinline u64 mmio_write_call(u64 address, u32 bytes, u32 value)
{
	struct mmio_call *input = *this_cpu_ptr(hyperv_pcpu_input_arg);

	if (WARN_ON_ONCE(!input))
		return U64_MAX;
	input->address = address;
	input->size = bytes;
	input->reserved = 0;
	memcpy(input->data, &value, bytes);
	return hv_do_hypercall(HVPCI_CALL_MMIO_WRITE, input, NULL);
}

/* Loads and stores, with full barriers: the host must see the selection before the access, and the access now. */
static u32 mapped_read(void __iomem *at, u32 bytes)
{
	u32 value;

	if (bytes == 1)
		value = readb(at);
	else if (bytes == 2)
		value = readw(at);
	else
		value = readl(at);
	mb();
	return value;
}

static void mapped_write(void __iomem *at, u32 bytes, u32 value)
{
	if (bytes == 1)
		writeb(value, at);
	else if (bytes == 2)
		writew(value, at);
	else
		writel(value, at);
	mb();
}

/* Out of line: the accessors are loads and stores and little else, as check.sh looks for. */
static noinline bool call_failed(struct hvpci_bus *bus, const char *what, u32 offset, u64 status)
{
	if (hv_result_success(status))
		return false;
	dev_err_ratelimited(&bus->device->device, "config window: %s %#x: hypercall status %#x\n", what, offset,
			    hv_result(status));
	return true;
}

bool hvpci_shim_select(struct hvpci_bus *bus, u32 slot)
{
	if (!bus->window_address)
		return false;
	if (bus->window_calls)
		return !call_failed(bus, "select slot", slot, mmio_write_call(bus->window_address, 4, slot));
	mapped_write(bus->window_mapping, 4, slot);
	return true;
}

u32 hvpci_shim_window_read(struct hvpci_bus *bus, u32 offset, u32 bytes)
{
	u32 value;

	if (!bus->window_address || offset > SZ_4K - 4 + (4 - bytes))
		return U32_MAX;
	if (!bus->window_calls)
		return mapped_read(bus->window_mapping + HVPCI_CONFIG_PAGE + offset, bytes);
	if (call_failed(bus, "read at", offset,
			mmio_read_call(bus->window_address + HVPCI_CONFIG_PAGE + offset, bytes, &value)))
		return U32_MAX;
	return value;
}

void hvpci_shim_window_write(struct hvpci_bus *bus, u32 offset, u32 bytes, u32 value)
{
	if (!bus->window_address || offset > SZ_4K - 4 + (4 - bytes))
		return;
	if (!bus->window_calls)
		mapped_write(bus->window_mapping + HVPCI_CONFIG_PAGE + offset, bytes, value);
	else
		call_failed(bus, "write at", offset,
			    mmio_write_call(bus->window_address + HVPCI_CONFIG_PAGE + offset, bytes, value));
}

int hvpci_shim_map_window(struct hvpci_bus *bus, u64 *address)
{
	bool calls = ms_hyperv.hints & HVPCI_HINT_MMIO_HYPERCALLS;
	void __iomem *mapping = NULL;
	struct resource *window;
	unsigned long flags;
	int err;

	err = vmbus_allocate_mmio(&window, bus->device, 0, -1, HVPCI_WINDOW_BYTES, SZ_4K, false);
	if (err)
		return err;
	if (!calls) {
		mapping = ioremap(window->start, HVPCI_WINDOW_BYTES);
		if (!mapping) {
			vmbus_free_mmio(window->start, HVPCI_WINDOW_BYTES);
			return -ENOMEM;
		}
	}
	/* The window is ours and nobody else's. */
	window->flags |= IORESOURCE_BUSY;
	raw_spin_lock_irqsave(&bus->config_lock, flags);
	bus->window = window;
	bus->window_mapping = mapping;
	bus->window_calls = calls;
	bus->window_address = window->start;
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	*address = window->start;
	return 0;
}

void hvpci_shim_unmap_window(struct hvpci_bus *bus)
{
	void __iomem *mapping;
	unsigned long flags;
	u64 address;

	raw_spin_lock_irqsave(&bus->config_lock, flags);
	mapping = bus->window_mapping;
	address = bus->window_address;
	bus->window = NULL;
	bus->window_mapping = NULL;
	bus->window_address = 0;
	raw_spin_unlock_irqrestore(&bus->config_lock, flags);
	if (mapping)
		iounmap(mapping);
	if (address)
		vmbus_free_mmio(address, HVPCI_WINDOW_BYTES);
}
