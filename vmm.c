/* SPDX-License-Identifier: MIT */
/*
 * vmm: boots Linux in a KVM microVM. main() is the table of contents. docs/design.md tells why the order is as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/control_client.h"
#include "host/event_line.h"
#include "host/fail.h"
#include "host/file.h"
#include "host/message.h"
#include "host/signals.h"
#include "host/status_report.h"
#include "host/text.h"
#include "machine/machine.h"
#include "machine/restore.h"
#include "machine/set_up.h"
#include "machine/snapshot.h"
#include "mem/page.h"

static struct machine machine __attribute__((aligned(PAGE_BYTES)));

/* A number that is the status's, too, is refused later: in its line. */
static bool open_events(int fd, struct error_text *error)
{
	return status_report_has(fd) || event_line_open(fd, machine.timer.exec_ns, error);
}

static const struct {
	const char *option;
	bool (*open)(int fd, struct error_text *error);
} reports[] = {
	{ "--status-fd", status_report_open },
	{ "--events-fd", open_events },
};
#define REPORTS (sizeof(reports) / sizeof(reports[0]))

/* Opens the first that can be had of the descriptors that the option names. Returns -1, or one that cannot if none can. */
static int open_report(unsigned i, int argc, char **argv, struct error_text *error)
{
	int fd, bad_fd = -1, index = 1;

	while ((fd = options_next_fd(reports[i].option, argc, argv, &index)) >= 0) {
		if (reports[i].open(fd, error))
			return -1;
		bad_fd = fd;
	}
	return bad_fd;
}

/* Before all else: whatever fails from here on is reported, also one of the two to the other. */
static void open_reports(int argc, char **argv)
{
	struct error_text errors[REPORTS];
	int bad_fds[REPORTS];

	for (unsigned i = 0; i < REPORTS; i++)
		bad_fds[i] = open_report(i, argc, argv, &errors[i]);
	for (unsigned i = 0; i < REPORTS; i++)
		if (bad_fds[i] >= 0)
			fail_option(&errors[i], "%s %d", reports[i].option, bad_fds[i]);
}

static _Noreturn void print_and_exit(const char *text)
{
	text_print("%s", text);
	if (!text_print_end())
		fail_errno(EXIT_HOST_REFUSED, "stdout");
	status_report_send(&(struct vm_end){ .exit_code = EXIT_GUEST_ENDED }, NULL);
	exit(EXIT_GUEST_ENDED);
}

static void read_options(struct machine *m, int argc, char **argv)
{
	struct error_text error;

	open_reports(argc, argv);
	file_reserve_stdio();
	switch (options_parse(&m->config, argc, argv, &error)) {
	case OPTIONS_HELP:
		print_and_exit(options_help_text);
	case OPTIONS_VERSION:
		print_and_exit("vmm " VMM_VERSION ", contract " VMM_CONTRACT "\n");
	case OPTIONS_BAD:
		fail_error(&error);
	case OPTIONS_RUN:
		break;
	}
	if (!machine_plan_make(&m->plan, &m->config, &error))
		fail_error(&error);
	machine_prepare_sandbox(m);
	machine_keep_descriptors(m);
	machine_adopt_lifeline(m);
	if (m->config.vsock.guest_cid != 0)
		file_reserve_descriptors(machine_descriptors(m));
}

static _Noreturn void check(struct machine *m)
{
	set_up_try(m);
	machine_print(m);
	print_and_exit("");
}

static void run(struct machine *m)
{
	machine_start_devices(m);
	while (exit_request_status(&m->exit) == EXIT_REQUEST_NONE) {
		machine_take_snapshot(m);
		int error = ring_wait(&m->ring);
		if (error < 0 && exit_request_post(&m->exit, EXIT_MONITOR_FAILED))
			warn("io_uring: %s", strerror(-error));
	}
	machine_stop_vcpus(m);
}

static int finish(struct machine *m)
{
	machine_stop_queues(m);
	int status = machine_finish_devices(m);
	machine_detach_devices(m);
	machine_leave_vm(m);
	return status;
}

/* The event loop's thread, beside those of the vCPUs. */
static int serve(struct machine *m)
{
	run(m);
	return finish(m);
}

static int ctl(int argc, char **argv)
{
	if (argc != 4)
		fail(EXIT_BAD_INPUT, "ctl: expected a path and a request: vmm ctl PATH REQUEST");
	return control_client_run(argv[2], argv[3]);
}

int main(int argc, char **argv)
{
	struct machine *m = &machine;

	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return ctl(argc, argv);
	signals_block(fail_by_signal);
	boot_timer_start(&m->timer);
	/* Avoid clearing a huge page on first touch; most of this is unused pools. */
	madvise(m, sizeof(*m), MADV_NOHUGEPAGE);
	read_options(m, argc, argv);
	machine_open_snapshot(m); /* --restore */
	if (m->config.check)
		check(m);
	set_up_machine(m, serve);
	vcpu_run(&m->vcpus[0]);
	set_up_wait_for_end();
}
