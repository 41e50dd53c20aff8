/* SPDX-License-Identifier: MIT */
/*
 * Keys from a terminal, in the foreground of its session and in the background, in a process of its own for each test;
 * and from a standard input that does not block.
 */
#include "io/keyboard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "host/error.h"
#include "tests/unit/check.h"
#include "tests/unit/ring_rig.h"

static struct serial serial;
static struct keyboard keyboard;
static struct exit_request exit_request;
static int person_fd; /* the terminal's other side */
static pid_t shell;   /* another process group of the session */

static bool write_now(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	return false;
}

static void nothing(void *context)
{
	(void)context;
}

static void no_wait(void *context, bool begins)
{
	(void)context, (void)begins;
}

static void access_register(uint64_t offset, bool is_write, uint8_t *value)
{
	struct bus_access access = { offset, 1, is_write, value };

	serial_access(&serial, &access);
}

static void start_keyboard(void)
{
	uint8_t listens = 1; /* the guest's driver, by its interrupt enable register */

	serial_init(&serial, (struct serial_host){ write_now, nothing, nothing, no_wait, NULL });
	access_register(1, true, &listens);
	ring_open(&rig_ring, 16);
	exit_request_open(&exit_request, &rig_ring);
	keyboard_init(&keyboard, &rig_ring, 0, &serial, &exit_request);
	ring_start(&rig_ring);
	exit_request_start(&exit_request);
	keyboard_start(&keyboard);
}

/* A session with a terminal, whose leader is this process, and another group that may come to its foreground. */
static void open_terminal(void)
{
	CHECK(setsid() > 0);
	person_fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	CHECK(person_fd >= 0 && grantpt(person_fd) == 0 && unlockpt(person_fd) == 0);
	int fd = open(ptsname(person_fd), O_RDWR | O_NOCTTY);
	CHECK(fd >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0 && dup2(fd, 0) == 0);
	close(fd);
	/* What a background process does to its terminal stops it, by a signal that is not for this test. */
	signal(SIGTTOU, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	shell = fork();
	if (shell == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	CHECK(setpgid(shell, shell) == 0);
}

static void to_front(pid_t group)
{
	CHECK_EQ(tcsetpgrp(0, group), 0);
}

static void type(const char *text)
{
	CHECK(write(person_fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* The bytes that the guest finds. */
static void expect_keys(const char *text)
{
	for (; *text != '\0'; text++) {
		uint8_t byte = 0;
		RIG_RUN_UNTIL((keyboard_pump(&keyboard), serial.rx_count > 0));
		access_register(0, false, &byte);
		CHECK_EQ(byte, (uint8_t)*text);
	}
}

static bool is_raw(void)
{
	struct termios mode;

	CHECK_EQ(tcgetattr(0, &mode), 0);
	return !(mode.c_lflag & (ICANON | ECHO | ISIG));
}

/* Every key is for the guest, Ctrl-c too, but for Ctrl-a x. */
static void in_front(void)
{
	open_terminal();
	start_keyboard();
	CHECK(keyboard.is_terminal && is_raw());
	type("abc\x03\x01\x01");
	expect_keys("abc\x03\x01");
	CHECK_EQ(exit_request_status(&exit_request), EXIT_REQUEST_NONE);
	type("\x01x");
	RIG_RUN_UNTIL(exit_request_status(&exit_request) != EXIT_REQUEST_NONE);
	CHECK_EQ(exit_request_status(&exit_request), EXIT_GUEST_ENDED);
	keyboard_suspend(&keyboard);
	CHECK(!is_raw());
	keyboard_resume(&keyboard);
	CHECK(is_raw());
}

/* What is typed for others stays theirs, and the mode is not touched; in the foreground it goes on within a moment. */
static void in_background(void)
{
	char got[16] = "";

	open_terminal();
	to_front(shell);
	start_keyboard();
	CHECK(keyboard.is_terminal && !is_raw() && keyboard.checking);
	type("theirs\n");
	RIG_RUN_UNTIL(!keyboard.reading);
	for (int64_t end = clock_now_ms() + 500; clock_now_ms() < end;)
		CHECK_EQ(ring_wait_for(&rig_ring, 50), 0);
	CHECK(!is_raw());
	to_front(getpgrp());
	CHECK_EQ(read(0, got, sizeof(got)), 7);
	CHECK_STRING(got, "theirs\n");
	RIG_RUN_UNTIL(is_raw());
	type("ours");
	expect_keys("ours");
}

/* Others come to the foreground while it waits for a key, then it does again. */
static void back_and_forth(void)
{
	open_terminal();
	start_keyboard();
	type("a");
	expect_keys("a");
	keyboard_suspend(&keyboard);
	to_front(shell);
	keyboard_resume(&keyboard);
	CHECK(!is_raw() && keyboard.checking);
	to_front(getpgrp());
	RIG_RUN_UNTIL(is_raw());
	type("b");
	expect_keys("b");
}

/* A read that others have overtaken, and a poll that a change of the mode has ended. */
static void overtaken(void)
{
	open_terminal();
	start_keyboard();
	CHECK(keyboard.reading);
	keyboard.read_op.done(&keyboard.read_op, -EIO);
	CHECK(!keyboard.reading && keyboard.checking && !keyboard.ended);
	RIG_RUN_UNTIL(!keyboard.checking);
	keyboard.ready_op.done(&keyboard.ready_op, -EINVAL);
	CHECK(keyboard.reading && keyboard.checking);
	keyboard.ready_op.done(&keyboard.ready_op, -EINVAL);
	CHECK(!keyboard.reading && keyboard.checking && !keyboard.ended);
	RIG_RUN_UNTIL(keyboard.reading);
	keyboard.ready_op.done(&keyboard.ready_op, POLLIN | POLLHUP);
	CHECK(keyboard.ended);
}

/* A launcher's pipe or socket may have O_NONBLOCK, and be empty. */
static void without_terminal(void)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && dup2(ends[0], 0) == 0);
	person_fd = ends[1];
	start_keyboard();
	CHECK(!keyboard.is_terminal);
	rig_idle();
	/* Two of them on the ring, so that one has nothing. */
	keyboard.read_op.done(&keyboard.read_op, -EAGAIN);
	CHECK(keyboard.reading && !keyboard.ended);
	rig_idle();
	keyboard_suspend(&keyboard);
	keyboard_resume(&keyboard);
	type("\x01x");
	expect_keys("\x01x");
	CHECK_EQ(exit_request_status(&exit_request), EXIT_REQUEST_NONE);
	rig_idle();
	close(person_fd);
	RIG_RUN_UNTIL(keyboard.ended);
}

static void in_child(void (*check)(void))
{
	int status;

	fflush(stdout);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		check();
		if (shell > 0)
			kill(shell, SIGKILL);
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void test_in_front(void)
{
	in_child(in_front);
}

static void test_in_background(void)
{
	in_child(in_background);
}

static void test_back_and_forth(void)
{
	in_child(back_and_forth);
}

static void test_overtaken(void)
{
	in_child(overtaken);
}

static void test_without_terminal(void)
{
	in_child(without_terminal);
}

int main(void)
{
	RUN(test_in_front);
	RUN(test_in_background);
	RUN(test_back_and_forth);
	RUN(test_overtaken);
	RUN(test_without_terminal);
	return 0;
}
