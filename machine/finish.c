/* SPDX-License-Identifier: MIT */
/* The end: what the guest has written goes out, and the launcher learns the result. */
#include "host/error.h"
#include "host/status_report.h"
#include "machine/machine.h"

/* Limits of the end; less after a signal, which wants an end within a second. */
#define FINISH_MS              30000u
#define FINISH_AFTER_SIGNAL_MS 250u
/* The flag's value in the BIOS data area then. */
#define WARM_BOOT 0x1234

static const struct disk_limits disk_limits = { FINISH_MS, FINISH_AFTER_SIGNAL_MS };
static const struct console_limits console_limits = {
	.stall_ms = 5000,
	.total_ms = FINISH_MS,
	.hurry_ms = FINISH_AFTER_SIGNAL_MS,
};

static bool finish_disks(struct machine *m)
{
	return disks_finish(m->disks, m->config.n_disks, &m->ring, &disk_limits,
			    &m->signals.received);
}

static uint64_t finish_console(struct machine *m)
{
	if (m->config.serial == SERIAL_NONE)
		return 0;
	return console_finish(&m->console, &console_limits, &m->signals.received);
}

/* With the word `panic_warm` Linux asks the firmware for a warm boot before it resets after a panic, and for a cold one
 * before any other reset. The guest has stopped: in a rehearsal that is not its own memory. */
static bool has_panicked(const struct machine *m)
{
	uint16_t flag = 0;

	if (m->vcpu_machine.is_rehearsal)
		return false;
	guest_memory_read(&m->memory, LAYOUT_WARM_BOOT_GPA, &flag, sizeof(flag));
	return flag == WARM_BOOT;
}

static bool is_guests_own(int status)
{
	return status == EXIT_GUEST_ENDED || status == EXIT_GUEST_PANICKED ||
	       status >= EXIT_GUEST_STATUS;
}

static void report(const struct machine *m, int status, uint64_t lost_output_bytes)
{
	const struct vm_end end = { .exit_code = status, .lost_output_bytes = lost_output_bytes };
	struct counters counters;

	machine_count(m, &counters);
	counters.lost_output_bytes = lost_output_bytes;
	status_report_send(&end, &counters);
}

int machine_finish_devices(struct machine *m)
{
	int status = exit_request_status(&m->exit);

	if (status == EXIT_GUEST_ENDED && has_panicked(m))
		status = EXIT_GUEST_PANICKED;
	if (!finish_disks(m) && is_guests_own(status))
		status = EXIT_MONITOR_FAILED;
	report(m, status, finish_console(m));
	return exit_status_of(status);
}
