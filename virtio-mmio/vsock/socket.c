/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "host/container_of.h"
#include "host/fail.h"
#include "host/socket.h"

#define HALF_ENDED_SHARE 64u /* at a time */

/* A host without RWF_NOWAIT for sockets says so once. From then on each read and write follows a poll. */
static int32_t without_nowait(struct vsock_socket_op *op, int32_t result)
{
	if (result != -EOPNOTSUPP || !op->nowait)
		return result;
	op->socket->sockets->no_nowait = true;
	return -EAGAIN;
}

static void completed(struct ring_op *ring_op, int32_t result)
{
	struct vsock_socket_op *op = container_of(ring_op, struct vsock_socket_op, op);
	struct vsock_socket *socket = op->socket;
	struct vsock_sockets *sockets = socket->sockets;

	pthread_mutex_lock(sockets->lock);
	op->under_way = false;
	socket->in_flight--;
	op->done(socket, without_nowait(op, result));
	ring_after_batch(sockets->ring, sockets->task);
	pthread_mutex_unlock(sockets->lock);
}

static struct io_uring_sqe *prepare(struct vsock_socket *socket)
{
	return ring_prepare(socket->sockets->ring);
}

static void commit(struct io_uring_sqe *sqe, struct vsock_socket *socket,
		   enum vsock_socket_kind kind, vsock_socket_done_fn *done)
{
	struct vsock_socket_op *op = &socket->ops[kind];

	op->done = done;
	op->under_way = true;
	ring_commit(sqe, &op->op);
	socket->in_flight++;
}

/* One event of the epoll: `events`, or a hang-up in any case. */
static bool wait_half_ended(struct vsock_socket *socket, uint32_t events)
{
	struct epoll_event event = {
		.events = EPOLLONESHOT | events,
		.data = { .ptr = socket },
	};
	int operation = socket->half_ended ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	socket->half_ended =
		epoll_ctl(socket->sockets->half_ended_fd, operation, socket->fd, &event) == 0;
	return socket->half_ended;
}

bool vsock_socket_epoll_out(struct vsock_socket *socket)
{
	socket->waits_for_room = wait_half_ended(socket, EPOLLOUT);
	return socket->waits_for_room;
}

static void half_ended_event(struct vsock_socket *socket, uint32_t events)
{
	if (socket->waits_for_room) {
		socket->waits_for_room = false;
		socket->ops[VSOCK_SOCKET_POLL_OUT].done(socket, (int32_t)events);
	}
	if (socket->fd < 0)
		return; /* that was its end */
	if (events & (EPOLLHUP | EPOLLERR))
		socket->ops[VSOCK_SOCKET_POLL_HANG_UP].done(socket, (int32_t)events);
	else if (!socket->waits_for_room)
		wait_half_ended(socket, 0);
}

static void watch_half_ended(struct vsock_sockets *sockets);

/* A closed socket has left the epoll: no event is that of a place's earlier user. */
static void half_ended_events(struct ring_op *op, int32_t result)
{
	struct vsock_sockets *sockets = container_of(op, struct vsock_sockets, half_ended_op);
	struct epoll_event event;

	(void)result;
	pthread_mutex_lock(sockets->lock);
	for (unsigned share = HALF_ENDED_SHARE;
	     share > 0 && epoll_wait(sockets->half_ended_fd, &event, 1, 0) == 1; share--)
		half_ended_event(event.data.ptr, event.events);
	watch_half_ended(sockets);
	ring_after_batch(sockets->ring, sockets->task);
	pthread_mutex_unlock(sockets->lock);
}

static void watch_half_ended(struct vsock_sockets *sockets)
{
	struct io_uring_sqe *sqe = ring_prepare(sockets->ring);

	io_uring_prep_poll_add(sqe, sockets->half_ended_fd, POLLIN);
	sockets->half_ended_op.done = half_ended_events;
	ring_commit(sqe, &sockets->half_ended_op);
}

void vsock_sockets_open(struct vsock_sockets *sockets, struct ring *ring, pthread_mutex_t *lock,
			struct ring_task *task)
{
	sockets->ring = ring;
	sockets->lock = lock;
	sockets->task = task;
	sockets->half_ended_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sockets->half_ended_fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot create an epoll for the vsock");
}

void vsock_sockets_start(struct vsock_sockets *sockets)
{
	watch_half_ended(sockets);
}

/* A byte sent out of band stays in the stream like any other. Left out of it, a poll would announce what no read
 * finds. */
void vsock_socket_prepare(int fd)
{
	int inside = 1;

	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &inside, sizeof(inside));
	/* The listener refuses them, too, but perhaps not from its beginning; and others have other listeners. */
	socket_refuse_descriptors(fd);
}

void vsock_socket_open(struct vsock_socket *socket, struct vsock_sockets *sockets, int fd)
{
	*socket = (struct vsock_socket){ .sockets = sockets, .fd = fd };
	for (unsigned i = 0; i < VSOCK_SOCKET_KINDS; i++) {
		socket->ops[i].op.done = completed;
		socket->ops[i].socket = socket;
	}
}

