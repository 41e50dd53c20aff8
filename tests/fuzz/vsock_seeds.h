/* SPDX-License-Identifier: MIT */
/* The operations of an input of the vsock's fuzzer, and those inputs with which it begins: each leads to a
 * place that mutation alone does not find. */
#ifndef TESTS_FUZZ_VSOCK_SEEDS_H
#define TESTS_FUZZ_VSOCK_SEEDS_H

#include <linux/vm_sockets.h>

#include "tests/fuzz/vsock_fuzz_rig.h"

enum operation {
	OP_RX_BUFFER = DRIVER_OPERATIONS,
	OP_PACKET,
	OP_CONNECT,
	OP_ACCEPT,
	OP_GREET,
	OP_WRITE,
	OP_READ,
	OP_SHUTDOWN,
	OP_CLOSE,
	OP_OLD_HOST,
	OP_SHRINK,
	OP_FAULT,
	OP_TIME,
	OP_LAUNCHER,
	OP_POLICY, /* of the host's ring */
	OPERATIONS,
};

#define RUN_PATIENTLY 0x60 /* OP_RUN's byte, and how many turns at most */

static const uint32_t sizes[16] = { 0,    1,    43,   44,    45,    46,         60,    200,
				    1044, 4096, 4140, 16384, 65536, 65536 + 44, 70000, 100000 };
static const uint8_t parts[8] = { 1, 2, 3, 7, 46, 70, 127, 128 };
static const uint32_t credits[8] = { 65536, 0, 1, 100, 262144, UINT32_MAX, 0x80000000, 4096 };

/* A program connects and the guest agrees: connection `k`, whose credit is number `credit`. */
static void append_stream(struct fuzz_program *seed, uint8_t k, uint8_t credit)
{
	FUZZ_APPEND(seed, OP_CONNECT, OP_GREET, k, 0, OP_RUN, 31);
	FUZZ_APPEND(seed, OP_PACKET, 0, VIRTIO_VSOCK_OP_RESPONSE, k, 0, credit, 0, 0);
	FUZZ_APPEND(seed, OP_KICK, VSOCK_TX, OP_RUN, 31);
}

static void append_packet(struct fuzz_program *seed, uint8_t op, uint8_t which, uint8_t size,
			  uint8_t shape)
{
	FUZZ_APPEND(seed, OP_PACKET, 2, op, which, size, 0, 0, shape, OP_KICK, VSOCK_TX, OP_RUN,
		    31);
}

static void append_buffers(struct fuzz_program *seed, uint8_t shape)
{
	for (uint8_t head = 0; head < 128; head += 16)
		FUZZ_APPEND(seed, OP_RX_BUFFER, head, shape);
	FUZZ_APPEND(seed, OP_KICK, VSOCK_RX);
}

/* Streams both ways with data both ways, in chains of one shape, that end in each way. */
static void seed_streams(const char *name, uint8_t features, uint8_t shape, uint8_t credit)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, features, 0, 7);
	for (uint8_t i = 0; i < 4; i++) {
		append_buffers(&seed, shape);
		append_stream(&seed, i, credit);
		append_packet(&seed, VIRTIO_VSOCK_OP_RW, i, 9, shape);
		FUZZ_APPEND(&seed, OP_WRITE, i, 4, OP_RUN, 31, OP_READ, i, 1);
		append_packet(&seed, VIRTIO_VSOCK_OP_CREDIT_REQUEST, i, 0, 0);
		append_packet(&seed, VIRTIO_VSOCK_OP_CREDIT_UPDATE, i, 0, 0);
		append_packet(&seed, (uint8_t)(VIRTIO_VSOCK_OP_SHUTDOWN | i << 6), i, 0, 0);
		append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST, (uint8_t)(0x80 | i << 2), 0, 0);
		FUZZ_APPEND(&seed, OP_ACCEPT, 0, (uint8_t)(i & 1 ? OP_SHUTDOWN : OP_CLOSE), i, i);
		FUZZ_APPEND(&seed, OP_RUN, 31);
	}
	append_packet(&seed, VIRTIO_VSOCK_OP_RST, 0, 0, 0);
	fuzz_seed(name, seed.bytes, seed.n);
}

/* A reader that does not read, then does: the buffer fills and empties. */
static void seed_slow_reader(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	append_stream(&seed, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 11, 0);
	for (unsigned i = 0; i < 10; i++)
		FUZZ_APPEND(&seed, OP_READ, 0, 1, OP_RUN, 31);
	append_packet(&seed, VIRTIO_VSOCK_OP_SHUTDOWN | 2 << 6, 0, 0, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 8, 0);
	fuzz_seed("slow-reader", seed.bytes, seed.n);
}

