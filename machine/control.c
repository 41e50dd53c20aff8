/* SPDX-License-Identifier: MIT */
#include "machine/control.h"

#include <linux/kvm.h>
#include <signal.h>
#include <string.h>

#include "host/clock.h"
#include "host/event_line.h"
#include "host/fail.h"
#include "host/ioctl.h"
#include "irq/irqchip.h"
#include "machine/snapshot.h"
#include "mem/layout.h"

#define MSI_NMI  0x400u /* the delivery mode */
#define REQUESTS "ping, stat, pause, resume, nmi, stop, powerdown, snapshot or snapshot-continue"

static bool has_control(const struct machine *m)
{
	return m->config.control.text != NULL;
}

void machine_open_control(struct machine *m)
{
	const struct file_name *name = &m->config.control;
	struct error_text error;

	if (has_control(m) &&
	    !(name->fd > 0 ? control_socket_adopt(&m->control, name->fd, &error)
			   : control_socket_open(&m->control, name->text, &error)))
		fail_option(&error, "--control %s", name->text);
}

/* The power button of ACPI is an interrupt that only a driver of the Generic Event Device unmasks. */
static bool press_power_button(const struct machine *m)
{
	const struct irq_line button = { &m->vm_fd, LAYOUT_POWER_BUTTON_GSI };

	if (!m->config.acpi || irqchip_is_masked(m->vm_fd, LAYOUT_POWER_BUTTON_GSI))
		return false;
	irq_line_raise(&button);
	return true;
}

unsigned machine_ask_guest(struct machine *m)
{
	unsigned ways = 0;

	if (exit_request_status(&m->exit) != EXIT_REQUEST_NONE || m->pause.state != PAUSE_RUNNING)
		return 0;
	if (press_power_button(m))
		ways |= ASK_POWER_BUTTON;
	if (m->config.serial != SERIAL_NONE && serial_ring(&m->console.serial))
		ways |= ASK_SERIAL_RING;
	return ways;
}

static void answer_ok(struct control_client *client)
{
	control_answer(client, "{\"ok\":true}");
}

static void handle_ping(struct machine *m, struct control_client *client)
{
	(void)m;
	answer_ok(client);
}

static void handle_stat(struct machine *m, struct control_client *client)
{
	static const char *const states[] = { "running", "pausing", "paused" };
	int64_t since_exec_us = (clock_ns(CLOCK_MONOTONIC) - m->timer.exec_ns) / 1000;
	struct counters counters;
	char text[JSON_LINE_BYTES];
	struct json json;

	machine_count(m, &counters);
	json_begin(&json, text);
	counters_add_to(&counters, &json);
	unsigned length = json_end(&json) - 1; /* without the newline */
	control_answer(client,
		       "{\"ok\":true,\"state\":\"%s\",\"time_us\":%lld,\"cpus\":%u,"
		       "\"memory_bytes\":%llu,\"counters\":%.*s}",
		       states[m->pause.state], (long long)since_exec_us, m->config.n_cpus,
		       (unsigned long long)m->config.mem_bytes, (int)length, text);
}

/* Those who wait are those who have asked for a pause, and one for a snapshot: every other request is answered at once. */
static void answer_pauses(struct machine *m, void (*answer)(struct control_client *client))
{
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = &m->control.clients[i];
		if (client->fd >= 0 && client->waits && client != m->snapshot.client)
			answer(client);
	}
}

static void paused(void *context)
{
	const struct machine *m = context;

	/* The snapshot's own is nobody else's business. */
	if (m->snapshot.pending && !m->snapshot.was_paused)
		return;
	event_line_emit("paused");
	answer_pauses(context, answer_ok);
}

static void handle_pause(struct machine *m, struct control_client *client)
{
	if (m->snapshot.pending)
		control_refuse(client, "a snapshot is being taken");
	else if (m->pause.state == PAUSE_STOPPED)
		answer_ok(client);
	else
		pause_begin(&m->pause);
}

static void refuse_resumed(struct control_client *client)
{
	control_refuse(client, "resumed before all vCPUs had stopped");
}

