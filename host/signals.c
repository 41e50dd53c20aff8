#include "host/signals.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "host/fail.h"

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
	/* Not SIGUSR1, with which vCPUs are kicked. */
	static const int wanted[] = { SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
				      SIGUSR2, SIGALRM, SIGXCPU, SIGCONT };

	*signals = (struct signals){ .op.done = signal_arrived, .ring = ring, .exit = exit };
	sigemptyset(&signals->set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct sigaction action;
		if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&signals->set, wanted[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signals->fd = signalfd(-1, &signals->set, SFD_CLOEXEC);
	if (signals->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "signalfd");
	signals->slot = ring_add_file(ring, signals->fd);
}

void signals_block(const struct signals *signals)
{
	pthread_sigmask(SIG_BLOCK, &signals->set, NULL);
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
