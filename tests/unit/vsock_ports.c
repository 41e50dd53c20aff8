/* SPDX-License-Identifier: MIT */
/* The table in which packets find their connection: the guest chooses what lies in it. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"
#include "virtio-mmio/vsock/hash.h"

#define PORT 6000u
#define MOST (VSOCK_MAX_CONNECTIONS - 1)

static unsigned longest_chain(void)
{
	unsigned longest = 0;

	for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
		unsigned n = 0;
		for (struct vsock_entry *at = vsock.connections.table.by_port[i]; at;
		     at = at->next_by_port)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Puts connections into the table whose guest ports are these. */
static void fill_table(const uint32_t *ports)
{
	vsock_rig_open_at((struct vsock_target){ NULL, -1 });
	for (unsigned i = 0; i < MOST; i++) {
		struct vsock_connection *connection = vsock_connection_get(&vsock.connections);
		CHECK(connection != NULL);
		vsock_table_insert(&vsock.connections.table, &connection->entry, ports[i], PORT);
	}
}

static void check_found_and_empty(const uint32_t *ports)
{
	for (unsigned i = 0; i < MOST; i++) {
		struct vsock_connection *connection =
			vsock_connection_find(&vsock.connections, ports[i], PORT);
		CHECK(connection != NULL && connection->entry.guest_port == ports[i]);
		vsock_table_remove(&vsock.connections.table, &connection->entry);
		CHECK(vsock_connection_find(&vsock.connections, ports[i], PORT) == NULL);
		vsock_connection_put(connection);
	}
	check_all_returned();
	vsock_rig_close();
}

/* Ports that fall together for who takes them times a known number, in a row, and 65,536 apart. */
static void test_class_30_chosen_keys_ports(void)
{
	static uint32_t ports[3][MOST];
	uint32_t other = PORT * 0x85ebca6bu, n = 0;

	for (uint32_t port = 0; n < MOST; port++)
		if (((port * 0x9e3779b1u ^ other) >> 16) % VSOCK_MAX_CONNECTIONS == 7)
			ports[0][n++] = port;
	for (n = 0; n < MOST; n++) {
		ports[1][n] = n;
		ports[2][n] = n << 16;
	}
	for (unsigned i = 0; i < 3; i++) {
		fill_table(ports[i]);
		CHECK(longest_chain() <= 16); /* at random more than 12 come once in a million */
		check_found_and_empty(ports[i]);
	}
}

/* Ports that fall together with one key do not with another. */
static void test_keys_differ(void)
{
	static uint32_t ports[MOST];
	const uint64_t keys[2][2] = { { 1, 2 }, { 1, 3 } };

	for (uint32_t port = 0, n = 0; n < MOST; port++)
		if (vsock_hash(keys[0], (uint64_t)PORT << 32 | port) % VSOCK_MAX_CONNECTIONS == 7)
			ports[n++] = port;
	fill_table(ports); /* with a key of its own */
	CHECK(longest_chain() <= 16);
	check_found_and_empty(ports);
	unsigned same = 0;
	for (unsigned i = 0; i < MOST; i++)
		same += vsock_hash(keys[1], (uint64_t)PORT << 32 | ports[i]) %
				VSOCK_MAX_CONNECTIONS ==
			7;
	CHECK(same <= 16);
}

/* CPython's hash of bytes(range(8)) with PYTHONHASHSEED=0, whose key is zero. */
static void test_known_hash(void)
{
	const uint64_t key[2] = { 0, 0 };

	CHECK_EQ(vsock_hash(key, 0x0706050403020100), 0xead411e67ebe2eea);
}

int main(void)
{
	RUN(test_class_30_chosen_keys_ports);
	RUN(test_keys_differ);
	RUN(test_known_hash);
	return 0;
}