static void handle_resume(struct machine *m, struct control_client *client)
{
	if (m->snapshot.pending) {
		control_refuse(client, "a snapshot is being taken");
		return;
	}
	if (m->pause.state == PAUSE_STOPPED)
		event_line_emit("resumed");
	pause_end(&m->pause);
	answer_ok(client);
	answer_pauses(m, refuse_resumed);
}

/* To the first vCPU, which has the NMI's wire on a PC, too. As a message: KVM_NMI would wait until the vCPU leaves KVM_RUN. */
static void handle_nmi(struct machine *m, struct control_client *client)
{
	struct kvm_msi message = { .address_lo = LAYOUT_LAPIC_GPA, .data = MSI_NMI };

	if (host_ioctl(m->vm_fd, KVM_SIGNAL_MSI, &message) > 0)
		answer_ok(client);
	else
		control_refuse(client, "KVM takes no NMI");
}

static void handle_stop(struct machine *m, struct control_client *client)
{
	answer_ok(client);
	signal_events_end(&m->signals, SIGTERM);
}

static void handle_powerdown(struct machine *m, struct control_client *client)
{
	static const char *const names[] = {
		[ASK_POWER_BUTTON] = "\"power_button\"",
		[ASK_SERIAL_RING] = "\"serial_ring\"",
		[ASK_POWER_BUTTON | ASK_SERIAL_RING] = "\"power_button\",\"serial_ring\"",
	};
	unsigned ways;

	if (m->pause.state != PAUSE_RUNNING) {
		control_refuse(client, "the guest is paused");
		return;
	}
	ways = machine_ask_guest(m);
	if (ways == 0) {
		control_refuse(client,
			       "the guest listens neither to ACPI's power button nor to the "
			       "serial port's ring indicator");
		return;
	}
	signal_events_give_grace(&m->signals, SIGTERM);
	control_answer(client, "{\"ok\":true,\"asked\":[%s]}", names[ways]);
}

static const struct {
	const char *name;
	void (*handle)(struct machine *m, struct control_client *client);
} requests[] = {
	{ "ping", handle_ping },           { "stat", handle_stat }, { "pause", handle_pause },
	{ "resume", handle_resume },       { "nmi", handle_nmi },   { "stop", handle_stop },
	{ "powerdown", handle_powerdown },
};

/* "snapshot" or "snapshot-continue", and perhaps a file's name behind a space. */
static bool asks_for_snapshot(struct machine *m, struct control_client *client, const char *request)
{
	static const char *const words[] = { "snapshot", "snapshot-continue" };
	size_t length = strcspn(request, " ");
	const char *name = request[length] == ' ' ? request + length + 1 : NULL;

	for (int goes_on = 0; goes_on < 2; goes_on++)
		if (strlen(words[goes_on]) == length &&
		    memcmp(words[goes_on], request, length) == 0) {
			machine_ask_snapshot(m, client, name, goes_on);
			return true;
		}
	return false;
}

static void handle(void *context, struct control_client *client, const char *request)
{
	struct machine *m = context;

	if (exit_request_status(&m->exit) != EXIT_REQUEST_NONE) {
		control_refuse(client, "the guest has ended");
		return;
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (strcmp(request, requests[i].name) == 0) {
			requests[i].handle(m, client);
			return;
		}
	if (!asks_for_snapshot(m, client, request))
		control_refuse(client, "expected " REQUESTS);
}

static bool can_pause(const struct machine *m)
{
	return has_control(m) || m->config.snapshot != NULL;
}

void machine_attach_control(struct machine *m)
{
	if (has_control(m))
		control_socket_init(&m->control, &m->ring, handle, m);
	if (!can_pause(m))
		return;
	pause_open(&m->pause, m->vcpus, m->config.n_cpus, &m->ring, paused, m);
	m->vcpu_machine.gate = m->console.gate = &m->pause.gate;
}

void machine_start_control(struct machine *m)
{
	if (can_pause(m))
		pause_start(&m->pause);
	if (has_control(m))
		control_socket_start(&m->control);
}

void machine_stop_control(struct machine *m)
{
	if (can_pause(m))
		pause_end_for_good(&m->pause);
}

void machine_detach_control(struct machine *m)
{
	if (has_control(m))
		control_socket_close(&m->control);
	if (can_pause(m))
		pause_close(&m->pause);
}
