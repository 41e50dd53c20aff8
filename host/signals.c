#include "host/signals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"

static sigset_t ending;

/* Runs only inside the two waits below, which hold nothing: it may do what any function may. */
static void end_process(int number)
{
	fail_by_signal(number);
}

/* The kernel drops an ignored signal only while it is not blocked. */
static void handle_unless_ignored(int number)
{
	struct sigaction action = { .sa_handler = end_process }, before;

	if (sigaction(number, &action, &before) == 0 && before.sa_handler == SIG_IGN) {
		sigaction(number, &before, NULL);
		sigdelset(&ending, number);
	}
}

void signals_block(void)
{
	/* What ends a process, but for crashes, SIGKILL and the real-time signals. */
	static const int numbers[] = { SIGTERM, SIGINT,  SIGHUP,    SIGQUIT, SIGUSR2, SIGALRM,
				       SIGXCPU, SIGPROF, SIGVTALRM, SIGPOLL, SIGPWR,  SIGSTKFLT };
	const size_t n = sizeof(numbers) / sizeof(numbers[0]);
	sigset_t blocked;

	sigemptyset(&ending);
	for (size_t i = 0; i < n; i++)
		sigaddset(&ending, numbers[i]);
	blocked = ending;
	sigaddset(&blocked, SIGNALS_KICK);
	sigaddset(&blocked, SIGCONT);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	for (size_t i = 0; i < n; i++)
		handle_unless_ignored(numbers[i]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

void signals_wait_for(sem_t *semaphore)
{
	if (sem_trywait(semaphore) == 0)
		return;
	pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
	while (sem_wait(semaphore) < 0)
		; /* EINTR */
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
}

void signals_pause(unsigned ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
	nanosleep(&pause, NULL);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
}

static void signal_arrived(struct ring_op *op, int32_t result)
{
	struct signals *signals = (struct signals *)op;

	int number = (int)signals->info.ssi_signo;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		warn("signalfd: %s", strerror(-result));
		exit_request_post(signals->exit, EXIT_MONITOR_FAILED);
		return;
	}
	if (result == (int32_t)sizeof(signals->info) && number == SIGCONT) {
		if (signals->continued != NULL)
			signals->continued(signals->context);
	} else if (result == (int32_t)sizeof(signals->info)) {
		signals->received = true;
		exit_request_post(signals->exit, EXIT_SIGNAL_BASE + number);
	}
	signals_start(signals);
}

void signals_open(struct signals *signals, struct ring *ring, struct exit_request *exit)
{
	sigset_t listened_to = ending;

	*signals = (struct signals){ .op.done = signal_arrived, .ring = ring, .exit = exit };
	sigaddset(&listened_to, SIGCONT);
	signals->fd = signalfd(-1, &listened_to, SFD_CLOEXEC);
	if (signals->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "signalfd");
	signals->slot = ring_add_file(ring, signals->fd);
}

void signals_start(struct signals *signals)
{
	struct io_uring_sqe *sqe = ring_prepare(signals->ring);

	io_uring_prep_read(sqe, signals->slot, &signals->info, sizeof(signals->info), 0);
	ring_commit(sqe, &signals->op);
}

void signals_close(struct signals *signals)
{
	close(signals->fd);
}
