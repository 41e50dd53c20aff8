/* SPDX-License-Identifier: MIT */
#include "host/terminal.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "host/signals.h"

static struct termios found_mode;
static pid_t own_group; /* nobody changes it once the program runs */
static bool is_found;
static volatile sig_atomic_t is_taken;

/* A terminal of another session, or of none, knows no process groups. */
static bool is_in_front(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == own_group;
}

void terminal_leave(void)
{
	if (!is_taken)
		return;
	is_taken = 0;
	/* Not TCSADRAIN: output that was stopped by Ctrl-s must not hold the exit up. */
	if (is_in_front())
		tcsetattr(STDIN_FILENO, TCSANOW, &found_mode);
}

void terminal_forget(void)
{
	is_taken = 0;
}

static void leave_and_die(int signal)
{
	terminal_leave();
	signals_raise(signal); /* SA_RESETHAND: the default action now */
}

bool terminal_open(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action = { .sa_handler = leave_and_die,
				    .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };

	if (!isatty(STDIN_FILENO))
		return false;
	own_group = getpgrp();
	atexit(terminal_leave);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, NULL);
	return true;
}

static void make_raw(struct termios *mode)
{
	mode->c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | IGNBRK | IGNCR | INLCR | INPCK | ISTRIP |
				     IXON | PARMRK);
	mode->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	mode->c_cflag = (mode->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	/* c_oflag stays: the monitor's own lines still need their carriage return. */
	mode->c_cc[VMIN] = 1;
	mode->c_cc[VTIME] = 0;
}

/* In all that make_raw() changes. */
static bool is_same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_lflag == b->c_lflag && a->c_cflag == b->c_cflag &&
	       a->c_cc[VMIN] == b->c_cc[VMIN] && a->c_cc[VTIME] == b->c_cc[VTIME];
}

bool terminal_take(void)
{
	struct termios mode, raw;

	if (!is_in_front())
		return false;
	if (is_taken || tcgetattr(STDIN_FILENO, &mode) < 0)
		return true;
	raw = mode;
	make_raw(&raw);
	/* Raw already: by ourselves, before we were stopped with no time to leave it. */
	if (!is_found || !is_same(&raw, &mode))
		found_mode = mode;
	is_found = true;
	is_taken = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	/* A shell may have stopped us and gone on between these lines. */
	if (is_in_front())
		return true;
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
	is_taken = 0;
	return false;
}
