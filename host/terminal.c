#include "host/terminal.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved_mode, raw_mode;
static volatile sig_atomic_t is_raw;

void terminal_restore(void)
{
	if (is_raw) {
		is_raw = 0;
		/* From the background, where it would stop the process. */
		signal(SIGTTOU, SIG_IGN);
		/* Not TCSADRAIN: output that was stopped by Ctrl-s must not hold the exit up. */
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
	}
}

void terminal_continue(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw_mode);
}

static void restore_and_die(int signal)
{
	terminal_restore();
	raise(signal); /* SA_RESETHAND: the default action now */
}

bool terminal_make_raw(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action = { .sa_handler = restore_and_die,
				    .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };

	if (tcgetattr(STDIN_FILENO, &saved_mode) < 0)
		return false;
	raw_mode = saved_mode;
	raw_mode.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | IGNBRK | IGNCR | INLCR | INPCK | ISTRIP |
					IXON | PARMRK);
	raw_mode.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw_mode.c_cflag = (raw_mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	/* c_oflag stays: the monitor's own lines still need their carriage return. */
	raw_mode.c_cc[VMIN] = 1;
	raw_mode.c_cc[VTIME] = 0;
	atexit(terminal_restore);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, NULL);
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw_mode);
	return true;
}