/* More programs that write than there are reads, and packets to nobody that nobody answers. */
static void seed_floods(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 8);
	append_buffers(&seed, 8);
	for (uint8_t i = 0; i < HOST_PROGRAMS; i++)
		append_stream(&seed, i, 0);
	for (uint8_t i = 0; i < HOST_PROGRAMS; i++)
		FUZZ_APPEND(&seed, OP_WRITE, i, 3);
	for (unsigned i = 0; i < 2; i++)
		append_buffers(&seed, 8);
	FUZZ_APPEND(&seed, OP_RUN, 31, OP_PACKET, 0, VIRTIO_VSOCK_OP_RW, 0x84, 7, 0, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		FUZZ_APPEND(&seed, OP_OFFER, VSOCK_TX, 0, 100, OP_KICK, VSOCK_TX, OP_RUN, 31);
	append_buffers(&seed, 8);
	FUZZ_APPEND(&seed, OP_OFFER, VSOCK_RX, 0, 100, OP_KICK, VSOCK_RX, OP_RUN, 31);
	fuzz_seed("floods", seed.bytes, seed.n);
}

/* Every operation of one kind fails, in one way, while streams come, go and carry data. */
static void seed_fault(uint8_t kind, uint8_t error)
{
	struct fuzz_program seed = { .n = 0 };
	char name[32];

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	append_stream(&seed, 0, 0);
	FUZZ_APPEND(&seed, OP_FAULT, kind, (uint8_t)(240 + error));
	append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 9, 0);
	FUZZ_APPEND(&seed, OP_WRITE, 0, 3, OP_RUN, 31, OP_FAULT, kind, (uint8_t)(240 + error));
	append_stream(&seed, 1, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST, 0x80, 0, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST, 0xa0, 0, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST, 0xc0, 0, 0);
	FUZZ_APPEND(&seed, OP_CONNECT, OP_GREET, 2, 7, OP_RUN, RUN_PATIENTLY | 31);
	append_buffers(&seed, 10);
	append_packet(&seed, VIRTIO_VSOCK_OP_SHUTDOWN | 1 << 6, 0, 0, 0);
	FUZZ_APPEND(&seed, OP_CLOSE, 0, 0, OP_TIME, 11, OP_RUN, RUN_PATIENTLY | 31, OP_RUN,
		    RUN_PATIENTLY | 31);
	snprintf(name, sizeof(name), "fault-%u-%u", kind, error);
	fuzz_seed(name, seed.bytes, seed.n);
}

/* Programs that are out of line: out of band, or they say nothing for too long. */
static void seed_greetings(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	for (uint8_t i = 0; i < 4; i++)
		FUZZ_APPEND(&seed, OP_CONNECT, OP_WRITE, i, (uint8_t)(8 + i), OP_RUN, 31);
	for (uint8_t kind = 0; kind < 12; kind++)
		FUZZ_APPEND(&seed, OP_CONNECT, OP_GREET, 5, kind, OP_RUN, 31, OP_CLOSE, 5, 0);
	append_stream(&seed, 4, 0);
	FUZZ_APPEND(&seed, OP_WRITE, 4, 8, OP_WRITE, 4, 10, OP_RUN, 31, OP_CONNECT, OP_RUN, 31);
	FUZZ_APPEND(&seed, OP_TIME, 9, OP_RUN, RUN_PATIENTLY | 31, OP_TIME, 11, OP_RUN,
		    RUN_PATIENTLY | 31);
	fuzz_seed("greetings", seed.bytes, seed.n);
}

