#include "host/exit_request.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/fail.h"

static void woken(struct ring_op *op, int32_t result)
{
	/* Its only purpose was to end the wait. */
	(void)op, (void)result;
}

void exit_request_init(struct exit_request *request, struct ring *ring)
{
	request->op.done = woken;
	request->ring = ring;
	atomic_init(&request->status, EXIT_REQUEST_NONE);
	request->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (request->wake_fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "eventfd");
}

void exit_request_start(struct exit_request *request)
{
	struct io_uring_sqe *sqe = ring_prepare(request->ring);

	io_uring_prep_read(sqe, request->wake_fd, &request->wake_count, sizeof(request->wake_count),
			   0);
	ring_commit(sqe, &request->op);
}

bool exit_request_post(struct exit_request *request, int status)
{
	int none = EXIT_REQUEST_NONE;
	uint64_t one = 1;

	if (!atomic_compare_exchange_strong(&request->status, &none, status))
		return false;
	ssize_t ignored = write(request->wake_fd, &one, sizeof(one));
	(void)ignored;
	return true;
}

int exit_request_status(const struct exit_request *request)
{
	return atomic_load(&request->status);
}
