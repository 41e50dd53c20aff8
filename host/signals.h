/* SPDX-License-Identifier: MIT */
/*
 * SIGTERM, SIGINT, SIGHUP and their like end the VM in order: they are blocked from main()'s first line on, and never
 * delivered. While the guest runs they are bytes on the ring (host/signal_events.h). Before that they stay pending, until
 * the ring takes them or a thread of the set-up waits for something: then they end the process. So does the end of the
 * lifeline (host/lifeline.h).
 */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>

/* With this a vCPU's thread is interrupted; for any other thread, and from outside, it means nothing. */
#define SIGNALS_KICK SIGUSR1

/* First of all, for the calling thread and those that it makes. Blocks the signals that end, and SIGPIPE and SIGXFSZ,
 * which come back as error codes. end(number), which does not return, ends the process. */
void signals_block(void (*end)(int number));

/* During the set-up, with no lock held: waits until the semaphore is posted, or for a time at most. A signal that comes
 * meanwhile, or came before, ends the process, within 20 ms. */
void signals_wait_for(sem_t *semaphore);
void signals_pause(unsigned ms);

/* What one that the caller has taken does then: stops, or ends the process. */
void signals_act(int number);

/* Waits until it is posted, whatever interrupts that. */
void signals_wait_past(sem_t *semaphore);

/* False: the semaphore is not posted in time. Signals stay pending. */
bool signals_wait_within(sem_t *semaphore, long ns);

/* Interrupts a thread of this process, by its id. */
void signals_kick(int thread_id);

/* For whoever takes them: those that end, and SIGTSTP. */
sigset_t signals_admitted(void);

/* Whether the launcher has set it to be ignored, such as nohup does with SIGHUP: whoever takes it drops it. On one thread, which
 * may learn all of them while it can still ask. */
bool signals_are_ignored(int number);
void signals_learn_ignored(void);

/* What raise() does, but with no other system call than signals_kick(). */
void signals_raise(int number);

/* Stops the process as SIGTSTP does by default. */
void signals_stop(void);

#endif
