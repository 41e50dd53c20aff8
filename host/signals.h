/*
 * SIGTERM, SIGINT, SIGHUP and their like end the VM in order: they are blocked from main()'s first line on. While the
 * guest runs they are bytes on the ring, not interruptions (host/signal_events.h). Before that they stay pending,
 * until the ring takes them or a thread of the set-up waits for something: then they end the process.
 */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <semaphore.h>
#include <signal.h>

/* With this a vCPU's thread is interrupted; for any other thread, and from outside, it means nothing. */
#define SIGNALS_KICK SIGUSR1

/* First of all, for the calling thread and those that it makes. Blocks the signals that end, except those that the
 * launcher has set to be ignored, such as nohup does with SIGHUP; and ignores SIGPIPE and SIGXFSZ, which come back as
 * error codes. end(number), which does not return, ends the process. */
void signals_block(void (*end)(int number));

/* During the set-up, with no lock held: waits until the semaphore is posted, or for a time. A signal that comes
 * meanwhile, or came before, ends the process. */
void signals_wait_for(sem_t *semaphore);
void signals_pause(unsigned ms);

/* Those that end, and SIGTSTP, without what the launcher ignores. */
sigset_t signals_admitted(void);

#endif
