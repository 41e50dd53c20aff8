/* SIGTERM, SIGINT, SIGHUP and their like end the VM in order: as bytes on the ring, not as
 * interruptions. */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include <sys/signalfd.h>

#include "host/exit_request.h"
#include "host/ring.h"

struct signals {
	struct ring_op op;
	struct ring *ring;
	struct exit_request *exit;
	int fd, slot;
	sigset_t set;
	bool received; /* at least one that ends: whoever waits for something slow gives up */
	void (*continued)(void *context); /* after a stop (SIGCONT); may be NULL */
	void *context;
	struct signalfd_siginfo info;
};

/* Finds the signals out, except those that the launcher has set to be ignored, such as nohup does with
 * SIGHUP; and ignores SIGPIPE and SIGXFSZ, which come back as error codes. Before ring_start(). Does not return
 * on failure (exit 3). */
void signals_open(struct signals *signals, struct ring *ring, struct exit_request *exit);

/* Blocks them on the calling thread, and on those that it makes later. Until then they end the process; every other
 * thread must have them blocked. */
void signals_block(const struct signals *signals);

/* Starts listening: after ring_start(). */
void signals_start(struct signals *signals);

void signals_close(struct signals *signals);

#endif
