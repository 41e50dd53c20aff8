/* SPDX-License-Identifier: MIT */
/* Reading and writing the objects of the model. What would wait returns -EAGAIN: the ring tries again, others have it. */
#ifndef TESTS_FUZZ_MODEL_SOCKETS_H
#define TESTS_FUZZ_MODEL_SOCKETS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/fuzz/model/memory.h"
#include "tests/fuzz/model/objects.h"

#include "tests/fuzz/model/begin.h"

static inline size_t model_iov_bytes(const struct iovec *parts, unsigned n)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += parts[i].iov_len;
	return bytes;
}

/* The first `bytes` of what waits; peek: it stays. */
static inline void model_take(struct model_object *object, const struct iovec *parts, size_t bytes,
			      bool peek)
{
	size_t first = object->first, left = bytes;

	for (; left > 0; parts++) {
		size_t n = parts->iov_len < left ? parts->iov_len : left;
		size_t head = n < object->room - first ? n : object->room - first;
		memcpy(parts->iov_base, object->bytes + first, head);
		memcpy((uint8_t *)parts->iov_base + head, object->bytes, n - head);
		model_memory_touch(parts->iov_base, n);
		first = (first + n) % object->room;
		left -= n;
	}
	if (peek)
		return;
	object->first = first;
	object->size -= bytes;
}

static inline void model_append(struct model_object *object, const struct iovec *parts,
				size_t bytes)
{
	size_t at = (object->first + object->size) % object->room;

	object->size += bytes;
	for (; bytes > 0; parts++) {
		size_t n = parts->iov_len < bytes ? parts->iov_len : bytes;
		size_t head = n < object->room - at ? n : object->room - at;
		memcpy(object->bytes + at, parts->iov_base, head);
		memcpy(object->bytes, (const uint8_t *)parts->iov_base + head, n - head);
		at = (at + n) % object->room;
		bytes -= n;
	}
}

static inline int64_t model_receive_message(struct model_object *object, const struct iovec *parts,
					    size_t wanted, struct model_object **passed)
{
	struct model_message *message = &object->messages[object->first_message % MODEL_MESSAGES];
	size_t n = wanted < message->bytes ? wanted : message->bytes;

	model_take(object, parts, n, false);
	object->first = (object->first + message->bytes - n) % object->room;
	object->size -= message->bytes - n;
	object->first_message++;
	object->n_messages--;
	if (passed != NULL)
		*passed = message->passed;
	else if (message->passed != NULL)
		model_release(message->passed);
	return (int64_t)n;
}

/* passed: gets the descriptor that comes with a message, or NULL. */
static inline int64_t model_receive(struct model_object *object, const struct iovec *parts,
				    unsigned n, bool peek, struct model_object **passed)
{
	size_t wanted = model_iov_bytes(parts, n);

	if (object->n_messages > 0)
		return model_receive_message(object, parts, wanted, passed);
	if (object->size > 0) {
		wanted = wanted < object->size ? wanted : object->size;
		model_take(object, parts, wanted, peek);
		return (int64_t)wanted;
	}
	if (object->error != 0) {
		int error = object->error;
		object->error = 0;
		return -error;
	}
	if (!object->connected)
		return -EINVAL;
	return object->reads_end ? 0 : -EAGAIN;
}

static inline int64_t model_send_message(struct model_object *object, const struct iovec *parts,
					 size_t bytes, struct model_object *passed)
{
	struct model_object *peer = object->peer;
	size_t used = peer->size + peer->n_messages * MODEL_MESSAGE_BYTES;

	if (bytes > MODEL_SOCKET_BYTES)
		return -EMSGSIZE;
	if (peer->n_messages == MODEL_MESSAGES ||
	    (used > 0 && used + bytes + MODEL_MESSAGE_BYTES > object->limit) ||
	    bytes > peer->room - peer->size)
		return -EAGAIN;
	if (passed != NULL)
		passed->references++;
	peer->messages[(peer->first_message + peer->n_messages++) % MODEL_MESSAGES] =
		(struct model_message){ (uint32_t)bytes, passed };
	model_append(peer, parts, bytes);
	return (int64_t)bytes;
}

static inline int64_t model_send(struct model_object *object, const struct iovec *parts, unsigned n,
				 struct model_object *passed)
{
	size_t bytes = model_iov_bytes(parts, n), free_bytes;

	if (object->error != 0) {
		int error = object->error;
		object->error = 0;
		return -error;
	}
	if (object->writes_end)
		return -EPIPE;
	if (object->peer == NULL)
		return -ENOTCONN;
	if (object->kind == MODEL_PACKETS)
		return model_send_message(object, parts, bytes, passed);
	free_bytes = object->limit > object->peer->size ? object->limit - object->peer->size : 0;
	if (bytes > free_bytes)
		bytes = free_bytes;
	model_append(object->peer, parts, bytes);
	return bytes > 0 || model_iov_bytes(parts, n) == 0 ? (int64_t)bytes : -EAGAIN;
}

