/* SPDX-License-Identifier: MIT */
#include "io/boot_timer.h"

#include <stdatomic.h>

#include "host/clock.h"
#include "host/event_line.h"
#include "host/message.h"
#include "mem/layout.h"

#define USERSPACE_REACHED 123
#define SNAPSHOT_WANTED   124

void boot_timer_start(struct boot_timer *timer)
{
	timer->exec_ns = clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	boot_timer_mark(timer, BOOT_PROCESS_START);
}

bool boot_timer_mark(struct boot_timer *timer, enum boot_phase phase)
{
	int64_t never = 0, now = clock_ns(CLOCK_MONOTONIC) - timer->exec_ns;

	return atomic_compare_exchange_strong(&timer->phase_ns[phase], &never, now);
}

static long long phase_us(struct boot_timer *timer, enum boot_phase phase)
{
	return (long long)atomic_load(&timer->phase_ns[phase]) / 1000;
}

static void access_timer(void *device, const struct bus_access *access)
{
	struct boot_timer *timer = device;

	if (!access->is_write) {
		identity_read(&timer->identity, access);
		return;
	}
	if (access->offset != 0)
		return;
	if (access->data[0] == SNAPSHOT_WANTED && timer->snapshot != NULL)
		timer->snapshot(timer->context);
	if (access->data[0] != USERSPACE_REACHED)
		return;
	if (!boot_timer_mark(timer, BOOT_USERSPACE))
		return;
	event_line_emit("ready");
	if (timer->report)
		warn("boot-timer: process_start_us=%lld vm_created_us=%lld kernel_loaded_us=%lld "
		     "first_kvm_run_us=%lld userspace_us=%lld",
		     phase_us(timer, BOOT_PROCESS_START), phase_us(timer, BOOT_VM_CREATED),
		     phase_us(timer, BOOT_KERNEL_LOADED), phase_us(timer, BOOT_FIRST_KVM_RUN),
		     phase_us(timer, BOOT_USERSPACE));
}

void boot_timer_attach(struct boot_timer *timer, struct bus *mmio, bool report)
{
	timer->report = report;
	bus_add(mmio, LAYOUT_BOOT_TIMER_GPA, LAYOUT_BOOT_TIMER_BYTES, access_timer, timer);
}
