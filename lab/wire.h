/* SPDX-License-Identifier: MIT */
/*
 * The byte protocol between the lab's host side and its init, over four virtio-serial ports.
 *
 * Each port carries frames: this header, then `bytes` bytes. The ports are separate so that a stream
 * nobody reads holds up only itself. `in`, `out` and `err` carry DATA frames and one final END;
 * everything else travels on `ctl`: HELLO (init: ready for a job), JOB, STARTED, ALIVE, WAKE, WINSIZE, CLOSED, EXIT.
 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum wire_port {
	WIRE_CTL,
	WIRE_IN,
	WIRE_OUT,
	WIRE_ERR,
	WIRE_PORTS
};

enum wire_type {
	WIRE_DATA = 1, /* stream bytes, at most WIRE_CHUNK_BYTES */
	WIRE_END,      /* the stream ended */
	WIRE_HELLO,    /* init is up and waits for the job */
	WIRE_JOB,      /* struct-less list of NUL-terminated strings, see job.h */
	WIRE_STARTED,  /* the command is about to run: keys and signals are its own from now on */
	WIRE_ALIVE, /* init still runs; every WIRE_ALIVE_MS, but not where the clock counts instructions */
	WIRE_WAKE,    /* nothing but an interrupt, see host_streams_wake */
	WIRE_WINSIZE, /* struct winsize of the caller's terminal */
	WIRE_CLOSED,  /* uint32_t enum wire_port: the caller closed this output */
	WIRE_EXIT,    /* int32_t: the command's exit status as a shell counts it */
	WIRE_FAILED,  /* text: the lab itself could not do the job */
};

struct wire_frame {
	uint32_t type;
	uint32_t bytes;
};

#define WIRE_CHUNK_BYTES 32768u
#define WIRE_JOB_BYTES   (16u << 20)
#define WIRE_ALIVE_MS    2000
/* A second of Bochs' machine takes a busy host minutes: its clock is a TSC of 3.5 GHz that counts 100 million instructions as a second
 * of its timers. */
#define WIRE_ALIVE_BOCHS_MS 50

/* Both move exactly `bytes` bytes. Return 0, or -1 when the other side is gone. A read of 0 bytes counts
 * as gone unless wire_zero_is_wait is set: a guest's port reads 0 until QEMU has announced its peer. */
int wire_write(int fd, const void *data, size_t bytes);
int wire_read(int fd, void *data, size_t bytes);
extern int wire_zero_is_wait;

/* Sends one frame in one write where the kernel allows it. Not atomic between threads. 0 or -1. */
int wire_send(int fd, enum wire_type type, const void *data, uint32_t bytes);

/* Receives one frame into a fresh buffer with a NUL after its last byte; the caller frees it.
 * NULL when the other side is gone or the frame is longer than WIRE_JOB_BYTES. */
char *wire_receive(int fd, struct wire_frame *frame);

#endif
