// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI driver for the devices of the mock host: does what drivers do at probe, and writes down when and whether it worked.
 *
 * /sys/kernel/debug/hvpci-testdrv has a line per function:
 *	pci=DOMAIN:BUS:DEV.FN probe_ns=N bound_ns=N irqs=VECTORS counts=N,N,... cpus=N,N,...
 * with the times of ktime_get_ns(), as the stand-in's.
 *
 * Reading /sys/kernel/debug/hvpci-testdrv-check looks at every function, through config space and its BAR:
 *	pci=DOMAIN:BUS:DEV.FN sleeps=N wakes=N runtime=STATE command=0xN wrong=0xN
 * sleeps and wakes count the callbacks of system sleep and of runtime power management; wrong gathers what was wrong at any
 * wake-up and now, by the bits below.
 */
#define pr_fmt(fmt) "testdrv: " fmt
#include <linux/debugfs.h>
#include <linux/hyperv.h>
#include <linux/interrupt.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#define MOST_VECTORS 32

/* What can be wrong with a function. */
#define WRONG_COMMAND BIT(0)		/* memory decode or bus mastering is off */
#define WRONG_BAR BIT(1)		/* a BAR is not where the kernel has it */
#define WRONG_MSIX BIT(2)		/* MSI-X is off, or masked as a whole */
#define WRONG_MEMORY BIT(3)		/* what is written behind BAR 0 does not read back */
#define WRONG_STATE BIT(4)		/* not in D0 */

/* A place behind BAR 0 that is no table. */
#define SCRATCH 0xff0

static uint vectors = 4;
module_param(vectors, uint, 0444);
MODULE_PARM_DESC(vectors, "vectors to ask for");
static int block = -1;
module_param(block, int, 0444);
MODULE_PARM_DESC(block, "config block to read in probe, as mlx5 does; -1: none");
static bool msi;
module_param(msi, bool, 0444);
MODULE_PARM_DESC(msi, "allow MSI when there is no MSI-X");

struct vector {
	atomic_t count;
	int cpu;
};

struct bound {
	struct list_head list;
	struct pci_dev *device;
	void __iomem *registers;
	u64 probe_ns, bound_ns;
	int irqs, block_bytes;
	unsigned int sleeps, wakes, wrong;
	struct vector vectors[MOST_VECTORS];
};

static LIST_HEAD(all);
static DEFINE_MUTEX(lock);
static struct dentry *file, *checks;
static atomic_t invalidations;

static irqreturn_t handle(int irq, void *data)
{
	struct vector *vector = data;

	WRITE_ONCE(vector->cpu, raw_smp_processor_id());
	/* who sees the count sees where it was counted */
	smp_mb__before_atomic();
	atomic_inc(&vector->count);
	return IRQ_HANDLED;
}

static void invalidated(void *context, u64 mask)
{
	atomic_inc(&invalidations);
	pr_info("%s: blocks %#llx invalidated\n", pci_name(context), mask);
}

/* The functions of pci-hyperv-intf, looked up so that the driver loads without it. */
static int read_block(struct bound *bound)
{
	int (*read)(struct pci_dev *, void *, unsigned int, unsigned int, unsigned int *);
	int (*watch)(struct pci_dev *, void *, void (*)(void *, u64));
	unsigned int bytes = 0;
	int error = -ENOENT;
	char buffer[128];

	read = symbol_get(hyperv_read_cfg_blk);
	watch = symbol_get(hyperv_reg_block_invalidate);
	if (read && watch) {
		error = read(bound->device, buffer, sizeof(buffer), block, &bytes);
		if (!error)
			error = watch(bound->device, bound->device, invalidated);
	}
	if (read)
		symbol_put(hyperv_read_cfg_blk);
	if (watch)
		symbol_put(hyperv_reg_block_invalidate);
	bound->block_bytes = error ?: bytes;
	return error;
}

