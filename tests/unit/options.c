/* SPDX-License-Identifier: MIT */
/* argv to struct vm_config. */
#include "config/options.h"

#include <stdarg.h>

#include "tests/unit/check.h"

#define MAX_ARGUMENTS 64

/* The last parsed command line; options_parse() keeps pointers into it and cuts it. */
static char arguments[MAX_ARGUMENTS][256];
static struct vm_config config;
static struct error_text error;

/* Parses "vmm", then the arguments up to NULL. */
static enum options_result parse(const char *first, ...)
{
	char *argv[MAX_ARGUMENTS + 1] = { arguments[0] };
	int argc = 1;
	va_list list;

	strcpy(arguments[0], "vmm");
	va_start(list, first);
	for (const char *next = first; next != NULL; next = va_arg(list, const char *)) {
		CHECK(argc < MAX_ARGUMENTS);
		snprintf(arguments[argc], sizeof(arguments[0]), "%s", next);
		argv[argc] = arguments[argc];
		argc++;
	}
	va_end(list);
	error.text[0] = '\0';
	return options_parse(&config, argc, argv, &error);
}

/* The option is refused in both spellings, and the message holds `part`. */
static void check_refused(const char *name, const char *value, const char *part)
{
	char joined[256];

	snprintf(joined, sizeof(joined), "%s=%s", name, value);
	if (parse("--kernel", "k", joined, NULL) != OPTIONS_BAD)
		fprintf(stderr, "%s was taken\n", joined);
	CHECK_EQ(parse("--kernel", "k", joined, NULL), OPTIONS_BAD);
	CHECK_HAS(error.text, part);
	CHECK_HAS(error.text, name);
	CHECK_EQ(parse("--kernel", "k", name, value, NULL), OPTIONS_BAD);
	CHECK_HAS(error.text, part);
}

static void test_defaults(void)
{
	CHECK_EQ(parse("--kernel", "vmlinux", NULL), OPTIONS_RUN);
	CHECK_STRING(config.kernel.text, "vmlinux");
	CHECK(config.initrd.text == NULL);
	CHECK_STRING(config.cmdline, "");
	CHECK_EQ(config.no_default_cmdline, false);
	CHECK_EQ(config.has_rootfs, false);
	CHECK_EQ(config.n_disks, 0);
	CHECK_EQ(config.mem_bytes, 128 << 20);
	CHECK_EQ(config.n_cpus, 1);
	CHECK_EQ(config.acpi, true);
	CHECK_EQ(config.serial, SERIAL_STDIO);
	CHECK_EQ(config.boot_timer, false);
}

static void check_everything(void)
{
	CHECK_STRING(config.kernel.text, "k");
	CHECK_STRING(config.initrd.text, "i");
	CHECK_STRING(config.cmdline, "a=b c");
	CHECK_EQ(config.has_rootfs, true);
	CHECK_EQ(config.n_disks, 2);
	CHECK_STRING(config.disks[0].file.text, "r");
	CHECK_STRING(config.disks[1].file.text, "d");
	CHECK_EQ(config.disks[1].read_only, true);
	CHECK_EQ(config.mem_bytes, 64 << 20);
	CHECK_EQ(config.n_cpus, 4);
	CHECK_EQ(config.serial, SERIAL_FILE);
	CHECK_STRING(config.serial_file.text, "s");
	CHECK_EQ(config.boot_timer, true);
	CHECK_EQ(config.no_default_cmdline, true);
}

static void test_both_spellings(void)
{
	CHECK_EQ(parse("--kernel", "k", "--initrd", "i", "--cmdline", "a=b c", "--disk", "d,ro",
		       "--rootfs", "r", "--mem", "64M", "--cpus", "4", "--serial", "file:s",
		       "--boot-timer", "--no-default-cmdline", NULL),
		 OPTIONS_RUN);
	check_everything();
	CHECK_EQ(parse("--kernel=k", "--initrd=i", "--cmdline=a=b c", "--disk=d,ro", "--rootfs=r",
		       "--mem=64M", "--cpus=4", "--serial=file:s", "--boot-timer",
		       "--no-default-cmdline", NULL),
		 OPTIONS_RUN);
	check_everything();
}

