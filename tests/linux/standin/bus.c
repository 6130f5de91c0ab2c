// SPDX-License-Identifier: GPL-2.0
/*
 * The "vmbus" bus type: matching as VMBus does it (driver_override, new_id, id table), probe, remove.
 */
#define pr_fmt(fmt) "standin: " fmt
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>
#include "standin.h"

static const guid_t vpci_class =
	GUID_INIT(0x44c4f61d, 0x4444, 0x4400, 0x9d, 0x52, 0x80, 0x2e, 0x27, 0xed, 0xe1, 0x9f);
static struct device *root;

struct added_id {
	struct list_head list;
	struct hv_vmbus_device_id id;
};

static struct standin_bus *bus_of(struct device *device)
{
	return to_standin_bus(container_of(device, struct hv_device, device));
}

static const struct hv_vmbus_device_id any_id;

static const struct hv_vmbus_device_id *match_id(struct hv_driver *driver, struct standin_bus *bus)
{
	const struct hv_vmbus_device_id *id, *found = NULL;
	struct added_id *added;

	if (bus->override)
		return strcmp(bus->override, driver->name) ? NULL : &any_id;
	spin_lock(&driver->dynids.lock);
	list_for_each_entry(added, &driver->dynids.list, list)
		if (guid_equal(&added->id.guid, &bus->device.dev_type))
			found = &added->id;
	spin_unlock(&driver->dynids.lock);
	for (id = driver->id_table; !found && id && !guid_is_null(&id->guid); id++)
		if (guid_equal(&id->guid, &bus->device.dev_type))
			found = id;
	return found;
}