/* The worker that has shut it down may still hold the file, and would with it keep it in the epoll. */
void vsock_socket_close(struct vsock_socket *socket)
{
	if (socket->half_ended)
		epoll_ctl(socket->sockets->half_ended_fd, EPOLL_CTL_DEL, socket->fd, NULL);
	socket->half_ended = socket->waits_for_room = false;
	if (socket->fd >= 0)
		close(socket->fd);
	socket->fd = -1;
}

void vsock_socket_connect(struct vsock_socket *socket, const struct sockaddr_un *address,
			  vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_connect(sqe, socket->fd, (const struct sockaddr *)address, sizeof(*address));
	commit(sqe, socket, VSOCK_SOCKET_CONNECT, done);
}

void vsock_socket_pause(struct vsock_socket *socket, struct __kernel_timespec *pause,
			vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_timeout(sqe, pause, 0, 0);
	commit(sqe, socket, VSOCK_SOCKET_CONNECT, done);
}

static void poll_for(struct vsock_socket *socket, unsigned events, enum vsock_socket_kind kind,
		     vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_poll_add(sqe, socket->fd, events);
	commit(sqe, socket, kind, done);
}

void vsock_socket_poll_in(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	if (!socket->ops[VSOCK_SOCKET_POLL_IN].under_way)
		poll_for(socket, POLLIN, VSOCK_SOCKET_POLL_IN, done);
}

bool vsock_socket_poll_out(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	if (!socket->half_ended) {
		poll_for(socket, POLLOUT, VSOCK_SOCKET_POLL_OUT, done);
		return true;
	}
	socket->ops[VSOCK_SOCKET_POLL_OUT].done = done;
	return vsock_socket_epoll_out(socket);
}

bool vsock_socket_has_room(int32_t result)
{
	return result <= 0 || (result & (POLLOUT | POLLHUP | POLLERR));
}

void vsock_socket_poll_hang_up(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	poll_for(socket, POLLHUP, VSOCK_SOCKET_POLL_HANG_UP, done);
}

bool vsock_socket_has_hung_up(struct vsock_socket *socket, int32_t result)
{
	if (result <= 0)
		return false;
	if (!(result & (POLLHUP | POLLERR)) && !socket->half_ended)
		wait_half_ended(socket, 0);
	return result & (POLLHUP | POLLERR);
}

void vsock_socket_receive(struct vsock_socket *socket, void *buffer, unsigned bytes, int flags,
			  vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_recv(sqe, socket->fd, buffer, bytes, MSG_DONTWAIT | flags);
	commit(sqe, socket, VSOCK_SOCKET_READ, done);
}

void vsock_socket_read(struct vsock_socket *socket, const struct iovec *parts, unsigned n,
		       vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);
	bool nowait = !socket->sockets->no_nowait;

	io_uring_prep_readv2(sqe, socket->fd, parts, n, (uint64_t)-1, nowait ? RWF_NOWAIT : 0);
	socket->ops[VSOCK_SOCKET_READ].nowait = nowait;
	commit(sqe, socket, VSOCK_SOCKET_READ, done);
}

void vsock_socket_write(struct vsock_socket *socket, const struct iovec *parts, unsigned n,
			bool nowait, vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_writev2(sqe, socket->fd, parts, n, (uint64_t)-1, nowait ? RWF_NOWAIT : 0);
	socket->ops[VSOCK_SOCKET_WRITE].nowait = nowait;
	commit(sqe, socket, VSOCK_SOCKET_WRITE, done);
}

static void shut_down(struct vsock_socket *socket, int how, enum vsock_socket_kind kind,
		      vsock_socket_done_fn *done)
{
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_shutdown(sqe, socket->fd, how);
	commit(sqe, socket, kind, done);
}

void vsock_socket_waste_input(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	struct vsock_sockets *sockets = socket->sockets;
	struct io_uring_sqe *sqe = prepare(socket);

	io_uring_prep_recv(sqe, socket->fd, sockets->waste, sizeof(sockets->waste), MSG_DONTWAIT);
	commit(sqe, socket, VSOCK_SOCKET_END_INPUT, done);
}

void vsock_socket_end_input(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	if (socket->input_ended || socket->fd < 0)
		return;
	socket->input_ended = true;
	shut_down(socket, SHUT_RD, VSOCK_SOCKET_END_INPUT, done);
}

void vsock_socket_end_output(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	if (socket->output_ended || socket->fd < 0)
		return;
	socket->output_ended = true;
	shut_down(socket, SHUT_WR, VSOCK_SOCKET_END_OUTPUT, done);
}

void vsock_socket_end(struct vsock_socket *socket, vsock_socket_done_fn *done)
{
	if (socket->fd >= 0)
		shut_down(socket, SHUT_RDWR, VSOCK_SOCKET_END, done);
}

bool vsock_socket_is_drained(const struct vsock_socket *socket)
{
	int bytes;

	return ioctl(socket->fd, SIOCINQ, &bytes) == 0 && bytes == 0;
}
