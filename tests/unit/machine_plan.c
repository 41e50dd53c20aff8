/* SPDX-License-Identifier: MIT */
/* vm_config to device windows, GSIs and the kernel command line. */
#include "config/machine_plan.h"

#include "mem/layout.h"
#include "tests/unit/check.h"

static struct machine_plan plan;
static struct error_text error;

static struct vm_config plain_config(void)
{
	return (struct vm_config){
		.kernel.text = "k", .cmdline = "", .mem_bytes = 128 << 20, .n_cpus = 1
	};
}

static bool has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		if ((at == text || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' '))
			return true;
	return false;
}

static void test_default_words(void)
{
	static const char *const words[] = {
		"quiet",           "reboot=panic_warm,k,f", "panic=-1",
		"tsc=reliable",    "no_timer_check",        "pci=off",
		"nr_cpus=1",       "random.trust_cpu=on",   "console=ttyS0",
		"8250.nr_uarts=1", "cryptomgr.notests",     "noreplace-smp",
	};
	struct vm_config config = plain_config();

	CHECK(machine_plan_make(&plan, &config, &error));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!has_word(plan.cmdline, words[i]))
			CHECK_HAS(plan.cmdline, words[i]);
	/* It would forbid modules for good: kernels whose drivers are modules could not boot. */
	CHECK(!has_word(plan.cmdline, "nomodule"));
	/* Kernels boot sooner without some of their initcalls; the user must have chosen that. */
	CHECK(strstr(plan.cmdline, "initcall_blacklist") == NULL);
	/* Nor what the reset port spares its driver. */
	CHECK(strstr(plan.cmdline, "i8042") == NULL);
	CHECK(strstr(plan.cmdline, "swiotlb") == NULL);
	CHECK(strstr(plan.cmdline, "root=") == NULL);
	CHECK(strstr(plan.cmdline, "virtio_mmio") == NULL);
	CHECK(strstr(plan.cmdline, "  ") == NULL);
	CHECK_EQ(plan.n_virtio, 0);
}

static void test_words_by_size(void)
{
	struct vm_config config = plain_config();

	config.n_cpus = 254;
	config.mem_bytes = LAYOUT_MMIO_HOLE_GPA;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(has_word(plan.cmdline, "nr_cpus=254"));
	CHECK(strstr(plan.cmdline, "swiotlb") == NULL);
	config.mem_bytes += 1 << 20;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(has_word(plan.cmdline, "swiotlb=noforce"));
}

static unsigned count_words(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		n++;
	return n;
}

static void test_words_given_twice(void)
{
	struct vm_config config = plain_config();

	config.cmdline = "panic=-1  quiet";
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_EQ(count_words(plan.cmdline, "quiet"), 1);
	CHECK_EQ(count_words(plan.cmdline, "panic=-1"), 1);
	CHECK_EQ(count_words(plan.cmdline, "tsc=reliable"), 1);
	/* Another word, another value of what adds up, words of init's. */
	config.cmdline = "quieter tsc=reliablest -- pci=off nr_cpus=3";
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(has_word(plan.cmdline, "quiet") && has_word(plan.cmdline, "tsc=reliable"));
	CHECK_EQ(count_words(plan.cmdline, "pci=off"), 2);
	CHECK_EQ(count_words(plan.cmdline, "nr_cpus="), 2);
}

/* Where the last value counts the user's is the only one. */
static void test_other_values(void)
{
	static const char *const given[] = { "panic=10", "nr_cpus=3", "8250.nr_uarts=4" };
	struct vm_config config = plain_config();

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		char name[32];
		config.cmdline = given[i];
		snprintf(name, sizeof(name), "%.*s=", (int)strcspn(given[i], "="), given[i]);
		CHECK(machine_plan_make(&plan, &config, &error));
		CHECK_EQ(count_words(plan.cmdline, name), 1);
		CHECK(has_word(plan.cmdline, given[i]));
	}
	config.cmdline = "panic_on_warn=1 nr_cpus= 8250.nr_uarts";
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(has_word(plan.cmdline, "panic=-1") && has_word(plan.cmdline, "nr_cpus=1"));
	CHECK(has_word(plan.cmdline, "8250.nr_uarts=1"));
}

static void test_serial_none(void)
{
	struct vm_config config = plain_config();

	config.serial = SERIAL_NONE;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(has_word(plan.cmdline, "8250.nr_uarts=0"));
	CHECK(strstr(plan.cmdline, "console=") == NULL);
}

static void test_root(void)
{
	struct vm_config config = plain_config();

	config.has_rootfs = true;
	config.n_disks = 1;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_HAS(plan.cmdline, " root=/dev/vda rw ");
	config.disks[0].read_only = true;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_HAS(plan.cmdline, " root=/dev/vda ro ");
	config.has_rootfs = false;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK(strstr(plan.cmdline, "root=") == NULL);
}

