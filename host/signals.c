#include "host/signals.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

/* Let in while the set-up waits, and read from the ring later. */
static sigset_t admitted;
/* Runs only inside the two waits below, which hold nothing: it may do what any function may. */
static void (*end_process)(int number);

/* The kernel drops an ignored signal only while it is not blocked. */
static void handle_unless_ignored(int number)
{
	struct sigaction action = { .sa_handler = end_process }, before;

	if (sigaction(number, &action, &before) == 0 && before.sa_handler == SIG_IGN) {
		sigaction(number, &before, NULL);
		sigdelset(&admitted, number);
	}
}

/* SIGTSTP keeps its default action, and is raised again once the terminal is restored. */
static void leave_stops_ignored(void)
{
	struct sigaction before;

	if (sigaction(SIGTSTP, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
		sigdelset(&admitted, SIGTSTP);
}

void signals_block(void (*end)(int number))
{
	/* All that end a process, except crashes, SIGKILL and the real-time signals. */
	static const int numbers[] = { SIGTERM, SIGINT,  SIGHUP,    SIGQUIT, SIGUSR2, SIGALRM,
				       SIGXCPU, SIGPROF, SIGVTALRM, SIGPOLL, SIGPWR,  SIGSTKFLT };
	const size_t n = sizeof(numbers) / sizeof(numbers[0]);
	sigset_t blocked;

	end_process = end;
	sigemptyset(&admitted);
	for (size_t i = 0; i < n; i++)
		sigaddset(&admitted, numbers[i]);
	sigaddset(&admitted, SIGTSTP);
	blocked = admitted;
	sigaddset(&blocked, SIGCONT);
	sigaddset(&blocked, SIGNALS_KICK);
	/* From the background a line on the terminal, or its mode, would stop the process. */
	sigaddset(&blocked, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	for (size_t i = 0; i < n; i++)
		handle_unless_ignored(numbers[i]);
	leave_stops_ignored();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

void signals_wait_for(sem_t *semaphore)
{
	if (sem_trywait(semaphore) == 0)
		return;
	pthread_sigmask(SIG_UNBLOCK, &admitted, NULL);
	while (sem_wait(semaphore) < 0)
		; /* EINTR */
	pthread_sigmask(SIG_BLOCK, &admitted, NULL);
}

void signals_pause(unsigned ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	pthread_sigmask(SIG_UNBLOCK, &admitted, NULL);
	nanosleep(&pause, NULL);
	pthread_sigmask(SIG_BLOCK, &admitted, NULL);
}

sigset_t signals_admitted(void)
{
	return admitted;
}
