/* SPDX-License-Identifier: MIT */
/*
 * Guests that attack: tables of cases, each run against each of the targets that its file names in a comment, "cases:
 * TARGET...". tests/guest/hostile_cases.py reads the names from the tables. After a case the device is started anew and
 * must work, and the host (tests/guest/hostile_host.py), which is told by a line on the serial port, looks at the monitor.
 */
#ifndef TESTS_GUEST_HOSTILE_HOSTILE_H
#define TESTS_GUEST_HOSTILE_HOSTILE_H

#include "rt/blk.h"
#include "rt/net.h"
#include "rt/rt.h"
#include "rt/virtio.h"
#include "rt/vsock.h"

#define RAM_BYTES   0x4000000u /* --mem 64M */
#define BLOCK_BYTES (256u << 10)
#define SLOT_BYTES  4096u

#define PATIENCE 5u /* times VIRTIO_WAIT_TSC: a busy host */

/* What a case must end in. */
enum outcome {
	ANY,    /* the device works after a reset */
	BREAKS, /* it asks for a reset, with the interrupt of the configuration */
	LIVES,  /* it does not ask for one */
};

/* A queue of a device, or a device as a whole. */
struct target {
	const char *name;
	struct virtio *device;
	struct virtio_queue *queue; /* the one under attack */
	uint32_t queues;
	bool is_written; /* the device writes into the queue's buffers, all of them */
	bool (*start)(uint64_t features);
	bool (*works)(void);
	const char *
		nudge; /* what the host does so that the device looks at the queue; NULL: a kick is enough */
};

struct hostile_case {
	const char *name;
	unsigned class; /* docs/testing.md; 0: none of them */
	enum outcome outcome;
	uint64_t features;
	void (*attack)(const struct target *target);
};

struct hostile_table {
	const struct hostile_case *cases;
	size_t n;
	const char *targets; /* as in the comment */
};

#define HOSTILE_TABLE(name, rows, where)                                                           \
	const struct hostile_table name = { rows, sizeof(rows) / sizeof(rows[0]), where }

extern const struct hostile_table chain_table, indirect_table, transport_table,
	transport_queue_table, block_table, depth_table, net_table, vsock_table, vsock_storm_table,
	uart_table, reset_table, doorbell_table, bus_table, interrupt_table, race_ring_table,
	race_register_table;

/* devices.c: the devices in use, each with a driver's state and what proves that it works. */
extern struct blk disk, slow, witness; /* slow: one that takes its time */
extern struct net tap, stream;
extern struct vsock vsock;
extern uint8_t block_data[BLK_SLOTS][SLOT_BYTES];
extern uint8_t spare[BLOCK_BYTES]; /* buffers of no one */

/* The windows of the devices are words of the command line: disk=0 ... Those that are not there have no targets. */
void devices_find(const uint8_t *zero_page);
const struct target *devices_target(const char *name, size_t length); /* NULL: not here */
bool devices_witness(uint64_t *ticks);

/* A good chain of three descriptors, whose head is 0: the middle one has 512 bytes or more. */
void good_chain(const struct target *target);
void kick(const struct target *target);

/* main.c */
bool host_does(const char *what); /* "@what": the host's answer */
void fails(const char *why);      /* of the case that runs: the first one counts */
uint32_t random32(void);
extern unsigned effort; /* a word of the command line: how often what is repeated is */

/* smp.c: calls `work` again and again on the other processors until smp_rest(). Where there are none, smp_step()
 * calls it. */
extern unsigned smp_cpus;
void smp_start(unsigned cpus);
void smp_run(void (*work)(unsigned cpu));
void smp_step(void);
void smp_rest(void);

#endif