/* Every device has a window and a pin of its own, and the kernel is told of it. */
static void test_windows_and_gsis(void)
{
	struct vm_config config = plain_config();
	uint32_t used_gsis =
		1u << LAYOUT_TIMER_GSI | 1u << LAYOUT_TIMER_IOAPIC_PIN | 1u << LAYOUT_SERIAL_GSI;
	char word[64];

	config.n_disks = MAX_DISKS;
	config.n_nets = 2;
	config.vsock.guest_cid = 3;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_EQ(plan.n_virtio, MAX_VIRTIO);
	for (unsigned i = 0; i < MAX_VIRTIO; i++) {
		const struct device_window *window = &plan.virtio[i];
		/* The clock's, which an old driver wants for itself, goes to the last. */
		CHECK_EQ(window->gsi == 8, i == MAX_VIRTIO - 1);
		CHECK(window->gsi < LAYOUT_IOAPIC_PINS);
		CHECK(!(used_gsis & 1u << window->gsi));
		used_gsis |= 1u << window->gsi;
		CHECK_EQ(window->mmio_gpa % 4096, 0);
		CHECK(window->mmio_gpa >= LAYOUT_BOOT_TIMER_GPA + LAYOUT_BOOT_TIMER_BYTES);
		CHECK(window->mmio_gpa + LAYOUT_VIRTIO_BYTES <= LAYOUT_VIRTIO_ACPI_GPA);
		CHECK_EQ(window->acpi_gpa, window->mmio_gpa + 0x100000);
		for (unsigned k = 0; k < i; k++)
			CHECK(plan.virtio[k].mmio_gpa + LAYOUT_VIRTIO_BYTES <= window->mmio_gpa ||
			      window->mmio_gpa + LAYOUT_VIRTIO_BYTES <= plan.virtio[k].mmio_gpa);
		snprintf(word, sizeof(word), "virtio_mmio.device=4K@0x%llx:%u",
			 (unsigned long long)window->mmio_gpa, window->gsi);
		CHECK(has_word(plan.cmdline, word));
	}
}

/* /dev/vda is the first device that the kernel is told of. */
static void test_disks_are_in_order(void)
{
	struct vm_config config = plain_config();

	config.n_disks = 3;
	CHECK(machine_plan_make(&plan, &config, &error));
	const char *at = plan.cmdline;
	for (unsigned i = 0; i < 3; i++) {
		char address[32];
		snprintf(address, sizeof(address),
			 "@0x%llx:", (unsigned long long)plan.virtio[i].mmio_gpa);
		at = strstr(at, address);
		CHECK(at != NULL);
	}
}

static void test_user_words_come_last(void)
{
	struct vm_config config = plain_config();

	config.n_disks = 1;
	config.cmdline = "panic=5 init=/bin/sh -- a";
	CHECK(machine_plan_make(&plan, &config, &error));
	const char *user = strstr(plan.cmdline, " panic=5 init=/bin/sh -- a");
	CHECK(user != NULL && strlen(user) == strlen(" panic=5 init=/bin/sh -- a"));
	CHECK(strstr(plan.cmdline, "panic=-1") < user);
}

static void test_no_defaults(void)
{
	struct vm_config config = plain_config();

	config.no_default_cmdline = true;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_STRING(plan.cmdline, "");
	config.cmdline = "x";
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_STRING(plan.cmdline, "x");
	config.n_disks = 1;
	config.has_rootfs = true;
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_STRING(plan.cmdline, "virtio_mmio.device=4K@0xc0001000:5 x");
}

/* Linux takes 2047 bytes and a zero: the longest fits exactly, one more is refused. */
static void test_too_long(void)
{
	static char words[CMDLINE_MAX_BYTES + 1000];
	struct vm_config config = plain_config();

	config.cmdline = words;
	CHECK(machine_plan_make(&plan, &config, &error));
	size_t room = CMDLINE_MAX_BYTES - 1 - strlen(plan.cmdline) - 1;
	memset(words, 'a', room);
	CHECK(machine_plan_make(&plan, &config, &error));
	CHECK_EQ(strlen(plan.cmdline), CMDLINE_MAX_BYTES - 1);
	words[room] = 'a';
	CHECK(!machine_plan_make(&plan, &config, &error));
	CHECK_HAS(error.text, "would be 2048 bytes");
	memset(words, 'a', sizeof(words) - 1);
	config.n_disks = MAX_DISKS;
	CHECK(!machine_plan_make(&plan, &config, &error));
	CHECK_HAS(error.text, "at most 2047");
}

int main(void)
{
	RUN(test_default_words);
	RUN(test_words_by_size);
	RUN(test_words_given_twice);
	RUN(test_other_values);
	RUN(test_serial_none);
	RUN(test_root);
	RUN(test_windows_and_gsis);
	RUN(test_disks_are_in_order);
	RUN(test_user_words_come_last);
	RUN(test_no_defaults);
	RUN(test_too_long);
	return 0;
}
