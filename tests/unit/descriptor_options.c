/* SPDX-License-Identifier: MIT */
/* The descriptors that a command line names, also one that is refused. */
#include "config/descriptors.h"
#include "config/options.h"

#include <stdarg.h>

#include "tests/unit/check.h"

#define MAX_ARGUMENTS 16

static char arguments[MAX_ARGUMENTS][64];
static char *argv[MAX_ARGUMENTS + 1];
static struct vm_config config;
static struct descriptors descriptors;
static struct error_text error;

static int set(const char *first, va_list list)
{
	int argc = 0;

	for (const char *next = first; next != NULL; next = va_arg(list, const char *), argc++) {
		CHECK(argc < MAX_ARGUMENTS);
		snprintf(arguments[argc], sizeof(arguments[0]), "%s", next);
		argv[argc] = arguments[argc];
	}
	argv[argc] = NULL;
	return argc;
}

static int status_fd(const char *first, ...)
{
	va_list list;
	int index = 1;

	va_start(list, first);
	int argc = set(first, list);
	va_end(list);
	return options_next_fd("--status-fd", argc, argv, &index);
}

static bool collect(const char *first, ...)
{
	va_list list;

	va_start(list, first);
	int argc = set(first, list);
	va_end(list);
	CHECK_EQ(options_parse(&config, argc, argv, &error), OPTIONS_RUN);
	return descriptors_collect(&descriptors, &config, &error);
}

