/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/table.h"

#include <string.h>
#include <sys/auxv.h>

#include "host/container_of.h"
#include "virtio-mmio/vsock/hash.h"

/* The kernel gives each process 16 random bytes. The C library takes the first 8 for the canary of its
 * stacks. */
static void make_port_key(struct vsock_table *table)
{
	unsigned long address = getauxval(AT_RANDOM);
	const uint8_t *random;

	memcpy(&random, &address, sizeof(random));
	memcpy(&table->port_key[0], random + 8, 8);
	table->port_key[1] = ~table->port_key[0];
}

void vsock_table_init(struct vsock_table *table, void *connections, size_t bytes)
{
	make_port_key(table);
	pool_init(&table->pool, connections, bytes, VSOCK_MAX_CONNECTIONS);
	vsock_list_init(&table->to_send);
	vsock_list_init(&table->departed);
}

static struct vsock_entry **bucket(struct vsock_table *table, uint32_t guest_port,
				   uint32_t host_port)
{
	uint64_t hash = vsock_hash(table->port_key, (uint64_t)host_port << 32 | guest_port);

	return &table->by_port[hash % VSOCK_MAX_CONNECTIONS];
}

struct vsock_entry *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
				     uint32_t host_port)
{
	struct vsock_entry *at = *bucket(table, guest_port, host_port);

	while (at != NULL && (at->guest_port != guest_port || at->host_port != host_port))
		at = at->next_by_port;
	return at;
}

void vsock_table_insert(struct vsock_table *table, struct vsock_entry *entry, uint32_t guest_port,
			uint32_t host_port)
{
	struct vsock_entry **head = bucket(table, guest_port, host_port);

	entry->guest_port = guest_port;
	entry->host_port = host_port;
	entry->next_by_port = *head;
	*head = entry;
}

void vsock_table_remove(struct vsock_table *table, struct vsock_entry *entry)
{
	struct vsock_entry **at = bucket(table, entry->guest_port, entry->host_port);

	while (*at != NULL && *at != entry)
		at = &(*at)->next_by_port;
	if (*at != NULL)
		*at = entry->next_by_port;
}

/* The guest's next packet to it is one of no connection, and answered by a RST. */
static struct vsock_entry *take_departed(struct vsock_table *table)
{
	struct vsock_link *first = vsock_list_first(&table->departed);
	struct vsock_entry *entry;

	if (first == NULL)
		return NULL;
	entry = container_of(first, struct vsock_entry, departed);
	vsock_list_remove(&entry->departed);
	vsock_list_remove(&entry->to_send);
	vsock_table_remove(table, entry);
	return entry;
}

struct vsock_entry *vsock_table_get(struct vsock_table *table)
{
	struct vsock_entry *entry = pool_get(&table->pool);

	return entry != NULL ? entry : take_departed(table);
}

void vsock_table_put(struct vsock_table *table, struct vsock_entry *entry)
{
	pool_put(&table->pool, entry);
}

void vsock_table_depart(struct vsock_table *table, struct vsock_entry *entry)
{
	if (!vsock_list_holds(&entry->departed))
		vsock_list_append(&table->departed, &entry->departed);
}

void vsock_table_send_later(struct vsock_table *table, struct vsock_entry *entry)
{
	if (!vsock_list_holds(&entry->to_send))
		vsock_list_append(&table->to_send, &entry->to_send);
}

struct vsock_entry *vsock_table_next_to_send(struct vsock_table *table)
{
	struct vsock_link *first = vsock_list_first(&table->to_send);

	if (first == NULL)
		return NULL;
	vsock_list_remove(first);
	return container_of(first, struct vsock_entry, to_send);
}

void vsock_table_add_reply(struct vsock_table *table, const struct virtio_vsock_hdr *reply)
{
	table->replies[(table->first_reply + table->n_replies) % VSOCK_MAX_REPLIES] = *reply;
	table->n_replies++;
}

const struct virtio_vsock_hdr *vsock_table_next_reply(struct vsock_table *table)
{
	const struct virtio_vsock_hdr *reply = &table->replies[table->first_reply];

	if (table->n_replies == 0)
		return NULL;
	table->first_reply = (table->first_reply + 1) % VSOCK_MAX_REPLIES;
	table->n_replies--;
	return reply;
}