/* A line before a listener without room: it moves, somebody leaves it, its time is over, a reset. */
static void seed_backlog(uint8_t end)
{
	struct fuzz_program seed = { .n = 0 };
	char name[32];

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	for (uint8_t i = 0; i < 16; i++) {
		append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST,
			      (uint8_t)(0x80 | (i >> 2) << 5 |
					(i == 9 ? PORT_LISTENER : PORT_FULL) << 2 | (i & 3)),
			      0, 0);
		FUZZ_APPEND(&seed, OP_RUN, RUN_PATIENTLY | 31);
	}
	append_packet(&seed, VIRTIO_VSOCK_OP_RST, 3, 0, 0);
	append_packet(&seed, (uint8_t)(VIRTIO_VSOCK_OP_SHUTDOWN | 3 << 6), 4, 0, 0);
	append_packet(&seed, (uint8_t)(VIRTIO_VSOCK_OP_SHUTDOWN | 2 << 6), 1, 0, 0);
	append_packet(&seed, (uint8_t)(VIRTIO_VSOCK_OP_SHUTDOWN | 1 << 6), 2, 0, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_RST, 0, 0, 0);
	for (uint8_t i = 0; i < 4; i++)
		FUZZ_APPEND(&seed, OP_ACCEPT, 1, OP_RUN, RUN_PATIENTLY | 31, OP_RUN,
			    RUN_PATIENTLY | 31, OP_RUN, RUN_PATIENTLY | 31);
	FUZZ_APPEND(&seed, end, 11, OP_RUN, RUN_PATIENTLY | 31, OP_RUN, RUN_PATIENTLY | 31, OP_RUN,
		    RUN_PATIENTLY | 31, OP_RUN, RUN_PATIENTLY | 31);
	snprintf(name, sizeof(name), "backlog-%u", end);
	fuzz_seed(name, seed.bytes, seed.n);
}

/* More connections than there are places, of programs that leave when the guest has been asked, or before, or
 * when it has agreed; the guest takes no more packets. */
static void seed_departed(uint8_t agreed)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	for (uint8_t round = 0; round < 2; round++) {
		for (uint8_t i = 0; i < HOST_PROGRAMS; i++)
			FUZZ_APPEND(&seed, OP_CONNECT, OP_GREET, i, 0, OP_RUN, 31);
		for (uint8_t i = 0; agreed && i < HOST_PROGRAMS; i++)
			append_packet(&seed, VIRTIO_VSOCK_OP_RESPONSE, i, 0, 0);
		for (uint8_t i = 0; i < 8; i++)
			append_packet(&seed, VIRTIO_VSOCK_OP_REQUEST,
				      (uint8_t)(0x80 | (i >> 2) << 5 | (i & 3)), 0, 0);
		for (uint8_t i = 0; i < HOST_PROGRAMS; i++)
			FUZZ_APPEND(&seed, OP_READ, i, 1, OP_CLOSE, i, 0);
		FUZZ_APPEND(&seed, OP_RUN, RUN_PATIENTLY | 31, OP_RUN, RUN_PATIENTLY | 31);
	}
	append_buffers(&seed, 10);
	FUZZ_APPEND(&seed, OP_RUN, RUN_PATIENTLY | 31);
	for (uint8_t flags = 1; flags < 4; flags++)
		for (uint8_t i = 0; i < 2; i++)
			append_packet(&seed, (uint8_t)(VIRTIO_VSOCK_OP_SHUTDOWN | flags << 6),
				      (uint8_t)(flags & 1), 0, 0);
	fuzz_seed(agreed ? "departed-agreed" : "departed", seed.bytes, seed.n);
}

/* Sockets that take little: the guest's data waits, and more comes than it may send; the program ends it in
 * one of the ways, or the guest does. */
static void seed_full_sockets(uint8_t how)
{
	struct fuzz_program seed = { .n = 0 };
	char name[32];

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	append_stream(&seed, 0, 0);
	for (uint8_t i = 0; i < FEW_CONNECTIONS; i++)
		FUZZ_APPEND(&seed, OP_SHRINK, i);
	FUZZ_APPEND(&seed, OP_READ, 0, 1);
	append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 11, 0);
	append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 10, 0);
	if (how < 3) {
		FUZZ_APPEND(&seed, OP_SHUTDOWN, 0, how, OP_RUN, 31, OP_RUN, 31);
		append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 7, 0);
		append_buffers(&seed, 10);
		FUZZ_APPEND(&seed, OP_WRITE, 0, 2, OP_SHUTDOWN, 0, 1, OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_CLOSE, 0, 0, OP_RUN, 31);
		append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 7, 0);
	} else if (how < 5) {
		append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 12, 0);
		append_packet(&seed, VIRTIO_VSOCK_OP_SHUTDOWN | 3 << 6, 0, 0, 0);
		append_packet(&seed, VIRTIO_VSOCK_OP_RST, 0, 0, 0);
		FUZZ_APPEND(&seed, (uint8_t)(how == 3 ? OP_READ : OP_CLOSE), 0, 1, OP_RUN, 31);
	} else {
		for (uint8_t i = 0; i < 3; i++)
			append_packet(&seed, VIRTIO_VSOCK_OP_RW, 0, 12, 0);
	}
	for (uint8_t i = 0; i < 12; i++)
		FUZZ_APPEND(&seed, OP_READ, 0, 1, OP_RUN, 31);
	snprintf(name, sizeof(name), "full-socket-%u", how);
	fuzz_seed(name, seed.bytes, seed.n);
}

