/* SPDX-License-Identifier: MIT */
#include "host/gate.h"

#include "host/event.h"

void gate_init(struct gate *gate, unsigned n_threads, int all_wait_fd)
{
	*gate = (struct gate){ .n_threads = n_threads, .all_wait_fd = all_wait_fd };
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->opened, NULL);
}

static bool holds_all(const struct gate *gate)
{
	return gate->closed && gate->n_waiting == gate->n_threads;
}

static void tell_if_all_wait(struct gate *gate)
{
	if (holds_all(gate))
		event_signal(gate->all_wait_fd);
}

void gate_close(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = !gate->removed;
	/* They may not even have noticed that it was open. */
	tell_if_all_wait(gate);
	pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate, bool removed)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = false;
	gate->removed = removed;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
	open_gate(gate, false);
}

void gate_remove(struct gate *gate)
{
	open_gate(gate, true);
}

bool gate_holds_all(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	bool all = holds_all(gate);
	pthread_mutex_unlock(&gate->lock);
	return all;
}

static void begin_wait(struct gate *gate)
{
	gate->n_waiting++;
	tell_if_all_wait(gate);
}

bool gate_pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	bool was_closed = gate->closed;
	if (was_closed) {
		begin_wait(gate);
		while (gate->closed)
			pthread_cond_wait(&gate->opened, &gate->lock);
		gate->n_waiting--;
	}
	pthread_mutex_unlock(&gate->lock);
	return was_closed;
}

void gate_wait_begins(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	begin_wait(gate);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait_ends(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->n_waiting--;
	pthread_mutex_unlock(&gate->lock);
}
