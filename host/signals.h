/*
 * SIGTERM, SIGINT, SIGHUP and their like end the VM in order: they are blocked from main()'s first line on. While the
 * guest runs they are bytes on the ring, not interruptions. Before, they wait for the ring, or until a thread that
 * sets the machine up has to wait for something: then they end the process there.
 */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>

#include <sys/signalfd.h>

#include "host/exit_request.h"
#include "host/ring.h"

struct signals {
	struct ring_op op;
	struct ring *ring;
	struct exit_request *exit;
	int fd;
	bool received; /* at least one that ends: whoever waits for something slow gives up */
	void (*stopping)(void *context);  /* before a stop (SIGTSTP) */
	void (*continued)(void *context); /* after one (SIGCONT) */
	void *context;
	struct signalfd_siginfo info;
};

/* With this a vCPU's thread is interrupted; for any other thread, and from outside, it means nothing. */
#define SIGNALS_KICK SIGUSR1

/* First of all, for the calling thread and those that it makes. Blocks the signals that end, except those that the
 * launcher has set to be ignored, such as nohup does with SIGHUP; and ignores SIGPIPE and SIGXFSZ, which come back as
 * error codes. */
void signals_block(void);

/* During the set-up, with no lock held: waits until the semaphore is posted, or for a time. A signal that comes
 * meanwhile, or came before, ends the process: fail_by_signal(). */
void signals_wait_for(sem_t *semaphore);
void signals_pause(unsigned ms);

/* After signals_block(), before ring_start(). Does not return on failure (exit 3). */
void signals_open(struct signals *signals, struct ring *ring, struct exit_request *exit);

/* Starts listening: after ring_start(). */
void signals_start(struct signals *signals);

void signals_close(struct signals *signals);

#endif
