/* SPDX-License-Identifier: MIT */
/* The ring whose table is all that it is for: it takes one operation, on any kernel. Linux before 7.0 forbids everything that is not in a
 * list of restrictions; a later one restricts operations and registrations each only if the list has one of its kind. */
#include <liburing.h>
#include <poll.h>

#include "tests/unit/check.h"

static int restrict_spy(struct io_uring *ring, struct io_uring_restriction *list, unsigned n);
static int refused; /* -errno of the next one */

#define late_close_prepare             spied_prepare
#define late_close_ask                 spied_ask
#define late_close                     spied_close
#define io_uring_register_restrictions restrict_spy
#include "host/late_close.c"
#undef io_uring_register_restrictions

static bool operations_are_restricted, registrations_are_restricted;

static int restrict_spy(struct io_uring *ring, struct io_uring_restriction *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (list[i].opcode == IORING_RESTRICTION_REGISTER_OP)
			registrations_are_restricted = true;
		else
			operations_are_restricted = true;
		CHECK(list[i].opcode != IORING_RESTRICTION_SQE_OP ||
		      list[i].sqe_op == IORING_OP_FILES_UPDATE);
	}
	return refused != 0 ? refused : io_uring_register_restrictions(ring, list, n);
}

/* The result of an operation that needs nothing. */
static int try_nop(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&table_ring);
	struct io_uring_cqe *cqe;

	CHECK(sqe != NULL);
	io_uring_prep_nop(sqe);
	int result = io_uring_submit(&table_ring);
	if (result < 0)
		return result;
	CHECK(io_uring_peek_cqe(&table_ring, &cqe) == 0);
	result = cqe->res;
	io_uring_cqe_seen(&table_ring, cqe);
	return result;
}

static void test_takes_a_file(void)
{
	struct pollfd ended = { .events = POLLIN };
	int ends[2];

	CHECK(pipe(ends) == 0);
	ended.fd = ends[0];
	has_table_ring =
		io_uring_queue_init(1, &table_ring, IORING_SETUP_R_DISABLED) == 0 && make_table();
	CHECK(has_table_ring);
	CHECK(operations_are_restricted && registrations_are_restricted);
	CHECK_EQ(try_nop(), -EACCES);
	CHECK_EQ(io_uring_register_personality(&table_ring), -EACCES);
	CHECK_EQ(io_uring_register_files(&table_ring, ends, 1), -EACCES);
	put_in_table(ends[1]);
	close(ends[1]);
	CHECK_EQ(poll(&ended, 1, 0), 0); /* held */
	io_uring_queue_exit(&table_ring);
	CHECK_EQ(poll(&ended, 1, 10000), 1);
	close(ends[0]);
}

/* A ring that could not be restricted must not be there to be enabled. */
static void test_none_without_restrictions(void)
{
	has_table_ring = false;
	table_ring.ring_fd = -1;
	refused = -EINVAL;
	is_allowed = true;
	late_close_prepare();
	refused = 0;
	CHECK(!has_table_ring);
	CHECK_EQ(fcntl(table_ring.ring_fd, F_GETFD), -1);
}

int main(void)
{
	RUN(test_takes_a_file);
	RUN(test_none_without_restrictions);
	return 0;
}
