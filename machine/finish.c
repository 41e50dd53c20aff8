/* SPDX-License-Identifier: MIT */
/* The end: what the guest has written goes out, and the launcher learns the result. */
#include "host/error.h"
#include "host/status_report.h"
#include "machine/machine.h"

/* Limits of the end; less after a signal, which wants an end within a second. */
#define FINISH_MS              30000u
#define FINISH_AFTER_SIGNAL_MS 250u

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

int machine_finish_devices(struct machine *m)
{
	int status = exit_request_status(&m->exit);

	if (!finish_disks(m) && status == EXIT_GUEST_ENDED)
		status = EXIT_MONITOR_FAILED;
	status_report_send(status, finish_console(m), NULL);
	return status;
}
