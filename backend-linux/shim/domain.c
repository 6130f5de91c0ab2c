// SPDX-License-Identifier: MIT OR GPL-2.0
/* PCI domain numbers: one per bus, checked against every root bus there is, whoever made it. */
#include <linux/bitmap.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "hvpci.h"

static DEFINE_MUTEX(domains_lock);
/* Those of our buses; a number is taken before its root bus exists. */
static DECLARE_BITMAP(domains, 0x10000);

static bool domain_in_use(u32 domain)
{
	struct pci_bus *root = NULL;

	while ((root = pci_find_next_bus(root))) {
		if (pci_domain_nr(root) == domain)
			return true;
	}
	return false;
}

static bool domain_take(u32 domain)
{
	if (!domain || test_bit(domain, domains) || domain_in_use(domain))
		return false;
	set_bit(domain, domains);
	return true;
}

/* The domain the host's GUID asks for, or the first free one. 0 belongs to the machine. */
u32 hvpci_domain_get(u32 preferred)
{
	u32 domain = preferred;

	mutex_lock(&domains_lock);
	if (preferred > 0xffff || !domain_take(preferred)) {
		for (domain = 1; domain <= 0xffff; domain++) {
			if (domain_take(domain))
				break;
		}
		if (domain > 0xffff)
			domain = 0;
	}
	mutex_unlock(&domains_lock);
	return domain;
}

void hvpci_domain_put(u32 domain)
{
	clear_bit(domain, domains);
}