/* A file's bytes; what is behind its end is not there. */
static inline int64_t model_read_file(const struct model_object *object, const struct iovec *parts,
				      unsigned n, uint64_t offset)
{
	int64_t done = 0;

	for (unsigned i = 0; i < n && offset < object->size; i++) {
		size_t some = parts[i].iov_len < object->size - offset ? parts[i].iov_len
								       : object->size - offset;
		memcpy(parts[i].iov_base, object->bytes + offset, some);
		model_memory_touch(parts[i].iov_base, some);
		offset += some;
		done += (int64_t)some;
	}
	return done;
}

static inline void model_resize_file(struct model_object *object, size_t bytes)
{
	CHECK(bytes <= object->room);
	if (bytes < object->size)
		memset(object->bytes + bytes, 0, object->size - bytes);
	object->size = bytes;
}

static inline int64_t model_write_file(struct model_object *object, const struct iovec *parts,
				       unsigned n, uint64_t offset)
{
	int64_t done = 0;

	if (offset >= object->room)
		return -EFBIG;
	for (unsigned i = 0; i < n && offset < object->room; i++) {
		size_t some = parts[i].iov_len < object->room - offset ? parts[i].iov_len
								       : object->room - offset;
		memcpy(object->bytes + offset, parts[i].iov_base, some);
		offset += some;
		done += (int64_t)some;
		if (offset > object->size)
			object->size = offset;
	}
	return done;
}

/* Holes and zeroes alike; the size stays. */
static inline int64_t model_zero_file(struct model_object *object, uint64_t offset, uint64_t bytes)
{
	if (bytes == 0)
		return -EINVAL;
	if (offset < object->size)
		memset(object->bytes + offset, 0,
		       bytes < object->size - offset ? bytes : object->size - offset);
	return 0;
}

static inline int64_t model_read(struct model_object *object, const struct iovec *parts, unsigned n,
				 uint64_t offset)
{
	if (object->kind == MODEL_FILE)
		return model_read_file(object, parts, n, offset);
	if (object->kind != MODEL_EVENT)
		return model_receive(object, parts, n, false, NULL);
	if (object->count == 0)
		return -EAGAIN;
	CHECK(n == 1 && parts->iov_len >= sizeof(object->count));
	memcpy(parts->iov_base, &object->count, sizeof(object->count));
	object->count = 0;
	return sizeof(object->count);
}

static inline int64_t model_write(struct model_object *object, const struct iovec *parts,
				  unsigned n, uint64_t offset)
{
	uint64_t more;

	if (object->kind == MODEL_FILE)
		return model_write_file(object, parts, n, offset);
	if (object->kind != MODEL_EVENT)
		return model_send(object, parts, n, NULL);
	memcpy(&more, parts->iov_base, sizeof(more));
	object->count += more;
	return sizeof(more);
}

static inline struct model_object *model_listener_at(const char *path)
{
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		struct model_object *object = &model_objects[i];
		if (object->kind != MODEL_NONE && object->path[0] != '\0' &&
		    strcmp(object->path, path) == 0)
			return object;
	}
	return NULL;
}

static inline void model_pair(struct model_object *a, struct model_object *b)
{
	model_need_room(a, MODEL_SOCKET_BYTES);
	model_need_room(b, MODEL_SOCKET_BYTES);
	a->peer = b;
	b->peer = a;
	a->connected = b->connected = true;
}

/* A full backlog: -EAGAIN, as to a socket that does not wait. */
static inline int model_connect(struct model_object *object, const struct sockaddr *address)
{
	struct model_object *listener =
		model_listener_at(((const struct sockaddr_un *)(const void *)address)->sun_path);
	struct model_object *other;

	if (listener == NULL)
		return -ENOENT;
	if (listener->kind == MODEL_DATAGRAM)
		return -EPROTOTYPE;
	if (listener->kind != MODEL_LISTENER)
		return -ECONNREFUSED;
	if (object->connected)
		return -EISCONN;
	if (listener->n_waiting > listener->backlog)
		return -EAGAIN;
	other = model_make(MODEL_STREAM);
	if (other == NULL)
		return -ENOMEM;
	other->references = 1;
	model_pair(object, other);
	listener->waiting[listener->n_waiting++] = other;
	return 0;
}

/* The new descriptor. */
static inline int model_accept(struct model_object *listener, int flags)
{
	struct model_object *object;

	if (listener->kind != MODEL_LISTENER)
		return -EINVAL;
	if (listener->n_waiting == 0)
		return -EAGAIN;
	object = listener->waiting[0];
	memmove(listener->waiting, listener->waiting + 1,
		--listener->n_waiting * sizeof(listener->waiting[0]));
	object->flags = flags & SOCK_NONBLOCK ? O_NONBLOCK : 0;
	int fd = model_install(object);
	model_release(object); /* the backlog's */
	return fd;
}

static inline int model_shut_down(struct model_object *object, int how)
{
	bool reads = how == SHUT_RD || how == SHUT_RDWR,
	     writes = how == SHUT_WR || how == SHUT_RDWR;

	if (!model_is_socket(object))
		return -ENOTSOCK;
	if (!object->connected)
		return -ENOTCONN;
	object->reads_end |= reads;
	object->writes_end |= writes;
	if (object->peer != NULL) {
		object->peer->writes_end |= reads;
		object->peer->reads_end |= writes;
	}
	return 0;
}

#include "tests/fuzz/model/end.h"

#endif