static void free_irqs(struct bound *bound, int count)
{
	while (count--)
		free_irq(pci_irq_vector(bound->device, count), &bound->vectors[count]);
	pci_free_irq_vectors(bound->device);
}

static u16 command_of(struct pci_dev *device)
{
	u16 command = 0;

	pci_read_config_word(device, PCI_COMMAND, &command);
	return command;
}

/* Is the function as its driver left it? */
static unsigned int check(struct bound *bound)
{
	const u16 on = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	struct pci_dev *device = bound->device;
	unsigned int wrong = 0, seen = bound->sleeps + 0x5a5a0000;
	u16 flags = 0;
	int bar;

	if ((command_of(device) & on) != on)
		wrong |= WRONG_COMMAND;
	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		u32 low = 0, high = 0;

		if (!pci_resource_len(device, bar))
			continue;
		pci_read_config_dword(device, PCI_BASE_ADDRESS_0 + bar * 4, &low);
		if (pci_resource_flags(device, bar) & IORESOURCE_MEM_64)
			pci_read_config_dword(device, PCI_BASE_ADDRESS_0 + bar * 4 + 4, &high);
		if (((u64)high << 32 | (low & ~0xfU)) != pci_resource_start(device, bar))
			wrong |= WRONG_BAR;
	}
	if (device->msix_enabled) {
		pci_read_config_word(device, device->msix_cap + PCI_MSIX_FLAGS, &flags);
		if ((flags & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)) != PCI_MSIX_FLAGS_ENABLE)
			wrong |= WRONG_MSIX;
	}
	iowrite32(seen, bound->registers + SCRATCH);
	if (ioread32(bound->registers + SCRATCH) != seen)
		wrong |= WRONG_MEMORY;
	if (device->current_state != PCI_D0)
		wrong |= WRONG_STATE;
	bound->wrong |= wrong;
	return wrong;
}

static int testdrv_sleep(struct device *dev)
{
	struct bound *bound = dev_get_drvdata(dev);

	bound->sleeps++;
	return 0;
}

static int testdrv_wake(struct device *dev)
{
	struct bound *bound = dev_get_drvdata(dev);

	bound->wakes++;
	if (check(bound))
		dev_info(dev, "testdrv: wrong after a sleep: %#x\n", bound->wrong);
	return 0;
}

static const struct dev_pm_ops testdrv_pm = {
	.suspend = testdrv_sleep, .resume = testdrv_wake,
	.freeze = testdrv_sleep, .thaw = testdrv_wake,
	.poweroff = testdrv_sleep, .restore = testdrv_wake,
	.runtime_suspend = testdrv_sleep, .runtime_resume = testdrv_wake,
};

static int testdrv_probe(struct pci_dev *device, const struct pci_device_id *id)
{
	struct bound *bound;
	int error, at;
	u64 start = ktime_get_ns();

	bound = kzalloc(sizeof(*bound), GFP_KERNEL);
	if (!bound)
		return -ENOMEM;
	bound->device = device;
	bound->probe_ns = start;
	if (block >= 0) {
		error = read_block(bound);
		if (error)
			goto no_enable;
	}
	error = pci_enable_device(device);
	if (error)
		goto no_enable;
	error = pci_request_regions(device, "hvpci_testdrv");
	if (error)
		goto no_regions;
	error = -ENOMEM;
	bound->registers = pci_iomap_range(device, 0, 0, PAGE_SIZE);
	if (!bound->registers)
		goto no_map;
	pci_set_master(device);
	error = pci_alloc_irq_vectors(device, 1, min(vectors, (uint)MOST_VECTORS),
				      PCI_IRQ_MSIX | (msi ? PCI_IRQ_MSI : 0));
	if (error < 0)
		goto no_vectors;
	bound->irqs = error;
	for (at = 0; at < bound->irqs; at++) {
		bound->vectors[at].cpu = -1;
		error = request_irq(pci_irq_vector(device, at), handle, 0, pci_name(device), &bound->vectors[at]);
		if (error) {
			free_irqs(bound, at);
			goto no_vectors;
		}
	}
	bound->bound_ns = ktime_get_ns();
	pci_set_drvdata(device, bound);
	mutex_lock(&lock);
	list_add_tail(&bound->list, &all);
	mutex_unlock(&lock);
	/* it may sleep whenever power/control says so, which by default it does not */
	pm_runtime_put_noidle(&device->dev);
	return 0;

no_vectors:
	pci_iounmap(device, bound->registers);
no_map:
	pci_release_regions(device);
no_regions:
	pci_disable_device(device);
no_enable:
	kfree(bound);
	pci_err(device, "testdrv: probe failed: %d\n", error);
	return error;
}

