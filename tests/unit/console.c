/* SPDX-License-Identifier: MIT */
/* The console between the UART and two pipes, through the real ring. */
#include "tests/unit/console_rig.h"

#include <signal.h>
#include <sys/ioctl.h>

static void set_up(void)
{
	console_rig_plug();
	CHECK(fcntl(keyboard_fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(screen_fd, F_SETFL, O_NONBLOCK) == 0);
	console_rig_open(NULL);
	console_rig_start();
}

static void tear_down(void)
{
	console_rig_close();
	close(keyboard_fd);
	close(screen_fd);
}

static void type(const char *text)
{
	CHECK(write(keyboard_fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Reads what the guest's driver gets until `n` bytes are there. */
static void check_guest_reads(const char *text, size_t n)
{
	size_t done = 0;
	int64_t end = clock_now_ms() + 2000;

	while (done < n) {
		CHECK(clock_now_ms() < end);
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
		for (; in(LSR)&1 && done < n; done++)
			CHECK_EQ(in(DATA), (uint8_t)text[done]);
	}
}

/* Empties the screen; returns how many bytes there were. */
static size_t drain_screen(void)
{
	char block[4096];
	size_t total = 0;

	for (ssize_t n; (n = read(screen_fd, block, sizeof(block))) > 0;)
		total += (size_t)n;
	return total;
}

static void fill_screen(void)
{
	static char block[4096];
	int flags = fcntl(1, F_GETFL);

	CHECK(fcntl(1, F_SETFL, flags | O_NONBLOCK) == 0);
	while (write(1, block, sizeof(block)) > 0)
		;
	CHECK(fcntl(1, F_SETFL, flags) == 0);
}

static void test_output(void)
{
	static char text[20000];
	size_t done = 0;

	set_up();
	for (size_t i = 0; i < sizeof(text); i++) {
		out(DATA, (uint8_t)(i * 7));
		if (i % 1000 == 0)
			CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
	}
	while (done < sizeof(text)) {
		ssize_t n = read(screen_fd, text + done, sizeof(text) - done);
		done += n > 0 ? (size_t)n : 0;
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	for (size_t i = 0; i < sizeof(text); i++)
		CHECK_EQ((uint8_t)text[i], (uint8_t)(i * 7));
	tear_down();
}

/* The first byte after a pause needs no event loop; what follows keeps its order, and waits its turn when the pipe
 * is full. stdout itself stays blocking for whoever shares it. */
static void test_first_byte_at_once(void)
{
	char text[64];
	int n;

	set_up();
	CHECK_EQ(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
	usleep(2000);
	out(DATA, 'a');
	CHECK_EQ(read(screen_fd, text, sizeof(text)), 1);
	CHECK_EQ(text[0], 'a');
	for (const char *at = "bcdefgh"; *at != '\0'; at++)
		out(DATA, (uint8_t)*at);
	usleep(2000);
	out(DATA, 'i'); /* a pause, but the ring has not written what is before it */
	RIG_RUN_UNTIL(ioctl(screen_fd, FIONREAD, &n) == 0 && n > 0);
	CHECK_EQ(read(screen_fd, text, sizeof(text)), 8);
	CHECK_BYTES(text, "bcdefghi", 8);
	fill_screen();
	usleep(2000);
	out(DATA, 'j');
	CHECK(drain_screen() > 0);
	RIG_RUN_UNTIL(read(screen_fd, text, sizeof(text)) == 1);
	CHECK_EQ(text[0], 'j');
	tear_down();
}

/* A guest prints byte by byte. What it begins waits for the end of the line, which is written in one piece; but not for
 * long. */
static void test_line_in_one_piece(void)
{
	char text[64];
	int n;

	set_up();
	/* Each write is a packet. */
	CHECK(fcntl(console.output_fd, F_SETFL, O_NONBLOCK | O_DIRECT) == 0);
	usleep(2000);
	out(DATA, 'a');
	CHECK_EQ(read(screen_fd, text, sizeof(text)), 1);
	out(DATA, 'b');
	RIG_RUN_UNTIL(console.line_waits);
	CHECK(!console.writing);
	out(DATA, 'c');
	out(DATA, '\n');
	RIG_RUN_UNTIL(ioctl(screen_fd, FIONREAD, &n) == 0 && n > 0);
	CHECK_EQ(read(screen_fd, text, sizeof(text)), 3);
	CHECK_BYTES(text, "bc\n", 3);
	for (const char *at = "> "; *at != '\0'; at++)
		out(DATA, (uint8_t)*at);
	RIG_RUN_UNTIL(console.serial.tx_head == console.serial.tx_tail);
	CHECK_EQ(drain_screen(), 2);
	tear_down();
}

/* Typed before anybody listens, and more than the FIFO and one read hold. */
static void test_input(void)
{
	static char text[3 * KEYBOARD_READ_BYTES];

	set_up();
	memset(text, 'k', sizeof(text) - 1);
	for (size_t i = 0; i < sizeof(text) - 1; i += 50)
		text[i] = (char)('A' + i % 26);
	type(text);
	rig_idle();
	CHECK_EQ(in(LSR)&1, 0);
	out(IER, 1);
	check_guest_reads(text, sizeof(text) - 1);
	tear_down();
}

/* Keys go on reaching the guest when nobody reads what it prints, and when somebody does again. */
static void test_input_while_output_stands(void)
{
	static const char text[] = "forty keys, and a guest that echoes none";

	set_up();
	out(IER, 1);
	fill_screen();
	out(DATA, 'x');
	rig_idle();
	out(DATA, 'y');
	rig_idle();
	type(text);
	check_guest_reads(text, sizeof(text) - 1);
	CHECK(drain_screen() > 0);
	rig_idle();
	type(text);
	check_guest_reads(text, sizeof(text) - 1);
	tear_down();
}

/* Keys that arrive in the middle of a write are not forgotten when it ends. */
static void test_input_after_output_moves(void)
{
	static const char text[] = "forty keys, and a guest that echoes none";

	set_up();
	out(IER, 1);
	fill_screen();
	out(DATA, 'x');
	rig_idle();
	out(DATA, 'y');
	rig_idle();
	type(text);
	rig_idle();
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(in(DATA), (uint8_t)text[i]);
	drain_screen(); /* now the write ends */
	check_guest_reads(text + 16, sizeof(text) - 1 - 16);
	tear_down();
}

/* The reader is gone: the guest prints on, into nothing. */
static void test_reader_gone(void)
{
	bool hurry = false;

	set_up();
	close(screen_fd);
	screen_fd = -1;
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 10000; k++)
			out(DATA, 'x');
		RIG_RUN_UNTIL(console.serial.tx_head == console.serial.tx_tail);
	}
	CHECK_EQ(exit_request_status(&exit_request), EXIT_REQUEST_NONE);
	/* It did not want them. */
	CHECK_EQ(console_finish(&console, &(struct console_limits){ 100, 100, 100 }, &hurry), 0);
	tear_down();
}

/* Bytes that a full disk does not take, or that come after serial_stop() into a full buffer, are lost. */
static void test_lost_output(void)
{
	static const struct console_limits limits = { 100, 5000, 100 };
	bool hurry = false;

	set_up();
	int full_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	CHECK(dup2(full_fd, console.output_fd) == console.output_fd);
	close(full_fd);
	RIG_RUN_UNTIL((out(DATA, 'x'), console.output_failed));
	uint64_t lost = console_finish(&console, &limits, &hurry);
	CHECK(lost > 0);
	out(DATA, 'x');
	CHECK_EQ(console_finish(&console, &limits, &hurry), lost + 1);
	tear_down();
	set_up();
	fill_screen();
	serial_stop(&console.serial);
	for (unsigned i = 0; i < SERIAL_TX_BYTES + 5; i++)
		out(DATA, 'x');
	CHECK_EQ(console_finish(&console, &limits, &hurry), SERIAL_TX_BYTES + 5);
	tear_down();
}

/* The end of the input is no end of the console, and no reason to spin (class 9). */
static void test_end_of_input(void)
{
	set_up();
	out(IER, 1);
	type("ab");
	close(keyboard_fd);
	keyboard_fd = -1;
	check_guest_reads("ab", 2);
	RIG_RUN_UNTIL(console.keyboard.ended);
	CHECK(!console.keyboard.reading);
	out(DATA, 'x');
	RIG_RUN_UNTIL(drain_screen() == 1);
	tear_down();
}

/* Class 7: typed faster than the guest reads, the rest stays in the pipe. */
static void test_class_7_console_flood(void)
{
	static char flood[1 << 20];
	ssize_t total = 0;

	set_up();
	memset(flood, 'f', sizeof(flood));
	for (unsigned i = 0; i < 50; i++) {
		ssize_t n = write(keyboard_fd, flood, sizeof(flood));
		total += n > 0 ? n : 0;
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	/* The pipe's buffer, the console's, and what is between them. */
	CHECK(total <= 65536 + (ssize_t)KEYBOARD_BUFFER_BYTES + 4 * (ssize_t)KEYBOARD_READ_BYTES);
	CHECK(console.keyboard.head - console.keyboard.tail <= KEYBOARD_BUFFER_BYTES);
	tear_down();
}

/* Output of the last moment comes out; a reader that takes nothing costs stall_ms, or in a
 * hurry hurry_ms, and what it has not taken is counted. */
static void test_finish(void)
{
	static const struct console_limits limits[] = { { 1000, 5000, 1000 },
							{ 100, 5000, 5000 },
							{ 5000, 5000, 100 } };
	bool hurry = false;

	set_up();
	for (unsigned i = 0; i < 5000; i++)
		out(DATA, 'x');
	CHECK_EQ(console_finish(&console, &limits[0], &hurry), 0);
	CHECK_EQ(drain_screen(), 5000);
	fill_screen();
	out(DATA, 'x');
	for (unsigned i = 1; i < 3; i++) {
		int64_t start = clock_now_ms();
		CHECK_EQ(console_finish(&console, &limits[i], &hurry), 1);
		CHECK(clock_now_ms() - start >= 90 && clock_now_ms() - start < 4000);
		hurry = true;
	}
	tear_down();
}

int main(void)
{
	/* This program's own lines go where standard output was. */
	stdout = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 10), "w");
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	RUN(test_output);
	RUN(test_first_byte_at_once);
	RUN(test_line_in_one_piece);
	RUN(test_input);
	RUN(test_reader_gone);
	RUN(test_lost_output);
	RUN(test_end_of_input);
	RUN(test_class_7_console_flood);
	RUN(test_finish);
	RUN(test_input_after_output_moves);
	RUN(test_input_while_output_stands);
	return 0;
}
