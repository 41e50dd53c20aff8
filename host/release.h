/* SPDX-License-Identifier: MIT */
/* An image, TAP or socket in use may belong to a monitor that has just ended: the kernel takes its io_uring down
 * after the process, and with it the files. Retried for one second, then refused. */
#ifndef HOST_RELEASE_H
#define HOST_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

/* One wait; zeroed at its begin. */
struct release_wait {
	int64_t end_ms;
};

/* A pause, then true: try again. False when a second has passed since the first. errno stays as it is. For the set-up,
 * with no lock held: a signal ends the process, as in signals_pause(). */
bool release_wait(struct release_wait *wait);

#endif