static void test_status_fd_on_a_bad_command_line(void)
{
	CHECK_EQ(status_fd("vmm", NULL), -1);
	CHECK_EQ(status_fd("vmm", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--status-fd=7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--bogus", "--status-fd=7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--bogus", "stray", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--mem", "x", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--boot-timer=3", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--help", "--status-fd", "7", NULL), 7);
	/* A value was forgotten. */
	CHECK_EQ(status_fd("vmm", "--kernel", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--kernel", "--status-fd=7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--status-fd", NULL), -1);
	CHECK_EQ(status_fd("vmm", "--status-fd", "--kernel", "k", NULL), -1);
	/* Those that are numbers from 3, one after the other. */
	CHECK_EQ(status_fd("vmm", "--status-fd", "8", "--status-fd", "7", NULL), 8);
	CHECK_EQ(status_fd("vmm", "--status-fd", "2", "--status-fd", "7", NULL), 7);
	CHECK_EQ(status_fd("vmm", "--status-fd", "7x", NULL), -1);
	CHECK_EQ(status_fd("vmm", "--status-fds", "7", NULL), -1);
	/* Words of the kernel's. */
	CHECK_EQ(status_fd("vmm", "--cmdline", "a --status-fd 7", NULL), -1);
	CHECK_EQ(status_fd("vmm", "--cmdline=--status-fd=7", NULL), -1);
}

static void check_list(unsigned n, const int *fds)
{
	CHECK_EQ(descriptors.n, n);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(descriptors.list[i].fd, fds[i]);
}

static void test_ascending(void)
{
	CHECK(collect("vmm", "--kernel=k", NULL));
	check_list(0, NULL);
	CHECK(collect("vmm", "--kernel=k", "--net=fd=9", "--net=tap=t", "--net=fd=5",
		      "--vsock=cid=3,uds-fd=7,connect-fd=11", "--status-fd=6", "--lifeline-fd=8",
		      NULL));
	check_list(6, (int[]){ 5, 6, 7, 8, 9, 11 });
	CHECK(descriptors_have(&descriptors, 7));
	CHECK(descriptors_have(&descriptors, 8));
	CHECK(!descriptors_have(&descriptors, 10));
}

static void test_several_status_fds(void)
{
	char *arguments_of_two[] = { "vmm", "--status-fd", "999", "--mem=2", "--status-fd=7" };
	int index = 1;

	CHECK_EQ(options_next_fd("--status-fd", 5, arguments_of_two, &index), 999);
	CHECK_EQ(options_next_fd("--status-fd", 5, arguments_of_two, &index), 7);
	CHECK_EQ(options_next_fd("--status-fd", 5, arguments_of_two, &index), -1);
}

static void test_files(void)
{
	CHECK(collect("vmm", "--kernel=fd=9", "--initrd=fd=63", "--disk=fd=4,ro", "--serial=fd=62",
		      "--rootfs=fd=3", "--kvm-fd=8", "--status-fd=5", NULL));
	check_list(7, (int[]){ 3, 4, 5, 8, 9, 62, 63 });
	CHECK(descriptors_have(&descriptors, 9) && descriptors_have(&descriptors, 4));
	CHECK(config.disks[0].file.fd == 3 && !config.disks[0].read_only);
	CHECK(config.disks[1].file.fd == 4 && config.disks[1].read_only);
	CHECK_STRING(config.disks[1].file.text, "fd=4");
	CHECK(config.serial == SERIAL_FILE && config.serial_file.fd == 62);
	/* A file whose name begins so. */
	CHECK(collect("vmm", "--kernel=./fd=9", "--serial=file:fd=9", NULL));
	check_list(0, NULL);
	/* Beside a path that names the same number: the option has it. */
	CHECK(collect("vmm", "--kernel=fd=9", "--initrd=/dev/fd/9", NULL));
	CHECK(descriptors_have(&descriptors, 9));
}

/* Launchers hand files on by such names, and so do shells: <(command). */
static void test_paths_that_name_descriptors(void)
{
	CHECK(collect("vmm", "--kernel=/proc/self/fd/9", "--initrd=/dev/fd/63",
		      "--disk=/dev/fd/4,ro", "--serial=file:/dev/fd/62", "--rootfs=/dev/fd/4,ro",
		      "--status-fd=5", NULL));
	check_list(6, (int[]){ 4, 4, 5, 9, 62, 63 });
	CHECK(!descriptors_have(&descriptors, 9));
	CHECK(descriptors_have(&descriptors, 5));
	CHECK(collect("vmm", "--kernel=/dev/fd/", "--initrd=/dev/fd/x", "--disk=/dev/fd/5x",
		      "--serial=file:/dev/fd/1", "--disk=/dev/fdx/5", NULL));
	check_list(0, NULL);
	/* A folder's: the file below it is opened through it. */
	CHECK(collect("vmm", "--kernel=/proc/self/fd/9/boot/vmlinux", "--disk=/dev/fd/8/d,ro",
		      NULL));
	check_list(2, (int[]){ 8, 9 });
}

static void test_given_twice(void)
{
	CHECK(!collect("vmm", "--kernel=k", "--net=fd=5", "--net=fd=5", NULL));
	CHECK_STRING(error.text, "--net fd=5: descriptor 5 is given twice, also as --net fd=5");
	CHECK(!collect("vmm", "--kernel=k", "--net=fd=5", "--status-fd=5", NULL));
	CHECK_STRING(error.text, "--net fd=5: descriptor 5 is given twice, also as --status-fd 5");
	CHECK(!collect("vmm", "--kernel=k", "--lifeline-fd=5", "--status-fd=5", NULL));
	CHECK_STRING(error.text,
		     "--lifeline-fd 5: descriptor 5 is given twice, also as --status-fd 5");
	CHECK(!collect("vmm", "--kernel=fd=5", "--rootfs=fd=4", "--disk=fd=5,ro", NULL));
	CHECK_STRING(error.text, "--disk fd=5: descriptor 5 is given twice, also as --kernel fd=5");
	CHECK(!collect("vmm", "--kernel=k", "--kvm-fd=5", "--rootfs=fd=5,ro", NULL));
	CHECK_STRING(error.text, "--rootfs fd=5: descriptor 5 is given twice, also as --kvm-fd 5");
	CHECK(!collect("vmm", "--kernel=k", "--net=fd=7", "--vsock=cid=3,uds-fd=7", NULL));
	CHECK_STRING(error.text,
		     "--vsock uds-fd=7: descriptor 7 is given twice, also as --net fd=7");
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
}

int main(void)
{
	RUN(test_status_fd_on_a_bad_command_line);
	RUN(test_several_status_fds);
	RUN(test_ascending);
	RUN(test_paths_that_name_descriptors);
	RUN(test_files);
	RUN(test_given_twice);
	return 0;
}
