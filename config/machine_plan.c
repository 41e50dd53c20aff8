/* SPDX-License-Identifier: MIT */
#include "config/machine_plan.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "host/text.h"

static_assert(LAYOUT_VIRTIO_FIRST_GSI + MAX_VIRTIO <= LAYOUT_IOAPIC_PINS,
	      "every device needs an IOAPIC pin of its own");

/* The fast-boot words. docs/guest.md repeats the reasons. */
static const char *const default_words[] = {
	"quiet", /* each console byte costs an exit; errors are still printed */
	/* Reset by the i8042, at once: the VM ends, no chip needs to be shut down. A panic leaves its mark (machine/finish.c); a
	 * kernel before 5.2 takes the first word for a type, which the second undoes. */
	"reboot=panic_warm,k,f",
	"tsc=reliable",   /* no watchdog that re-measures the TSC: KVM keeps it steady */
	"no_timer_check", /* the PIT's wiring to the IOAPIC needs no proof by waiting for ticks */
	"pci=off",        /* there is no PCI bus: no configuration-port probing */
	"cryptomgr.notests",   /* the ciphers need no proof at every boot */
	"noreplace-smp",       /* lock prefixes stay: patching them away costs more than they do */
	"random.trust_cpu=on", /* RDRAND seeds the generator: no wait for entropy */
};

struct cmdline_writer {
	char *text;
	size_t capacity, length; /* length grows past capacity when text does not fit */
};

__attribute__((format(printf, 2, 3))) static void add_word(struct cmdline_writer *writer,
							   const char *format, ...)
{
	size_t room = writer->length < writer->capacity ? writer->capacity - writer->length : 0;
	char *at = room ? writer->text + writer->length : NULL;
	va_list args;

	if (writer->length != 0) {
		if (room > 1)
			*at++ = ' ', room--;
		writer->length++;
	}
	va_start(args, format);
	int n = text_format_list(room ? at : NULL, room, format, args);
	va_end(args);
	writer->length += n > 0 ? (size_t)n : 0;
}

/* Whether the user's words have this one; with a name, which ends in '=', whether they have a value for it. Each word that Linux
 * looks up costs Debian's kernels 140,000 to 220,000 instructions. Behind "--" they are init's. */
static bool is_given(const char *words, const char *word)
{
	size_t length = strlen(word), n;
	bool is_name = word[length - 1] == '=';

	for (; *words != '\0'; words += n + (words[n] != '\0')) {
		n = strcspn(words, " ");
		if (n == 2 && memcmp(words, "--", 2) == 0)
			return false;
		if ((is_name ? n > length : n == length) && memcmp(words, word, length) == 0)
			return true;
	}
	return false;
}

/* Of several values of such a name the last one counts: the user's. */
static void add_value(struct cmdline_writer *writer, const struct vm_config *config,
		      const char *name, int value)
{
	if (!is_given(config->cmdline, name))
		add_word(writer, "%s%d", name, value);
}

static void add_defaults(struct cmdline_writer *writer, const struct vm_config *config)
{
	for (size_t i = 0; i < sizeof(default_words) / sizeof(default_words[0]); i++)
		if (!is_given(config->cmdline, default_words[i]))
			add_word(writer, "%s", default_words[i]);
	/* Reset at once after a panic; its text is printed first. */
	add_value(writer, config, "panic=", -1);
	/* A kernel for thousands of processors looks at each of their places, before it has counted those that are there. */
	add_value(writer, config, "nr_cpus=", (int)config->n_cpus);
	if (config->mem_bytes > LAYOUT_MMIO_HOLE_GPA)
		/* No 64 MiB bounce buffer for what lies above 4 GiB: virtio reaches all of the memory. */
		add_word(writer, "swiotlb=noforce");
	if (config->serial != SERIAL_NONE)
		add_word(writer, "console=ttyS0");
	/* Not more of the four legacy ports are probed for a UART than there are. */
	add_value(writer, config, "8250.nr_uarts=", config->serial != SERIAL_NONE);
	if (config->has_rootfs)
		add_word(writer, "root=/dev/vda %s", config->disks[0].read_only ? "ro" : "rw");
}

/* In order, but the clock's last: a driver that takes the ports of CMOS for a clock wants its GSI for itself. */
static uint32_t virtio_gsi(unsigned index)
{
	uint32_t gsi = LAYOUT_VIRTIO_FIRST_GSI + index;

	if (gsi >= LAYOUT_RTC_GSI)
		gsi++;
	return gsi < LAYOUT_IOAPIC_PINS ? gsi : LAYOUT_RTC_GSI;
}

static bool write_cmdline(struct machine_plan *plan, const struct vm_config *config,
			  struct error_text *error)
{
	struct cmdline_writer writer = { plan->cmdline, sizeof(plan->cmdline), 0 };

	if (!config->no_default_cmdline)
		add_defaults(&writer, config);
	for (unsigned i = 0; i < plan->n_virtio; i++)
		add_word(&writer, "virtio_mmio.device=4K@0x%llx:%u",
			 (unsigned long long)plan->virtio[i].mmio_gpa, plan->virtio[i].gsi);
	if (config->cmdline[0] != '\0')
		add_word(&writer, "%s", config->cmdline);
	if (writer.length < sizeof(plan->cmdline))
		return true;
	error_set(error,
		  "--cmdline: the kernel command line would be %zu bytes, Linux takes at most %d",
		  writer.length, CMDLINE_MAX_BYTES - 1);
	error->option = "--cmdline";
	error->value = config->cmdline;
	return false;
}

bool machine_plan_make(struct machine_plan *plan, const struct vm_config *config,
		       struct error_text *error)
{
	*plan = (struct machine_plan){
		.n_virtio = config->n_disks + config->n_nets + (config->vsock.guest_cid != 0),
	};
	if (plan->n_virtio > MAX_VIRTIO)
		return error_set(
			error, "%u disks, network interfaces and vsocks, at most %d are supported",
			plan->n_virtio, MAX_VIRTIO);
	for (unsigned i = 0; i < plan->n_virtio; i++) {
		struct device_window *window = &plan->virtio[i];
		window->mmio_gpa = LAYOUT_VIRTIO_GPA + (uint64_t)i * LAYOUT_VIRTIO_BYTES;
		window->acpi_gpa = LAYOUT_VIRTIO_ACPI_GPA + (uint64_t)i * LAYOUT_VIRTIO_BYTES;
		window->gsi = virtio_gsi(i);
	}
	return config->restore.text != NULL || write_cmdline(plan, config, error);
}
