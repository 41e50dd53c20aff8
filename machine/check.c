/* SPDX-License-Identifier: MIT */
/* What --check prints: the machine as its guest would find it. */
#include <asm/bootparam.h>
#include <string.h>

#include "host/text.h"
#include "machine/machine.h"
#include "mem/layout.h"

#define E820_RAM 1u

static void print_range(const char *what, uint64_t gpa, uint64_t bytes, const char *kind)
{
	text_print("%-8s 0x%llx-0x%llx %s\n", what, (unsigned long long)gpa,
		   (unsigned long long)(gpa + bytes - 1), kind);
}

/* As the kernel is told. */
static void print_memory(const struct machine *m, const struct boot_params *params)
{
	for (unsigned i = 0; i < params->e820_entries; i++) {
		const struct boot_e820_entry *entry = &params->e820_table[i];
		print_range("memory", entry->addr, entry->size,
			    entry->type == E820_RAM ? "usable" : "reserved");
	}
	text_print("%-8s entry 0x%llx end 0x%llx %s\n", "kernel",
		   (unsigned long long)m->kernel.entry_gpa, (unsigned long long)m->kernel.end_gpa,
		   m->config.kernel.text);
	if (params->hdr.ramdisk_size > 0)
		print_range("initrd", params->hdr.ramdisk_image, params->hdr.ramdisk_size,
			    m->config.initrd.text);
}

static void print_device(const struct machine *m, unsigned at, const char *kind, unsigned index,
			 const char *what)
{
	const struct device_window *window = &m->plan.virtio[at];

	text_print("%s%-*u window 0x%llx", kind, (int)(8 - strlen(kind)), index,
		   (unsigned long long)window->mmio_gpa);
	if (m->config.acpi)
		text_print(" acpi 0x%llx", (unsigned long long)window->acpi_gpa);
	text_print(" interrupt %u %s\n", window->gsi, what);
}

static void print_devices(const struct machine *m)
{
	const struct vm_config *config = &m->config;
	unsigned at = 0;
	char cid[16];

	if (config->serial != SERIAL_NONE)
		text_print("%-8s ports 0x%x-0x%x interrupt %u\n", "serial", LAYOUT_SERIAL_PORT,
			   LAYOUT_SERIAL_PORT + LAYOUT_SERIAL_PORTS - 1, LAYOUT_SERIAL_GSI);
	for (unsigned i = 0; i < config->n_disks; i++)
		print_device(m, at++, "disk", i, config->disks[i].file.text);
	for (unsigned i = 0; i < config->n_nets; i++)
		print_device(m, at++, "net", i, m->nics[i].name);
	text_format(cid, sizeof(cid), "cid %u", config->vsock.guest_cid);
	if (config->vsock.guest_cid != 0)
		print_device(m, at, "vsock", 0, cid);
}

void machine_print(const struct machine *m)
{
	struct boot_params params;

	guest_memory_read(&m->memory, LAYOUT_ZERO_PAGE_GPA, &params, sizeof(params));
	if (m->config.restore.text == NULL)
		print_memory(m, &params);
	else
		text_print("snapshot memory 0x%llx cpus %u %s\n",
			   (unsigned long long)m->config.mem_bytes, m->config.n_cpus,
			   m->config.restore.text);
	print_devices(m);
	if (m->config.restore.text == NULL)
		text_print("%-8s %s\n", "words", m->plan.cmdline);
	sandbox_print();
}
