/* SPDX-License-Identifier: MIT */
/* The UART and the typed bytes, saved and restored: the guest's driver goes on where it was. */
#include "io/console_state.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "tests/unit/console_rig.h"

static struct console_state saved, again;

static void set_up(void)
{
	console_rig_plug();
	console_rig_open(NULL);
}

static void tear_down_all_but_input(void)
{
	console_rig_close();
	close(screen_fd);
}

static void tear_down(void)
{
	tear_down_all_but_input();
	close(keyboard_fd);
}

static void type(const char *text, size_t n)
{
	CHECK(write(keyboard_fd, text, n) == (ssize_t)n);
}

static void run_until(bool (*happens)(void))
{
	for (int64_t end = clock_now_ms() + 5000; !happens(); ring_wait_for(&rig_ring, 1))
		CHECK(clock_now_ms() < end);
}

static bool rests(void)
{
	return console_come_to_rest(&console);
}

static bool has_typed(void)
{
	return console.keyboard.head - console.keyboard.tail == 100 && console.serial.rx_count > 0;
}

static void check_reads(const char *text, size_t n)
{
	int64_t end = clock_now_ms() + 5000;

	for (size_t done = 0; done < n; ring_wait_for(&rig_ring, 1)) {
		CHECK(clock_now_ms() < end);
		for (; in(LSR)&1 && done < n; done++)
			CHECK_EQ(in(DATA), (uint8_t)text[done]);
	}
}

/* 116 bytes typed, of which the FIFO has 16, one read: all others come, in their order, and then what the clone gets. */
static void test_typed(void)
{
	char text[120];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	set_up();
	console_rig_start();
	out(IER, 0x0d);
	type(text, 116);
	run_until(has_typed);
	CHECK_EQ(in(DATA), (uint8_t)text[0]);
	run_until(rests);
	console_save(&console, &saved);
	tear_down();

	struct error_text error;
	set_up();
	CHECK(console_restore(&console, &saved, &error));
	console_save(&console, &again);
	CHECK_BYTES(&again, &saved, sizeof(saved));
	console_rig_start();
	type(text + 116, 4);
	check_reads(text + 1, 119);
	tear_down();
}

/* What is typed after the rest is for the next process, also where a read was waiting for it; or for this one, if it goes on. */
static void test_typed_later(void)
{
	struct pollfd pipe = { .fd = 0, .events = POLLIN };
	char text[4];

	set_up();
	console_rig_start();
	out(IER, 0x0d);
	CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	CHECK(console.keyboard.reading);
	run_until(rests);
	type("abcd", 4);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	CHECK_EQ(poll(&pipe, 1, 0), 1);
	CHECK_EQ(console.keyboard.head, 0);
	console_go_on(&console);
	check_reads("abcd", 4);
	run_until(rests);
	type("efgh", 4);
	tear_down_all_but_input();
	CHECK_EQ(read(0, text, 4), 4);
	CHECK_BYTES(text, "efgh", 4);
	close(keyboard_fd);
}

/* The driver has not taken its interrupt: the cause stands, and the registers are what they were. */
static void test_registers(void)
{
	struct error_text error;

	set_up();
	console_rig_start();
	out(7, 0x5a);
	out(4, 0x0b);
	out(3, 0x80);
	out(0, 2);
	out(3, 3);
	out(2, 1);
	out(IER, 2);
	out(DATA, 'x');
	run_until(rests);
	console_save(&console, &saved);
	tear_down();
	set_up();
	CHECK(console_restore(&console, &saved, &error));
	console_save(&console, &again);
	CHECK_BYTES(&again, &saved, sizeof(saved));
	CHECK_EQ(in(IIR), 0xc2);
	CHECK_EQ(in(IIR), 0xc1);
	CHECK_EQ(in(7), 0x5a);
	CHECK_EQ(in(4), 0x0b);
	CHECK_EQ(in(3), 3);
	CHECK_EQ(in(IER), 2);
	console_rig_start();
	tear_down();
}

static void *print_much(void *unused)
{
	for (unsigned i = 0; i < SERIAL_TX_BYTES + 1; i++)
		out(DATA, 'x');
	return unused;
}

static bool waits(void)
{
	return __atomic_load_n(&console.serial.tx_waiters, __ATOMIC_RELAXED) == 1;
}

/* A vCPU that waits for room has not finished its instruction. */
static void test_waiter(void)
{
	static char block[65536];
	pthread_t vcpu;

	set_up();
	CHECK_EQ(fcntl(screen_fd, F_SETPIPE_SZ, 4096), 4096);
	console_rig_start();
	CHECK_EQ(write(console.output_fd, block, 4096), 4096);
	CHECK(pthread_create(&vcpu, NULL, print_much, NULL) == 0);
	run_until(waits);
	CHECK(!rests());
	for (int64_t end = clock_now_ms() + 5000; !rests(); ring_wait_for(&rig_ring, 1)) {
		CHECK(clock_now_ms() < end);
		CHECK(fcntl(screen_fd, F_SETFL, O_NONBLOCK) == 0);
		ssize_t n = read(screen_fd, block, sizeof(block));
		(void)n;
	}
	CHECK(!waits());
	CHECK(pthread_join(vcpu, NULL) == 0);
	tear_down();
}

static void test_refused(void)
{
	struct error_text error;
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{ offsetof(struct serial_state, ier), 0x10 },
		{ offsetof(struct serial_state, mcr), 0x20 },
		{ offsetof(struct serial_state, rx_count), SERIAL_RX_BYTES + 1 },
		{ offsetof(struct console_state, n_typed) + 2, 2 },
	};

	set_up();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		again = saved;
		((uint8_t *)&again)[bad[i].at] = bad[i].value;
		CHECK(!console_restore(&console, &again, &error));
		CHECK(error.text[0] != '\0');
	}
	tear_down();
}

int main(void)
{
	/* This program's own lines go where standard output was. */
	stdout = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 10), "w");
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	RUN(test_typed);
	RUN(test_typed_later);
	RUN(test_registers);
	RUN(test_waiter);
	RUN(test_refused);
	return 0;
}
