/* SPDX-License-Identifier: MIT */
#include "host/signals.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/lifeline.h"

#define TAKE_EVERY_NS 20000000

/* Taken by a thread that waits in the set-up, and read from the ring later. */
static sigset_t admitted;
static sigset_t ignored;
static bool has_learned_ignored;
static void (*end_process)(int number);
static int own_process;

void signals_block(void (*end)(int number))
{
	/* All that end a process, except crashes, SIGKILL and the real-time signals. */
	static const int numbers[] = { SIGTERM, SIGINT,  SIGHUP,    SIGQUIT, SIGUSR2, SIGALRM,
				       SIGXCPU, SIGPROF, SIGVTALRM, SIGPOLL, SIGPWR,  SIGSTKFLT };
	sigset_t blocked;

	end_process = end;
	own_process = getpid();
	sigemptyset(&admitted);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&admitted, numbers[i]);
	sigaddset(&admitted, SIGTSTP);
	blocked = admitted;
	sigaddset(&blocked, SIGCONT);
	sigaddset(&blocked, SIGNALS_KICK);
	/* From the background a line on the terminal, or its mode, would stop the process. */
	sigaddset(&blocked, SIGTTOU);
	/* An error code comes with these. */
	sigaddset(&blocked, SIGPIPE);
	sigaddset(&blocked, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

/* The kernel drops an ignored signal only while it is not blocked. */
static bool ask_whether_ignored(int number)
{
	struct sigaction action;

	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void signals_learn_ignored(void)
{
	for (int number = 1; number < SIGRTMIN; number++)
		if (sigismember(&admitted, number) && ask_whether_ignored(number))
			sigaddset(&ignored, number);
	has_learned_ignored = true;
}

bool signals_are_ignored(int number)
{
	return has_learned_ignored ? sigismember(&ignored, number) : ask_whether_ignored(number);
}

void signals_raise(int number)
{
	syscall(SYS_tgkill, own_process, gettid(), number);
}

void signals_stop(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	signals_raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* stops here, unless nobody could continue it */
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
}

void signals_act(int number)
{
	if (number == SIGTSTP)
		signals_stop();
	else
		end_process(number);
}

/* Takes one that is pending, or comes in time; the lifeline's end is a SIGTERM that nobody can ignore. */
static void take_signal(unsigned within_ms)
{
	struct timespec limit = {
		.tv_sec = within_ms / 1000,
		.tv_nsec = (long)(within_ms % 1000) * 1000000,
	};
	int number = sigtimedwait(&admitted, NULL, &limit);

	if (lifeline_has_ended())
		end_process(SIGTERM);
	if (number >= 0 && !ask_whether_ignored(number))
		signals_act(number);
}

void signals_wait_past(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		; /* EINTR */
}

bool signals_wait_within(sem_t *semaphore, long ns)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += ns;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	return sem_timedwait(semaphore, &end) == 0;
}

void signals_wait_for(sem_t *semaphore)
{
	if (sem_trywait(semaphore) == 0)
		return;
	do
		take_signal(0);
	while (!signals_wait_within(semaphore, TAKE_EVERY_NS));
}

void signals_kick(int thread_id)
{
	/* pthread_kill() would do, but the sandbox cannot tell whose a thread's id is. */
	syscall(SYS_tgkill, own_process, thread_id, SIGNALS_KICK);
}

void signals_pause(unsigned ms)
{
	take_signal(ms);
}

sigset_t signals_admitted(void)
{
	return admitted;
}
