/* SPDX-License-Identifier: MIT */
/* The C library's calls for sockets, and for whoever waits for descriptors: as calls.h, which has the others. */
#ifndef TESTS_FUZZ_MODEL_SOCKET_CALLS_H
#define TESTS_FUZZ_MODEL_SOCKET_CALLS_H

#include <sys/syscall.h>

#include "tests/fuzz/model/sockets.h"

#include "tests/fuzz/model/begin.h"

static inline int64_t model_result(int64_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* The fuzzer's way to have sockets fail: true, the next one does. */
static bool (*model_refuses_socket)(void);

static inline int model_socket(int type)
{
	struct model_object *object =
		model_make((type & 15) == SOCK_STREAM ? MODEL_STREAM : MODEL_DATAGRAM);
	if (object == NULL)
		return (int)model_result(-EMFILE);
	object->flags = type & SOCK_NONBLOCK ? O_NONBLOCK : 0;
	return (int)model_result(model_install(object));
}

int socket(int domain, int type, int protocol)
{
	(void)protocol;
	CHECK_EQ(domain, AF_UNIX);
	if (model_refuses_socket != NULL && model_refuses_socket())
		return (int)model_result(-EMFILE);
	return model_socket(type);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
	enum model_kind kind = (type & 15) == SOCK_STREAM ? MODEL_STREAM : MODEL_PACKETS;
	struct model_object *both[2];

	(void)domain, (void)protocol;
	for (int i = 0; i < 2; i++) {
		both[i] = model_make(kind);
		CHECK(both[i] != NULL);
		both[i]->flags = type & SOCK_NONBLOCK ? O_NONBLOCK : 0;
		ends[i] = model_install(both[i]);
	}
	model_pair(both[0], both[1]);
	return 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_bind, fd, address, bytes);
	snprintf(object->path, sizeof(object->path), "%s",
		 ((const struct sockaddr_un *)(const void *)address)->sun_path);
	return 0;
}

int listen(int fd, int backlog)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_listen, fd, backlog);
	object->kind = MODEL_LISTENER;
	object->backlog = (unsigned)backlog;
	return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_connect, fd, address, bytes);
	return (int)model_result(model_connect(object, address));
}

int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_accept4, fd, address, bytes, flags);
	return (int)model_result(model_accept(object, flags));
}

ssize_t send(int fd, const void *data, size_t bytes, int flags)
{
	struct model_object *object = model_of(fd);
	struct iovec part = { (void *)data, bytes };

	if (object == NULL)
		return syscall(SYS_sendto, fd, data, bytes, flags, NULL, 0L);
	return model_result(model_send(object, &part, 1, NULL));
}

ssize_t recv(int fd, void *data, size_t bytes, int flags)
{
	struct model_object *object = model_of(fd);
	struct iovec part = { data, bytes };

	if (object == NULL)
		return syscall(SYS_recvfrom, fd, data, bytes, flags, NULL, NULL);
	return model_result(model_receive(object, &part, 1, flags & MSG_PEEK, NULL));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct model_object *object = model_of(fd);
	int passed;

	if (object == NULL)
		return syscall(SYS_sendmsg, fd, message, flags);
	memcpy(&passed, CMSG_DATA((struct cmsghdr *)message->msg_control), sizeof(passed));
	return model_result(model_send(object, message->msg_iov, (unsigned)message->msg_iovlen,
				       model_of(passed)));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct model_object *object = model_of(fd), *passed = NULL;

	if (object == NULL)
		return syscall(SYS_recvmsg, fd, message, flags);
	int64_t n = model_receive(object, message->msg_iov, (unsigned)message->msg_iovlen, false,
				  &passed);
	message->msg_controllen = 0;
	if (n < 0 || passed == NULL)
		return model_result(n);
	struct cmsghdr *header = message->msg_control;
	*header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	int new_fd = model_install(passed);
	model_release(passed); /* the message's */
	memcpy(CMSG_DATA(header), &new_fd, sizeof(new_fd));
	message->msg_controllen = CMSG_LEN(sizeof(int));
	return n;
}

int shutdown(int fd, int how)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_shutdown, fd, how);
	return (int)model_result(model_shut_down(object, how));
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
	struct model_object *object = model_of(fd);
	int wanted;

	if (object == NULL)
		return (int)syscall(SYS_setsockopt, fd, level, name, value, bytes);
	if (name != SO_SNDBUF)
		return 0;
	memcpy(&wanted, value, sizeof(wanted));
	object->limit = (size_t)wanted < MODEL_LEAST_BYTES    ? MODEL_LEAST_BYTES
			: (size_t)wanted > MODEL_SOCKET_BYTES ? MODEL_SOCKET_BYTES
							      : (size_t)wanted;
	return 0;
}

int poll(struct pollfd *waits, nfds_t n, int timeout_ms)
{
	int ready = 0;

	if (n == 0 || model_of(waits[0].fd) == NULL)
		return (int)syscall(SYS_poll, waits, n, timeout_ms);
	for (nfds_t i = 0; i < n; i++) {
		waits[i].revents = (short)(model_poll(model_of(waits[i].fd)) &
					   ((uint32_t)waits[i].events | POLLHUP | POLLERR));
		ready += waits[i].revents != 0;
	}
	return ready;
}

int epoll_create1(int flags)
{
	struct model_object *object = model_make(MODEL_EPOLL);

	(void)flags;
	CHECK(object != NULL);
	if (object->watches == NULL)
		object->watches = malloc(MODEL_WATCHES * sizeof(object->watches[0]));
	memset(object->watches, 0, MODEL_WATCHES * sizeof(object->watches[0]));
	return (int)model_result(model_install(object));
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	struct model_object *epoll = model_of(epoll_fd), *object = model_of(fd);
	struct model_watch *watch = NULL, *unused = NULL;

	if (epoll == NULL || object == NULL)
		return (int)model_result(-EBADF);
	for (unsigned i = 0; i < MODEL_WATCHES; i++) {
		if (epoll->watches[i].object == object)
			watch = &epoll->watches[i];
		if (epoll->watches[i].object == NULL && unused == NULL)
			unused = &epoll->watches[i];
	}
	if ((operation == EPOLL_CTL_ADD) != (watch == NULL))
		return (int)model_result(watch == NULL ? -ENOENT : -EEXIST);
	if (operation == EPOLL_CTL_DEL) {
		watch->object = NULL;
		return 0;
	}
	watch = watch == NULL ? unused : watch;
	if (watch == NULL)
		return (int)model_result(-ENOSPC);
	*watch = (struct model_watch){ object, *event, true };
	object->watched = true;
	return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	struct model_object *epoll = model_of(fd);

	(void)timeout_ms;
	CHECK(epoll != NULL && n == 1);
	for (unsigned i = 0; i < MODEL_WATCHES; i++) {
		struct model_watch *watch = &epoll->watches[i];
		uint32_t ready = watch->object != NULL && watch->armed
					 ? model_poll(watch->object) &
						   (watch->event.events | POLLHUP | POLLERR)
					 : 0;
		if (ready == 0)
			continue;
		*events = (struct epoll_event){ .events = ready, .data = watch->event.data };
		watch->armed = !(watch->event.events & EPOLLONESHOT);
		return 1;
	}
	return 0;
}

#include "tests/fuzz/model/end.h"

#endif