static void test_mem(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "2M", 2ull << 20 },       { "2048K", 2ull << 20 }, { "2097152", 2ull << 20 },
		{ "64m", 64ull << 20 },     { "8G", 8ull << 30 },    { "1024g", 1024ull << 30 },
		{ "2052k", 2052ull << 10 },
	};
	static const char *const bad[] = {
		"0",
		"1M",
		"2047K",
		"-1",
		"-128M",
		"1025G",
		"1T",
		"",
		"M",
		"3k2",
		"12 M",
		" 12M",
		"12MB",
		"0x100M",
		"1.5G",
		"2050K1",
		"+64M",
		"2097153",
		"2049K1",
		"18446744073709551615",
		"18446744073709551616",
		"18014398509481985K",
		"17179869185G",
		"99999999999999999999999G",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CHECK_EQ(parse("--kernel", "k", "--mem", good[i].text, NULL), OPTIONS_RUN);
		CHECK_EQ(config.mem_bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused("--mem", bad[i], "expected a size");
}

static void test_memory_pages(void)
{
	CHECK_EQ(parse("--kernel", "k", "--mem", "64M", NULL), OPTIONS_RUN);
	CHECK_EQ(config.mem_pages, PAGES_TRANSPARENT);
	CHECK_EQ(parse("--kernel", "k", "--mem", "2052K,4k", NULL), OPTIONS_RUN);
	CHECK_EQ(config.mem_pages, PAGES_4K);
	CHECK_EQ(config.mem_bytes, 2052 << 10);
	CHECK_EQ(parse("--kernel", "k", "--mem=6M,hugetlb", NULL), OPTIONS_RUN);
	CHECK_EQ(config.mem_pages, PAGES_HUGETLB);
	CHECK_EQ(config.mem_bytes, 6 << 20);
	check_refused("--mem", "7M,hugetlb", "whole 2M pages");
	check_refused("--mem", "2052K,hugetlb", "whole 2M pages");
	check_refused("--mem", "64M,", "expected 4k or hugetlb behind the size, not ''");
	check_refused("--mem", "64M,4K", "not '4K'");
	check_refused("--mem", "64M,4k,hugetlb", "not '4k,hugetlb'");
	check_refused("--mem", ",4k", "expected a size");
}

static void test_cpus(void)
{
	static const char *const bad[] = {
		"0", "255", "-1", "", "4x", "x", " 4", "4.0", "18446744073709551617",
	};

	CHECK_EQ(parse("--kernel", "k", "--cpus", "254", NULL), OPTIONS_RUN);
	CHECK_EQ(config.n_cpus, 254);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused("--cpus", bad[i], "expected a number from 1 to 254");
}

static void test_serial(void)
{
	static const char *const bad[] = { "", "file", "file:", "STDIO", "stdio ", "pty" };

	CHECK_EQ(parse("--kernel", "k", "--serial=none", NULL), OPTIONS_RUN);
	CHECK_EQ(config.serial, SERIAL_NONE);
	CHECK_EQ(parse("--kernel", "k", "--serial", "stdio", NULL), OPTIONS_RUN);
	CHECK_EQ(config.serial, SERIAL_STDIO);
	CHECK_EQ(parse("--kernel", "k", "--serial", "file:/a:b=c", NULL), OPTIONS_RUN);
	CHECK_STRING(config.serial_file.text, "/a:b=c");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused("--serial", bad[i], "expected stdio, none, file:PATH or fd=N");
}

static void test_read_only_suffix(void)
{
	static const struct {
		const char *text, *path;
		bool read_only;
	} cases[] = {
		{ "a,ro", "a", true },
		{ "a", "a", false },
		{ "a,rw", "a,rw", false },
		{ "a,ro,ro", "a,ro", true },
		{ "ro", "ro", false },
		{ "a,b,ro", "a,b", true },
		{ "a,ro.img", "a,ro.img", false },
		{ "a=b", "a=b", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(parse("--kernel", "k", "--disk", cases[i].text, NULL), OPTIONS_RUN);
		CHECK_STRING(config.disks[0].file.text, cases[i].path);
		CHECK_EQ(config.disks[0].read_only, cases[i].read_only);
		CHECK_EQ(parse("--kernel", "k", "--rootfs", cases[i].text, NULL), OPTIONS_RUN);
		CHECK_STRING(config.disks[0].file.text, cases[i].path);
		CHECK_EQ(config.disks[0].read_only, cases[i].read_only);
	}
	check_refused("--disk", "", "empty path");
	check_refused("--disk", ",ro", "empty path");
	check_refused("--rootfs", ",ro", "empty path");
}

static void test_overlays(void)
{
	static const struct {
		const char *text, *path, *file, *folder;
	} cases[] = {
		{ "a,overlay", "a", NULL, NULL },
		{ "a,overlay=f", "a", "f", NULL },
		{ "a,overlay=f,ro", "a", "f,ro", NULL },
		{ "a,b,overlay=f,g", "a,b", "f,g", NULL },
		{ "a,overlay=b,overlay=f", "a,overlay=b", "f", NULL },
		{ "a,overlay-dir=/tmp", "a", NULL, "/tmp" },
		{ "a,overlay=fd=5", "a", "fd=5", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(parse("--kernel", "k", "--disk", cases[i].text, NULL), OPTIONS_RUN);
		const struct disk_config *disk = &config.disks[0];
		CHECK_STRING(disk->file.text, cases[i].path);
		CHECK(disk->has_overlay && !disk->read_only);
		CHECK_EQ(disk->overlay.text != NULL, cases[i].file != NULL);
		CHECK_EQ(disk->overlay_folder != NULL, cases[i].folder != NULL);
		if (cases[i].file != NULL)
			CHECK_STRING(disk->overlay.text, cases[i].file);
		if (cases[i].folder != NULL)
			CHECK_STRING(disk->overlay_folder, cases[i].folder);
	}
	CHECK_EQ(config.disks[0].overlay.fd, 5);
	check_refused("--disk", ",overlay", "empty path");
	check_refused("--disk", "a,overlay=", "expected a path behind overlay=");
	check_refused("--rootfs", "a,overlay-dir=", "expected a path behind overlay-dir=");
	check_refused("--disk", "a,overlay=f,overlay-dir=d", "expected one overlay");
	check_refused("--disk", "a,overlay,overlay=f", "expected one overlay");
	check_refused("--disk", "a,overlay=fd=2", "expected a descriptor number from 3");
}

static void test_rootfs_is_the_first_disk(void)
{
	CHECK_EQ(parse("--kernel", "k", "--disk", "b,ro", "--disk", "c", "--rootfs", "a", "--disk",
		       "d", NULL),
		 OPTIONS_RUN);
	CHECK_EQ(config.n_disks, 4);
	CHECK_STRING(config.disks[0].file.text, "a");
	CHECK_EQ(config.disks[0].read_only, false);
	CHECK_STRING(config.disks[1].file.text, "b");
	CHECK_EQ(config.disks[1].read_only, true);
	CHECK_STRING(config.disks[2].file.text, "c");
	CHECK_STRING(config.disks[3].file.text, "d");
}

/* A full table of disks; one more of either kind is refused. */
static void test_most_disks(void)
{
	static char text[MAX_DISKS + 2][32];
	char *argv[MAX_DISKS + 3] = { (char[]){ "vmm" }, (char[]){ "--kernel=k" } };

	for (int i = 0; i <= MAX_DISKS; i++) {
		snprintf(text[i], sizeof(text[i]), "--disk=d%d", i);
		argv[2 + i] = text[i];
	}
	CHECK_EQ(options_parse(&config, MAX_DISKS + 2, argv, &error), OPTIONS_RUN);
	CHECK_EQ(config.n_disks, MAX_DISKS);
	CHECK_STRING(config.disks[MAX_DISKS - 1].file.text, "d15");
	CHECK_EQ(options_parse(&config, MAX_DISKS + 3, argv, &error), OPTIONS_BAD);
	CHECK_HAS(error.text, "at most 16 disks");
	argv[MAX_DISKS + 2] = (char[]){ "--rootfs=r" };
	CHECK_EQ(options_parse(&config, MAX_DISKS + 3, argv, &error), OPTIONS_BAD);
	CHECK_HAS(error.text, "at most 16 disks");
}

/* Only --disk may come again. */
static void test_given_twice(void)
{
	static const struct {
		const char *name, *first, *second;
	} cases[] = {
		{ "--kernel", "--kernel=k", "--kernel=k" },
		{ "--initrd", "--initrd=a", "--initrd=b" },
		{ "--cmdline", "--cmdline=", "--cmdline=x" },
		{ "--rootfs", "--rootfs=a", "--rootfs=b,ro" },
		{ "--mem", "--mem=64M", "--mem=32M" },
		{ "--cpus", "--cpus=2", "--cpus=3" },
		{ "--serial", "--serial=none", "--serial=none" },
		{ "--boot-timer", "--boot-timer", "--boot-timer" },
		{ "--no-default-cmdline", "--no-default-cmdline", "--no-default-cmdline" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(parse(cases[i].first, cases[i].second, NULL), OPTIONS_BAD);
		CHECK_HAS(error.text, "given twice");
		CHECK_HAS(error.text, cases[i].name);
	}
	CHECK_EQ(parse("--kernel=k", "--disk=a", "--disk=a", NULL), OPTIONS_RUN);
}

static void test_bad_command_lines(void)
{
	static const struct {
		const char *first, *second, *part;
	} cases[] = {
		{ NULL, NULL, "--kernel FILE is required" },
		{ "--mem=64M", NULL, "--kernel FILE is required" },
		{ "vmlinux", NULL, "unexpected argument 'vmlinux'" },
		{ "", NULL, "unexpected argument" },
		{ "--kern", "k", "unknown option --kern " },
		{ "--kernels", "k", "unknown option --kernels" },
		{ "--memory=5", NULL, "unknown option --memory " },
		{ "-k", "k", "unknown option -k" },
		{ "--", NULL, "unknown option --" },
		{ "--kernel", NULL, "--kernel: a value is missing" },
		{ "--kernel=", NULL, "--kernel: expected a value" },
		{ "--initrd=", NULL, "--initrd: expected a value" },
		{ "--boot-timer=1", NULL, "--boot-timer takes no value" },
		{ "--boot-timer", "k", "unexpected argument 'k'" },
		{ "--kernel", "--mem=64M", "--kernel: a value is missing" },
		{ "--initrd", "--boot-timer", "--initrd: a value is missing" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(parse(cases[i].first, cases[i].second, NULL), OPTIONS_BAD);
		CHECK_HAS(error.text, cases[i].part);
		CHECK(strchr(error.text, '\n') == NULL);
	}
}

/* The option and its whole value, also where the parser has cut it. */
static void test_what_it_is_about(void)
{
	static const struct {
		const char *first, *second, *option, *value;
	} cases[] = {
		{ "--mem", "1", "--mem", "1" },
		{ "--mem=64M,4q", NULL, "--mem", "64M,4q" },
		{ "--disk", ",ro", "--disk", ",ro" },
		{ "--net", "tap=a,mac=1,mtu=5", "--net", "tap=a,mac=1,mtu=5" },
		{ "--vsock=cid=3,uds=", NULL, "--vsock", "cid=3,uds=" },
		{ "--acpi=", NULL, "--acpi", "" },
		{ "--bogus=1", NULL, "--bogus", NULL },
		{ "stray", NULL, NULL, "stray" },
		{ "--check=1", NULL, "--check", NULL },
		{ "--cpus", NULL, "--cpus", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(parse(cases[i].first, cases[i].second, NULL), OPTIONS_BAD);
		CHECK_EQ(error.option == NULL, cases[i].option == NULL);
		CHECK_EQ(error.value == NULL, cases[i].value == NULL);
		if (error.option != NULL)
			CHECK_STRING(error.option, cases[i].option);
		if (error.value != NULL)
			CHECK_STRING(error.value, cases[i].value);
	}
	CHECK_EQ(parse("--cpus=2", NULL), OPTIONS_BAD);
	CHECK_STRING(error.option, "--kernel");
	CHECK_EQ(parse("--check", "--kernel=k", NULL), OPTIONS_RUN);
	CHECK(config.check);
}

static void test_help_and_version(void)
{
	CHECK_EQ(parse("--help", NULL), OPTIONS_HELP);
	CHECK_EQ(parse("-h", NULL), OPTIONS_HELP);
	CHECK_EQ(parse("--kernel", "k", "--help", "--nonsense", NULL), OPTIONS_HELP);
	CHECK_EQ(parse("--version", NULL), OPTIONS_VERSION);
}

/* 24 lines of 80 columns, and every option is in it. */
static void test_help_fits_a_screen(void)
{
	static const char *const names[] = {
		"--kernel",      "--rootfs",  "--disk",
		"--initrd",      "--cmdline", "--no-default-cmdline",
		"--mem",         "--cpus",    "--serial",
		"--boot-timer",  "--help",    "--version",
		"--status-fd",   "--net",     "--vsock",
		"--lifeline-fd", "--kvm-fd",  "--events-fd",
		"--check",       "--control", "--grace",
		"--sandbox",     "--uid",     "--gid",
	};
	unsigned lines = 0, columns = 0;

	for (const char *at = options_help_text; *at != '\0'; at++) {
		columns = *at == '\n' ? 0 : columns + 1;
		lines += *at == '\n';
		CHECK(columns <= 80);
		CHECK(*at == '\n' || (*at >= ' ' && *at <= '~'));
	}
	CHECK_EQ(columns, 0);
	CHECK(lines <= 24);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_HAS(options_help_text, names[i]);
}

static void test_control_and_grace(void)
{
	CHECK_EQ(parse("--kernel", "k", NULL), OPTIONS_RUN);
	CHECK(config.control.text == NULL);
	CHECK_EQ(config.grace_s, 0);
	CHECK_EQ(parse("--kernel", "k", "--control", "c.sock", "--grace=10", NULL), OPTIONS_RUN);
	CHECK_EQ(config.grace_s, 10);
	CHECK_STRING(config.control.text, "c.sock");
	CHECK_EQ(config.control.fd, 0);
	CHECK_EQ(parse("--kernel", "k", "--control", "fd=7", "--grace", "86400", NULL),
		 OPTIONS_RUN);
	CHECK_EQ(config.grace_s, 86400);
	CHECK_EQ(config.control.fd, 7);
	check_refused("--control", "fd=1", "expected a descriptor number from 3");
	/* A socket of the vsock's ports. */
	CHECK_EQ(parse("--kernel=k", "--vsock=cid=3,uds=v", "--control=v_0", NULL), OPTIONS_BAD);
	CHECK_HAS(error.text, "--control v_0: expected a path that is not the --vsock's PATH_PORT");
	CHECK_EQ(parse("--kernel=k", "--vsock=cid=3,uds=v", "--control=v_x", NULL), OPTIONS_RUN);
	CHECK_EQ(parse("--kernel=k", "--vsock=cid=3,uds=v", "--control=v", NULL), OPTIONS_RUN);
	check_refused("--grace", "86401", "expected seconds, at most 86400");
	check_refused("--grace", "-1", "expected seconds, at most 86400");
	check_refused("--grace", "1.5", "expected seconds, at most 86400");
	check_refused("--grace", "5s", "expected seconds, at most 86400");
}

int main(void)
{
	RUN(test_defaults);
	RUN(test_both_spellings);
	RUN(test_mem);
	RUN(test_memory_pages);
	RUN(test_cpus);
	RUN(test_serial);
	RUN(test_read_only_suffix);
	RUN(test_overlays);
	RUN(test_rootfs_is_the_first_disk);
	RUN(test_most_disks);
	RUN(test_given_twice);
	RUN(test_bad_command_lines);
	RUN(test_control_and_grace);
	RUN(test_help_and_version);
	RUN(test_what_it_is_about);
	RUN(test_help_fits_a_screen);
	return 0;
}
