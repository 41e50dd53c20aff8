/* SPDX-License-Identifier: MIT */
/*
 * A table of all connections of a vsock, of which it knows no more than their entries: the pool of their places, the hash
 * by which packets find them, and the list of those that have something to send to the guest.
 */
#ifndef VIRTIO_MMIO_VSOCK_TABLE_H
#define VIRTIO_MMIO_VSOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#include "virtio-mmio/pool.h"
#include "virtio-mmio/vsock/list.h"

#define VSOCK_MAX_CONNECTIONS 2048u
#define VSOCK_MAX_REPLIES     256u

struct vsock_entry {
	struct vsock_entry *next_free; /* first: the pool's */
	struct vsock_entry *next_by_port;
	uint32_t guest_port, host_port; /* by which it is found */
	struct vsock_link to_send;      /* waits for its turn */
	struct vsock_link departed;     /* waits for the guest alone */
};

struct vsock_table {
	struct pool pool;
	uint64_t port_key[2]; /* of the hash: the guest chooses the ports */
	struct vsock_link to_send;
	struct vsock_link departed; /* the longest first */
	unsigned first_reply, n_replies;
	struct virtio_vsock_hdr replies[VSOCK_MAX_REPLIES]; /* RSTs to packets of no connection */
	struct vsock_entry *by_port[VSOCK_MAX_CONNECTIONS];
};

/* connections: VSOCK_MAX_CONNECTIONS of `bytes` each; each begins with its entry. */
void vsock_table_init(struct vsock_table *table, void *connections, size_t bytes);

/* A free place, or NULL. If there is none, that of the connection that has waited longest for the guest alone; so
 * only where no connection is being worked on. */
struct vsock_entry *vsock_table_get(struct vsock_table *table);

/* It is not in the table in any other way. */
void vsock_table_put(struct vsock_table *table, struct vsock_entry *entry);

/* The entry that was inserted with these ports, and not removed; or NULL. */
struct vsock_entry *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
				     uint32_t host_port);
void vsock_table_insert(struct vsock_table *table, struct vsock_entry *entry, uint32_t guest_port,
			uint32_t host_port);
void vsock_table_remove(struct vsock_table *table, struct vsock_entry *entry);

/* Only the guest is waited for: vsock_table_get() may take the place. */
void vsock_table_depart(struct vsock_table *table, struct vsock_entry *entry);

/* Gives it a turn, after those that wait already. */
void vsock_table_send_later(struct vsock_table *table, struct vsock_entry *entry);

/* Takes the first one that waits for its turn, or NULL. */
struct vsock_entry *vsock_table_next_to_send(struct vsock_table *table);

/* Whether a reply or an entry waits. */
static inline bool vsock_table_has_something_to_send(const struct vsock_table *table)
{
	return table->n_replies > 0 || !vsock_list_is_empty(&table->to_send);
}

/* Keeps a reply. There is room for it. */
void vsock_table_add_reply(struct vsock_table *table, const struct virtio_vsock_hdr *reply);

static inline bool vsock_table_has_reply_room(const struct vsock_table *table)
{
	return table->n_replies < VSOCK_MAX_REPLIES;
}

/* Takes the first reply, valid until the next is added; NULL: there is none. */
const struct virtio_vsock_hdr *vsock_table_next_reply(struct vsock_table *table);

/* The driver is gone with what it should have been told. */
static inline void vsock_table_drop_replies(struct vsock_table *table)
{
	table->n_replies = 0;
}

#endif
