/* SPDX-License-Identifier: MIT */
/*
 * The event loop: one io_uring, one thread.
 *
 * Everything that the monitor waits for or does to a file while the guest runs is an operation on
 * this ring. Whoever starts one embeds a struct ring_op in a structure of its own, takes a
 * submission entry with ring_prepare(), fills it with an io_uring_prep_ function, and gets its
 * callback exactly once. Entries are submitted together, when the loop next waits.
 *
 * The ring is made disabled; ring_start() restricts it to the operations in use and enables it. Only the thread that
 * called ring_start() may use it after that. Files are plain descriptors, not registered ones: a registered file is held
 * until a worker of the kernel has taken the ring down, after the process's end, and whoever waits for the file waits
 * for that.
 */
#ifndef HOST_RING_H
#define HOST_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

#define RING_POLL_NS 20000

struct ring_op;

/* result: what the operation's system call would return, -errno on failure. */
typedef void ring_done_fn(struct ring_op *op, int32_t result);

struct ring_op {
	ring_done_fn *done;
};

/* Work to be done once after the current batch of completions, such as one interrupt for all. */
struct ring_task {
	void (*run)(struct ring_task *task);
	struct ring_task *next;
	bool queued;
};

/* A guest or peer that was just served often asks again at once, and to sleep and be woken takes longer than that.
 * So the loop polls for a moment before it sleeps. After a miss it does not poll in the next 2 waits, then 4, and
 * so on. */
struct ring_polling {
	unsigned waits_without; /* before it polls again */
	unsigned misses;        /* since polling last paid */
};

struct ring {
	struct io_uring uring;
	unsigned n_forbidden; /* of the operations that some machine needs */
	unsigned n_workers;
	struct ring_task *tasks;
	struct ring_polling polling;
	/* Operations that a kernel worker may run: it needs the CPU more than a loop that polls. Counted by those
	 * who start them. */
	unsigned with_workers;
};

/* in_flight: how many operations the devices may have on the ring together; more of them cost the kernel an allocation
 * each. The host charges the ring's memory to the user (RLIMIT_MEMLOCK, Linux 6.14 and later): 16 KiB, and up to 28 KiB more.
 * Does not return on failure (exit 122). */
void ring_open(struct ring *ring, unsigned in_flight);

/* The operations of sockets, too; `connects`: also to connect one. Before ring_start(). */
void ring_allow_sockets(struct ring *ring, bool connects);

/* The kernel gives an operation that it cannot do at once to a worker. Operations of one file must not keep those from it that
 * another's need: whoever has n of them at most on the ring asks for n workers. Before ring_start(). */
void ring_allow_workers(struct ring *ring, unsigned n);

/* Does not return on failure (exit 122). */
void ring_start(struct ring *ring);

/* The next submission entry; `op` must stay valid until its callback. The caller fills it with an
 * io_uring_prep_ function and ring_commit(). Never NULL: a full queue is submitted first; if the kernel takes
 * nothing for a second, the monitor ends. */
struct io_uring_sqe *ring_prepare(struct ring *ring);
void ring_commit(struct io_uring_sqe *sqe, struct ring_op *op);

/* Asks for the end of an operation that may wait for long: its callback comes, with -ECANCELED or -EINTR where it has done
 * nothing. No effect if it is done. */
void ring_cancel(struct ring *ring, struct ring_op *op);

/* Runs the task when the callbacks of this batch are done. No effect if it is queued already. */
void ring_after_batch(struct ring *ring, struct ring_task *task);

/* Submits what is prepared, waits for at least one completion, and runs the callbacks of all that have completed.
 * May poll for RING_POLL_NS before it sleeps. Returns 0, or -errno if the ring itself fails. */
int ring_wait(struct ring *ring);

/* The same, but waits for at most timeout_ms. */
int ring_wait_for(struct ring *ring, unsigned timeout_ms);

/* Cancels what is on the ring, without callbacks, and closes it: then only the operations of a disk that hangs hold
 * files of the devices. May take 100 ms. */
void ring_close(struct ring *ring);

#endif
