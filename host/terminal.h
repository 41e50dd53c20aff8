/* SPDX-License-Identifier: MIT */
/*
 * The terminal on standard input, while the guest's console uses it.
 *
 * It belongs to the foreground process group of its session, which may change at any time: a shell's `&`, `fg` and
 * `bg`. In the background its mode is left alone.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* Whether standard input is a terminal. If so, its mode is restored at exit() or after a crash. */
bool terminal_open(void);

/* In the foreground: makes every key a byte for the guest, Ctrl-c too, unless that is done, and returns true. The
 * mode that the terminal has until then is the one that is restored. */
bool terminal_take(void);

/* Restores the mode, if the process is in the foreground. Safe at any time, also in a signal handler. */
void terminal_leave(void);

/* After a stop of the process: others were in the foreground meanwhile, and have set the mode. */
void terminal_forget(void);

#endif
