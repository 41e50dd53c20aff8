/* SPDX-License-Identifier: MIT */
#include "hostile/hostile.h"

#define LINE_STATUS (SERIAL_PORT + 5)
#define INTERRUPTS  (SERIAL_PORT + 1)
#define LISTENS     1u /* the monitor hands bytes to a guest that says so */
#define DATA_READY  1u
#define PAGE        4096u

extern uint8_t guest_end[];

unsigned effort;
static const char *why;
static const char *only; /* word of the command line: the cases whose name begins with it */

void fails(const char *reason)
{
	if (why == NULL)
		why = reason;
}

uint32_t random32(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

static bool answer(void)
{
	outb(INTERRUPTS, LISTENS);
	print("\n");
	while (!(inb(LINE_STATUS) & DATA_READY))
		for (unsigned i = 0; i < 1000; i++)
			cpu_pause();
	return inb(SERIAL_PORT) == 'y';
}

bool host_does(const char *what)
{
	print("\n@");
	print(what);
	return answer();
}

static bool wait_broken(const struct target *target)
{
	kick(target);
	/* What the device waits for may have to come first. */
	if (target->nudge != NULL &&
	    !(virtio_read(target->device, REG_STATUS) & STATUS_NEEDS_RESET))
		(void)host_does(target->nudge);
	for (unsigned i = 0; i < PATIENCE; i++)
		if (virtio_wait_needs_reset(target->device))
			return true;
	return false;
}

static void check_outcome(const struct target *target, enum outcome outcome)
{
	if (outcome == BREAKS && !wait_broken(target)) {
		fails("it does not ask for a reset");
	} else if (outcome == BREAKS) {
		if (!(virtio_read(target->device, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG))
			fails("no interrupt of the configuration");
		virtio_write(target->device, REG_INTERRUPT_ACK, INTERRUPT_CONFIG | INTERRUPT_RING);
		if (virtio_read(target->device, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG)
			fails("the interrupt cannot be acknowledged");
	} else if (outcome == LIVES &&
		   (virtio_read(target->device, REG_STATUS) & STATUS_NEEDS_RESET)) {
		fails("it asks for a reset");
	}
}

/* "@case NAME ok WITNESS-TICKS TSC" or "@case NAME WHY". */
static void report(const struct target *target, const struct hostile_case *one, uint64_t ticks)
{
	print("\n@case ");
	print(target->name);
	print("-");
	print(one->name);
	print(" ");
	print(why == NULL ? "ok " : why);
	if (why == NULL) {
		print_hex(ticks);
		print(" ");
		print_hex(read_tsc());
	}
	if (!answer())
		guest_reset();
}

static void run_case(const struct target *target, const struct hostile_case *one)
{
	uint64_t ticks = 0;

	why = NULL;
	if (!target->start(one->features))
		fails("it does not start");
	one->attack(target);
	check_outcome(target, one->outcome);
	if (!target->works())
		fails("it does not work after a reset");
	if (!devices_witness(&ticks))
		fails("another device does not answer");
	report(target, one, ticks);
}

/* Whether the case's name, TARGET-NAME, begins with the word. */
static bool is_chosen(const struct target *target, const struct hostile_case *one)
{
	const char *at = only, *name = target->name;

	if (only == NULL)
		return true;
	while (*name != '\0' && *at == *name)
		at++, name++;
	if (*name == '\0' && *at == '-')
		for (at++, name = one->name; *name != '\0' && *at == *name;)
			at++, name++;
	return *at == ' ' || *at == '\0';
}

static void run_table(const struct hostile_table *table)
{
	for (const char *at = table->targets; *at != '\0';) {
		size_t length = 0;
		while (at[length] != ' ' && at[length] != '\0')
			length++;
		const struct target *target = devices_target(at, length);
		for (size_t i = 0; target != NULL && i < table->n; i++)
			if (is_chosen(target, &table->cases[i]))
				run_case(target, &table->cases[i]);
		at += length + (at[length] == ' ');
	}
}

/* A guest that means well, and takes every frame. At each byte that the host types it starts its NIC anew, sends a frame, and
 * uses a disk. */
static void serve(void)
{
	static uint8_t frame[NET_FRAME_MAX];
	unsigned window = (unsigned)((stream.device.base - VIRTIO_WINDOW(0)) / 0x1000);
	uint64_t ticks;

	for (;;) {
		bool ok = net_start(&stream, window, 0) && net_send(&stream, frame, 60) &&
			  virtio_wait(&stream.queues[NET_TX], 1) && devices_witness(&ticks);
		print(ok ? "@served\n" : "@broken\n");
		while (!(inb(LINE_STATUS) & DATA_READY))
			for (unsigned i = 0; i < 100; i++)
				(void)net_receive(&stream, frame);
		(void)inb(SERIAL_PORT);
	}
}

/* So that the monitor's resident memory does not grow by the guest's own. */
static void touch_memory(void)
{
	for (uint64_t at = (uintptr_t)guest_end; at < RAM_BYTES; at += PAGE)
		*(volatile uint8_t *)at = 1;
}

void guest_main(const uint8_t *zero_page)
{
	static const struct {
		const char *word;
		const struct hostile_table *table;
	} suites[] = {
		{ "run-chains", &chain_table },
		{ "run-chains", &indirect_table },
		{ "run-transport", &transport_table },
		{ "run-transport", &transport_queue_table },
		{ "run-block", &block_table },
		{ "run-block", &depth_table },
		{ "run-net", &net_table },
		{ "run-vsock", &vsock_table },
		{ "run-vsock", &vsock_storm_table },
		{ "run-ports", &uart_table },
		{ "run-ports", &reset_table },
		{ "run-ports", &doorbell_table },
		{ "run-ports", &bus_table },
		{ "run-ports", &interrupt_table },
		{ "run-races", &race_ring_table },
		{ "run-races", &race_register_table },
	};

	only = cmdline_value(zero_page, "only=");
	effort = (unsigned)cmdline_number(zero_page, "effort=", 1);
	devices_find(zero_page);
	if (cmdline_value(zero_page, "run-serve") == NULL)
		touch_memory();
	smp_start((unsigned)cmdline_number(zero_page, "cpus=", 1));
	if (!host_does("ready"))
		guest_reset();
	if (cmdline_value(zero_page, "run-serve") != NULL)
		serve();
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (cmdline_value(zero_page, suites[i].word) != NULL)
			run_table(suites[i].table);
	(void)host_does("end");
}
