/*
 * The terminal on standard input, while the guest's console uses it.
 *
 * It belongs to whichever process group its session has in front, and that may change at any time: a shell's `&`, `fg`
 * and `bg`. In the background its mode is left alone.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* Whether standard input is a terminal. If so, sees to it that it is left after exit() or a crash. */
bool terminal_open(void);

/* In front: makes every key a byte for the guest (Ctrl-c among them), unless that is done, and returns true. The mode
 * that it has until then is what it gets back. */
bool terminal_take(void);

/* Gives the mode back, if the process is in front. Safe to call at any time, also in a signal handler. */
void terminal_leave(void);

/* After a stop of the process: whoever was in front meanwhile has set the mode as it likes. */
void terminal_forget(void);

#endif