static void testdrv_remove(struct pci_dev *device)
{
	struct bound *bound = pci_get_drvdata(device);

	pm_runtime_get_sync(&device->dev);
	mutex_lock(&lock);
	list_del(&bound->list);
	mutex_unlock(&lock);
	free_irqs(bound, bound->irqs);
	pci_iounmap(device, bound->registers);
	pci_release_regions(device);
	pci_disable_device(device);
	kfree(bound);
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x10DE, 0x20B5) }, { PCI_DEVICE(0x1414, 0xC03E) }, {} };
static struct pci_driver driver = {
	.name = "hvpci_testdrv",
	.id_table = ids,
	.probe = testdrv_probe,
	.remove = testdrv_remove,
	.driver.pm = &testdrv_pm,
};

static int state_show(struct seq_file *out, void *unused)
{
	struct bound *bound;
	int at;

	mutex_lock(&lock);
	list_for_each_entry(bound, &all, list) {
		seq_printf(out, "pci=%s probe_ns=%llu bound_ns=%llu block=%d irqs=%d counts=", pci_name(bound->device),
			   bound->probe_ns, bound->bound_ns, bound->block_bytes, bound->irqs);
		for (at = 0; at < bound->irqs; at++)
			seq_printf(out, "%s%d", at ? "," : "", atomic_read(&bound->vectors[at].count));
		seq_puts(out, " cpus=");
		for (at = 0; at < bound->irqs; at++)
			seq_printf(out, "%s%d", at ? "," : "", READ_ONCE(bound->vectors[at].cpu));
		seq_puts(out, " irq=");
		for (at = 0; at < bound->irqs; at++)
			seq_printf(out, "%s%d", at ? "," : "", pci_irq_vector(bound->device, at));
		seq_puts(out, "\n");
	}
	mutex_unlock(&lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

static int checks_show(struct seq_file *out, void *unused)
{
	struct bound *bound;

	mutex_lock(&lock);
	list_for_each_entry(bound, &all, list) {
		struct device *dev = &bound->device->dev;

		/* one that sleeps is left asleep */
		if (pm_runtime_active(dev) || !pm_runtime_enabled(dev))
			check(bound);
		seq_printf(out, "pci=%s sleeps=%u wakes=%u runtime=%s command=%#x wrong=%#x\n", pci_name(bound->device),
			   bound->sleeps, bound->wakes, pm_runtime_suspended(dev) ? "suspended" : "active",
			   command_of(bound->device), bound->wrong);
	}
	mutex_unlock(&lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(checks);

static int __init testdrv_init(void)
{
	int error = pci_register_driver(&driver);

	if (error)
		return error;
	file = debugfs_create_file("hvpci-testdrv", 0400, NULL, NULL, &state_fops);
	checks = debugfs_create_file("hvpci-testdrv-check", 0400, NULL, NULL, &checks_fops);
	return 0;
}

static void __exit testdrv_exit(void)
{
	debugfs_remove(file);
	debugfs_remove(checks);
	pci_unregister_driver(&driver);
}

module_init(testdrv_init);
module_exit(testdrv_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test driver for the devices of hvpci's mock host");
