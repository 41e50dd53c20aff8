/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/backlog.h"

#include "host/clock.h"
#include "host/container_of.h"

/* As long as Linux waits in connect() by default. */
#define ROOM_LIMIT_MS    2000
#define FIRST_PAUSE_MS   1u
#define LONGEST_PAUSE_MS 64u

static struct vsock_waiter *waiter_of(struct vsock_link *waiting)
{
	return container_of(waiting, struct vsock_waiter, waiting);
}

static bool is_first(const struct vsock_waiter *waiter)
{
	return vsock_list_holds(&waiter->behind);
}

static void become_first(struct vsock_link *firsts, struct vsock_waiter *waiter)
{
	vsock_list_init(&waiter->behind);
	vsock_list_append(firsts, &waiter->waiting);
	waiter->pause_ms = 0;
}

bool vsock_backlog_join(struct vsock_link *firsts, struct vsock_waiter *waiter, uint32_t port)
{
	waiter->port = port;
	for (struct vsock_link *at = firsts->next; at != firsts; at = at->next) {
		struct vsock_waiter *first = waiter_of(at);
		if (first->port != port)
			continue;
		vsock_list_append(&first->behind, &waiter->waiting);
		waiter->end_ms = clock_now_ms() + ROOM_LIMIT_MS;
		return true;
	}
	return false;
}

enum vsock_backlog_wait vsock_backlog_wait(struct vsock_link *firsts, struct vsock_waiter *waiter)
{
	if (!is_first(waiter)) {
		if (vsock_backlog_join(firsts, waiter, waiter->port))
			return VSOCK_BACKLOG_STAND;
		become_first(firsts, waiter);
		waiter->end_ms = clock_now_ms() + ROOM_LIMIT_MS;
	} else if (clock_now_ms() >= waiter->end_ms) {
		return VSOCK_BACKLOG_LATE;
	}
	if (waiter->pause_ms < LONGEST_PAUSE_MS)
		waiter->pause_ms = waiter->pause_ms > 0 ? 2 * waiter->pause_ms : FIRST_PAUSE_MS;
	return VSOCK_BACKLOG_PAUSE;
}

struct vsock_waiter *vsock_backlog_leave(struct vsock_link *firsts, struct vsock_waiter *waiter)
{
	struct vsock_waiter *next = NULL;
	struct vsock_link *behind;

	vsock_list_remove(&waiter->waiting);
	if (!is_first(waiter))
		return NULL;
	behind = vsock_list_first(&waiter->behind);
	if (behind != NULL) {
		next = waiter_of(behind);
		vsock_list_remove(behind);
		become_first(firsts, next);
		vsock_list_move(&waiter->behind, &next->behind);
	}
	waiter->behind = (struct vsock_link){ .next = NULL };
	return next;
}

void vsock_backlog_dissolve(struct vsock_link *firsts)
{
	struct vsock_link *first, *behind;

	while ((first = vsock_list_first(firsts)) != NULL) {
		struct vsock_waiter *waiter = waiter_of(first);
		while ((behind = vsock_list_first(&waiter->behind)) != NULL)
			vsock_list_remove(behind);
		vsock_list_remove(first);
		waiter->behind = (struct vsock_link){ .next = NULL };
	}
}