static struct hv_driver *driver_of(const struct device_driver *driver)
{
	return (struct hv_driver *)container_of(driver, struct hv_driver, driver);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int standin_match(struct device *device, const struct device_driver *driver)
#else
static int standin_match(struct device *device, struct device_driver *driver)
#endif
{
	return match_id(driver_of(driver), bus_of(device)) != NULL;
}

static int standin_probe(struct device *device)
{
	struct hv_driver *driver = driver_of(device->driver);
	struct standin_bus *bus = bus_of(device);
	const struct hv_vmbus_device_id *id = match_id(driver, bus);
	int error = driver->probe && id ? driver->probe(&bus->device, id) : -ENODEV;

	pr_info("bus %u: %s probe %d\n", bus->number, driver->name, error);
	return error;
}

static void standin_remove(struct device *device)
{
	struct hv_driver *driver = device->driver ? driver_of(device->driver) : NULL;

	if (driver && driver->remove)
		driver->remove(&bus_of(device)->device);
}

static ssize_t driver_override_show(struct device *device, struct device_attribute *attribute, char *page)
{
	ssize_t length;

	device_lock(device);
	length = sysfs_emit(page, "%s\n", bus_of(device)->override ?: "(null)");
	device_unlock(device);
	return length;
}

static ssize_t driver_override_store(struct device *device, struct device_attribute *attribute, const char *text,
				     size_t count)
{
	char *name = kstrndup(text, count, GFP_KERNEL);
	struct standin_bus *bus = bus_of(device);

	if (!name)
		return -ENOMEM;
	strim(name);
	device_lock(device);
	swap(name, bus->override);
	if (bus->override && !*bus->override) {
		kfree(bus->override);
		bus->override = NULL;
	}
	device_unlock(device);
	kfree(name);
	return count;
}
static DEVICE_ATTR_RW(driver_override);

static struct attribute *device_attrs[] = { &dev_attr_driver_override.attr, NULL };
ATTRIBUTE_GROUPS(device);

static ssize_t new_id_store(struct device_driver *device_driver, const char *text, size_t count)
{
	struct hv_driver *driver = driver_of(device_driver);
	struct added_id *added = kzalloc(sizeof(*added), GFP_KERNEL);
	int error;

	if (!added)
		return -ENOMEM;
	error = guid_parse(text, &added->id.guid);
	if (error) {
		kfree(added);
		return error;
	}
	spin_lock(&driver->dynids.lock);
	list_add_tail(&added->list, &driver->dynids.list);
	spin_unlock(&driver->dynids.lock);
	error = driver_attach(device_driver);
	return error ?: count;
}
static DRIVER_ATTR_WO(new_id);

static struct attribute *driver_attrs[] = { &driver_attr_new_id.attr, NULL };
ATTRIBUTE_GROUPS(driver);

static struct bus_type standin_bus_type = {
	.name = "vmbus",
	.match = standin_match,
	.probe = standin_probe,
	.remove = standin_remove,
	.dev_groups = device_groups,
	.drv_groups = driver_groups,
	.pm = &standin_pm_ops,
};

int __vmbus_driver_register(struct hv_driver *driver, struct module *owner, const char *name)
{
	driver->driver.name = driver->name;
	driver->driver.owner = owner;
	driver->driver.mod_name = name;
	driver->driver.bus = &standin_bus_type;
	spin_lock_init(&driver->dynids.lock);
	INIT_LIST_HEAD(&driver->dynids.list);
	return driver_register(&driver->driver);
}
EXPORT_SYMBOL_GPL(__vmbus_driver_register);

void vmbus_driver_unregister(struct hv_driver *driver)
{
	struct added_id *added, *next;

	driver_unregister(&driver->driver);
	list_for_each_entry_safe(added, next, &driver->dynids.list, list)
		kfree(added);
	INIT_LIST_HEAD(&driver->dynids.list);
}
EXPORT_SYMBOL_GPL(vmbus_driver_unregister);

static void standin_release(struct device *device)
{
	struct standin_bus *bus = bus_of(device);

	standin_channel_exit(bus);
	kfree(bus->override);
	kfree(bus);
}

int standin_bus_offer(u32 number)
{
	struct standin_bus *bus = kzalloc(sizeof(*bus), GFP_KERNEL);
	unsigned long flags;
	int error;

	if (!bus)
		return -ENOMEM;
	bus->number = number;
	bus->device.dev_type = vpci_class;
	spin_lock_irqsave(&standin_lock, flags);
	standin_instance(standin_host, number, &bus->device.dev_instance);
	spin_unlock_irqrestore(&standin_lock, flags);
	bus->device.vendor_id = 0x1414;
	bus->device.channel = &bus->channel;
	bus->channel.device_obj = &bus->device;
	standin_channel_init(bus);
	bus->device.device.bus = &standin_bus_type;
	bus->device.device.parent = root;
	bus->device.device.release = standin_release;
	bus->device.device.dma_parms = &bus->device.dma_parms;
	bus->device.device.dma_mask = &bus->device.dma_mask;
	dev_set_name(&bus->device.device, "%pUl", &bus->device.dev_instance);
	device_initialize(&bus->device.device);
	dma_set_mask(&bus->device.device, DMA_BIT_MASK(64));
	error = standin_bus_known(bus, true);
	if (!error) {
		error = device_add(&bus->device.device);
		if (error) {
			pr_err("bus %u: device_add failed\n", number);
			standin_bus_known(bus, false);
		}
	}
	if (error) {
		put_device(&bus->device.device);
		return error;
	}
	/* from here on the rescind work may take the device */
	WRITE_ONCE(bus->channel.probe_done, true);
	return 0;
}

void standin_bus_withdraw(struct standin_bus *bus)
{
	device_unregister(&bus->device.device);
}

int standin_bus_init(void)
{
	int error = bus_register(&standin_bus_type);

	if (error)
		return error;
	root = root_device_register("standin");
	if (IS_ERR(root)) {
		bus_unregister(&standin_bus_type);
		return PTR_ERR(root);
	}
	return 0;
}

void standin_bus_exit(void)
{
	root_device_unregister(root);
	bus_unregister(&standin_bus_type);
}