/* Every read is under way, with a buffer each or, of a driver that offers a head twice, with all there are. */
static void seed_reads(bool all_buffers)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	for (uint8_t i = 0; i < HOST_PROGRAMS; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, 0, 7, OP_KICK, VSOCK_RX);
		append_stream(&seed, i, all_buffers ? 0 : 3);
	}
	if (all_buffers)
		for (uint8_t i = 0; i < 2; i++)
			FUZZ_APPEND(&seed, OP_OFFER, VSOCK_RX, 0, 127, OP_KICK, VSOCK_RX, OP_RUN,
				    31);
	for (uint8_t head = 0; !all_buffers && head < 128; head += 4)
		FUZZ_APPEND(&seed, OP_RX_BUFFER, head, 10);
	for (uint8_t i = 0; i < HOST_PROGRAMS; i++)
		FUZZ_APPEND(&seed, OP_WRITE, i, 4);
	FUZZ_APPEND(&seed, OP_KICK, VSOCK_RX, OP_RUN, 31);
	fuzz_seed(all_buffers ? "all-buffers" : "all-reads", seed.bytes, seed.n);
}

/* A reset when a packet is under way to its socket, and a read to the guest. */
static void seed_reset(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	append_stream(&seed, 0, 0);
	FUZZ_APPEND(&seed, OP_PACKET, 2, VIRTIO_VSOCK_OP_RW, 0, 9, 0, 0, 0, OP_KICK, VSOCK_TX);
	FUZZ_APPEND(&seed, OP_WRITE, 0, 3, OP_RUN, 1, OP_RESET, OP_RUN, 31);
	fuzz_seed("reset", seed.bytes, seed.n);
}

/* Lengths that the chain does not have, and half of what it has. */
static void seed_lengths(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	for (uint8_t i = 0; i < 3; i++) {
		static const uint8_t odd[3] = { 7 << 4 | 1, 11 << 4 | 1, 14 << 4 | 1 };
		append_stream(&seed, i, 0);
		FUZZ_APPEND(&seed, OP_PACKET, 2, VIRTIO_VSOCK_OP_RW, 0, 9, 0, odd[i], 0x40);
		FUZZ_APPEND(&seed, OP_KICK, VSOCK_TX, OP_RUN, 31);
	}
	fuzz_seed("lengths", seed.bytes, seed.n);
}

/* A launcher that takes the guest's connections, some of them late; then one that has gone. */
static void seed_launcher(uint8_t how)
{
	struct fuzz_program seed = { .n = 0 };
	char name[16];

	FUZZ_APPEND(&seed, OP_LAUNCHER, how, OP_START, 0, 0, 7);
	append_buffers(&seed, 10);
	for (uint8_t i = 0; i < 16; i++) {
		FUZZ_APPEND(&seed, OP_PACKET, i, VIRTIO_VSOCK_OP_REQUEST,
			    (uint8_t)(0x80 | i << 5 | (i & 3)), 1, 0, 0, 0);
		FUZZ_APPEND(&seed, OP_KICK, VSOCK_TX, OP_RUN, 31);
	}
	for (uint8_t i = 0; i < 8; i++)
		FUZZ_APPEND(&seed, OP_ACCEPT, 0, OP_RUN, RUN_PATIENTLY | 31, OP_WRITE, i, 4, OP_RUN,
			    31);
	FUZZ_APPEND(&seed, OP_TIME, 3, OP_RUN, RUN_PATIENTLY | 31);
	snprintf(name, sizeof(name), "launcher-%u", how);
	fuzz_seed(name, seed.bytes, seed.n);
}

static void write_seeds(void)
{
	seed_launcher(0);
	seed_launcher(1);
	seed_streams("streams", 0, 10, 0);
	seed_streams("indirect", 3, 0xea, 4);
	seed_streams("tiny-buffers", 2, 5, 3);
	seed_streams("no-credit", 0, 10, 1);
	seed_slow_reader();
	seed_floods();
	for (uint8_t kind = 1; kind != 0; kind = (uint8_t)(kind << 1))
		for (uint8_t error = 0; error < sizeof(fault_errors) / sizeof(int); error++)
			seed_fault(kind, error);
	seed_greetings();
	seed_backlog(OP_TIME);
	seed_backlog(OP_RESET);
	seed_departed(0);
	seed_departed(1);
	for (uint8_t how = 0; how < 6; how++)
		seed_full_sockets(how);
	seed_reads(false);
	seed_reads(true);
	seed_lengths();
	seed_reset();
}

#endif
