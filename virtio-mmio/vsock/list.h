/* SPDX-License-Identifier: MIT */
/* A list whose members can leave from any place. It is a ring of links, its head among them. */
#ifndef VIRTIO_MMIO_VSOCK_LIST_H
#define VIRTIO_MMIO_VSOCK_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct vsock_link {
	struct vsock_link *next, *before; /* NULL: in no list */
};

static inline void vsock_list_init(struct vsock_link *list)
{
	list->next = list->before = list;
}

static inline bool vsock_list_is_empty(const struct vsock_link *list)
{
	return list->next == list;
}

/* NULL: it is empty. */
static inline struct vsock_link *vsock_list_first(struct vsock_link *list)
{
	return list->next != list ? list->next : NULL;
}

static inline bool vsock_list_holds(const struct vsock_link *link)
{
	return link->next != NULL;
}

static inline void vsock_list_append(struct vsock_link *list, struct vsock_link *link)
{
	*link = (struct vsock_link){ .next = list, .before = list->before };
	link->before->next = link;
	list->before = link;
}

/* Takes it out of its list, if it is in one. */
static inline void vsock_list_remove(struct vsock_link *link)
{
	if (link->next == NULL)
		return;
	link->next->before = link->before;
	link->before->next = link->next;
	*link = (struct vsock_link){ .next = NULL };
}

/* Moves all members. */
static inline void vsock_list_move(struct vsock_link *from, struct vsock_link *to)
{
	vsock_list_init(to);
	if (vsock_list_first(from) == NULL)
		return;
	*to = *from;
	to->next->before = to->before->next = to;
	vsock_list_init(from);
}

#endif
