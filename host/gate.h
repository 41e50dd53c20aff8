/* SPDX-License-Identifier: MIT */
/* A gate in the way of a fixed number of threads: closed, it holds each of them, and tells when all of them wait. */
#ifndef HOST_GATE_H
#define HOST_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool closed, removed;
	unsigned n_threads, n_waiting;
	int all_wait_fd;
};

/* all_wait_fd: of an event (host/event.h), signalled when all have come to wait; then look again with gate_holds_all(). */
void gate_init(struct gate *gate, unsigned n_threads, int all_wait_fd);

void gate_close(struct gate *gate);
void gate_open(struct gate *gate);

/* Opens it for good: gate_close() has no effect any more. */
void gate_remove(struct gate *gate);
bool gate_holds_all(struct gate *gate);

/* One of the threads: waits while the gate is closed. Whether it was. */
bool gate_pass(struct gate *gate);

/* One of the threads waits for something else meanwhile, which may take as long as it likes: that is as good as the
 * gate. */
void gate_wait_begins(struct gate *gate);
void gate_wait_ends(struct gate *gate);

#endif
