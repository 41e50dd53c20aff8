#include "virtio-mmio/vsock/table.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "host/container_of.h"
#include "host/fail.h"
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

void vsock_table_init(struct vsock_table *table, struct vsock_sockets *sockets)
{
	const size_t bytes = (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES;

	table->sockets = sockets;
	/* Address space only: a connection's part is used when its socket does not keep up. */
	table->buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table->buffers == MAP_FAILED)
		fail_errno(EXIT_HOST_REFUSED, "cannot map the vsock buffers");
	/* A huge page would be 16 connections' for the first byte of one. No kernel support: none. */
	madvise(table->buffers, bytes, MADV_NOHUGEPAGE);
	make_port_key(table);
	pool_init(&table->pool, table->connections, sizeof(table->connections[0]),
		  VSOCK_MAX_CONNECTIONS);
	vsock_list_init(&table->to_send);
	vsock_list_init(&table->departed);
	vsock_list_init(&table->backlogs);
}

void vsock_table_reset(struct vsock_table *table)
{
	table->generation++;
	table->n_replies = 0;
}

static struct vsock_connection **bucket(struct vsock_table *table, uint32_t guest_port,
					uint32_t host_port)
{
	uint64_t hash = vsock_hash(table->port_key, (uint64_t)host_port << 32 | guest_port);

	return &table->by_port[hash % VSOCK_MAX_CONNECTIONS];
}

struct vsock_connection *vsock_table_find(struct vsock_table *table, uint32_t guest_port,
					  uint32_t host_port)
{
	struct vsock_connection *at = *bucket(table, guest_port, host_port);

	while (at != NULL &&
	       (at->stream.guest_port != guest_port || at->stream.host_port != host_port))
		at = at->next_by_port;
	return at;
}

void vsock_table_insert(struct vsock_table *table, struct vsock_connection *connection)
{
	struct vsock_connection **head =
		bucket(table, connection->stream.guest_port, connection->stream.host_port);

	connection->next_by_port = *head;
	*head = connection;
}

void vsock_table_remove(struct vsock_table *table, struct vsock_connection *connection)
{
	struct vsock_connection **at =
		bucket(table, connection->stream.guest_port, connection->stream.host_port);

	while (*at != NULL && *at != connection)
		at = &(*at)->next_by_port;
	if (*at != NULL)
		*at = connection->next_by_port;
}

static void free_buffer(struct vsock_connection *connection)
{
	if (connection->stream.received != 0)
		madvise(connection->buffer, VSOCK_BUFFER_BYTES, MADV_DONTNEED);
}

/* The guest's next packet to it is one of no connection, and answered by a RST. */
static struct vsock_connection *take_departed(struct vsock_table *table)
{
	struct vsock_link *first = vsock_list_first(&table->departed);
	struct vsock_connection *connection;

	if (first == NULL)
		return NULL;
	connection = container_of(first, struct vsock_connection, departed);
	vsock_list_remove(&connection->departed);
	vsock_list_remove(&connection->to_send);
	vsock_table_remove(table, connection);
	free_buffer(connection);
	return connection;
}

struct vsock_connection *vsock_table_get(struct vsock_table *table)
{
	struct vsock_connection *connection = pool_get(&table->pool);

	if (connection == NULL)
		connection = take_departed(table);
	if (connection == NULL)
		return NULL;
	size_t index = (size_t)(connection - table->connections);
	*connection = (struct vsock_connection){
		.table = table,
		.generation = table->generation,
		.buffer = table->buffers + index * VSOCK_BUFFER_BYTES,
	};
	vsock_socket_open(&connection->socket, table->sockets, -1);
	return connection;
}

void vsock_table_put(struct vsock_table *table, struct vsock_connection *connection)
{
	free_buffer(connection);
	connection->stream.state = VSOCK_FREE;
	pool_put(&table->pool, connection);
}

void vsock_table_send_later(struct vsock_table *table, struct vsock_connection *connection)
{
	if (!vsock_list_holds(&connection->to_send))
		vsock_list_append(&table->to_send, &connection->to_send);
}

struct vsock_connection *vsock_table_next_to_send(struct vsock_table *table)
{
	struct vsock_link *first = vsock_list_first(&table->to_send);

	if (first == NULL)
		return NULL;
	vsock_list_remove(first);
	return container_of(first, struct vsock_connection, to_send);
}

void vsock_table_refuse(struct vsock_table *table, const struct virtio_vsock_hdr *packet)
{
	unsigned index = (table->first_reply + table->n_replies++) % VSOCK_MAX_REPLIES;

	vsock_stream_refuse(&table->replies[index], packet);
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
