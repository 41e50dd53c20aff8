#include "host/signals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"

/* What may come in while the set-up waits, and by the ring later. */
static sigset_t admitted;

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
		sigdelset(&admitted, number);
	}
}

/* A stop is the default action, which is asked for again when the terminal is ready for it. */
static void leave_stops_ignored(void)
{
	struct sigaction before;

	if (sigaction(SIGTSTP, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
		sigdelset(&admitted, SIGTSTP);
}

void signals_block(void)
{
	/* What ends a process, but for crashes, SIGKILL and the real-time signals. */
	static const int numbers[] = { SIGTERM, SIGINT,  SIGHUP,    SIGQUIT, SIGUSR2, SIGALRM,
				       SIGXCPU, SIGPROF, SIGVTALRM, SIGPOLL, SIGPWR,  SIGSTKFLT };
	const size_t n = sizeof(numbers) / sizeof(numbers[0]);
	sigset_t blocked;

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

static void stop_process(const struct signals *signals)
{
	sigset_t stop;

	signals->stopping(signals->context);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* stops here, unless nobody could continue it */
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	signals->continued(signals->context);
}

static void handle(struct signals *signals, int number)
{
	switch (number) {
	case SIGTSTP:
		stop_process(signals);
		break;
	case SIGCONT:
		signals->continued(signals->context);
		break;
	default:
		signals->received = true;
		exit_request_post(signals->exit, EXIT_SIGNAL_BASE + number);
	}
}

static void signal_arrived(struct ring_op *op, int32_t result)
{
	struct signals *signals = (struct signals *)op;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		warn("signalfd: %s", strerror(-result));
		exit_request_post(signals->exit, EXIT_MONITOR_FAILED);
		return;
	}
	if (result == (int32_t)sizeof(signals->info))
		handle(signals, (int)signals->info.ssi_signo);
	signals_start(signals);
}

void signals_open(struct signals *signals, struct ring *ring, struct exit_request *exit)
{
	sigset_t heard = admitted;

	*signals = (struct signals){ .op.done = signal_arrived, .ring = ring, .exit = exit };
	sigaddset(&heard, SIGCONT);
	signals->fd = signalfd(-1, &heard, SFD_CLOEXEC);
	if (signals->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "signalfd");
}

void signals_start(struct signals *signals)
{
	struct io_uring_sqe *sqe = ring_prepare(signals->ring);

	io_uring_prep_read(sqe, signals->fd, &signals->info, sizeof(signals->info), 0);
	ring_commit(sqe, &signals->op);
}

void signals_close(struct signals *signals)
{
	close(signals->fd);
}
