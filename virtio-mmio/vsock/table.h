/* All connections of a vsock: the pool of their places, the hash by which packets find them, and the list of
 * those that have something to send to the guest. */
#ifndef VIRTIO_MMIO_VSOCK_TABLE_H
#define VIRTIO_MMIO_VSOCK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#include "virtio-mmio/pool.h"
#include "virtio-mmio/vsock/connection.h"
#include "virtio-mmio/vsock/list.h"

#define VSOCK_MAX_CONNECTIONS 2048u
#define VSOCK_MAX_REPLIES     256u

struct vsock_table {
	struct vsock_sockets *sockets;
	uint32_t generation; /* of the driver: the connections of an earlier one are over */
	struct pool pool;
	struct vsock_connection *by_port[VSOCK_MAX_CONNECTIONS];
	uint64_t port_key[2];       /* of their hash: the guest chooses the ports */
	struct vsock_link to_send;  /* connections that wait for their turn */
	struct vsock_link departed; /* those that wait for the guest alone, the longest first */
	struct vsock_link backlogs; /* of those that wait for a listener: the first of each line */
	struct virtio_vsock_hdr replies[VSOCK_MAX_REPLIES]; /* to packets of no connection */
	unsigned first_reply, n_replies;
	uint8_t *buffers; /* VSOCK_BUFFER_BYTES each, in address space only until used */
	struct vsock_connection connections[VSOCK_MAX_CONNECTIONS];
};

/* Does not return on failure (exit 3). */
void vsock_table_init(struct vsock_table *table, struct vsock_sockets *sockets);

/* The driver is gone, with what it should be told: its connections are of an earlier generation now. */
void vsock_table_reset(struct vsock_table *table);

/* A free place, or NULL. If there is none, that of the connection that has waited for the guest alone for the longest
 * time; so only where no connection is being worked on. */
struct vsock_connection *vsock_table_get(struct vsock_table *table);

/* Its socket is closed, its ports are free, and it is in no list. */
void vsock_table_put(struct vsock_table *table, struct vsock_connection *connection);

/* The connection with these ports, between insert() and remove(), or NULL. */
struct vsock_connection *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
					  uint32_t host_port);
void vsock_table_insert(struct vsock_table *table, struct vsock_connection *connection);
void vsock_table_remove(struct vsock_table *table, struct vsock_connection *connection);

/* Gives it a turn, after those that wait already. */
void vsock_table_send_later(struct vsock_table *table, struct vsock_connection *connection);

/* Takes the first one that waits for its turn, or NULL. */
struct vsock_connection *vsock_table_next_to_send(struct vsock_table *table);

/* Whether a reply or a connection waits. */
static inline bool vsock_table_has_something_to_send(const struct vsock_table *table)
{
	return table->n_replies > 0 || !vsock_list_is_empty(&table->to_send);
}

/* Notes a RST to a packet of no connection. There is room: vsock_table_has_reply_room(). */
void vsock_table_refuse(struct vsock_table *table, const struct virtio_vsock_hdr *packet);
static inline bool vsock_table_has_reply_room(const struct vsock_table *table)
{
	return table->n_replies < VSOCK_MAX_REPLIES;
}

/* Takes the first reply; NULL: there is none. Valid until the next vsock_table_refuse(). */
const struct virtio_vsock_hdr *vsock_table_next_reply(struct vsock_table *table);

#endif
