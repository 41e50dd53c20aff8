/* The terminal on standard input, while the guest's console uses it. */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* If standard input is a terminal, makes every key a byte for the guest (Ctrl-c among them), and
 * sees to it that the old mode is back after exit() or a crash. Returns whether it is a terminal. */
bool terminal_make_raw(void);

/* Puts the old mode back. Safe to call at any time, also in a signal handler. */
void terminal_restore(void);

/* After a stop (SIGCONT): the shell has changed the mode meanwhile. */
void terminal_continue(void);

#endif
