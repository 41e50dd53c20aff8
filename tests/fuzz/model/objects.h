/* SPDX-License-Identifier: MIT */
/*
 * A host's kernel within the fuzzer, as far as the devices use one: eventfds, files, pairs of sockets, listeners, an epoll
 * and a clock. No call of it enters the real kernel, so that an input takes microseconds, does the same each time, and meets
 * what a real host shows rarely. Descriptors from MODEL_FIRST_FD on are its own; model_adopt() takes over a real file's.
 * calls.h answers the C library's calls, ring.h the ring's operations.
 */
#ifndef TESTS_FUZZ_MODEL_OBJECTS_H
#define TESTS_FUZZ_MODEL_OBJECTS_H

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/model/begin.h"

#define MODEL_FIRST_FD      1024
#define MODEL_FDS           4096
#define MODEL_OBJECTS       256u
#define MODEL_SOCKET_BYTES  (208u << 10) /* what waits in a socket; as Linux has it */
#define MODEL_LEAST_BYTES   2304u
#define MODEL_MESSAGE_BYTES 768u /* that a message of a packet socket counts beside its own */
#define MODEL_MESSAGES      128u
#define MODEL_WATCHES       64u
#define MODEL_PATH_BYTES    108u

enum model_kind {
	MODEL_NONE,
	MODEL_EVENT,
	MODEL_FILE,
	MODEL_STREAM,
	MODEL_PACKETS,
	MODEL_LISTENER,
	MODEL_DATAGRAM, /* to be connected to in vain */
	MODEL_EPOLL,
};

struct model_object;

struct model_watch {
	struct model_object *object; /* NULL: free */
	struct epoll_event event;
	bool armed;
};

struct model_message {
	uint32_t bytes;
	struct model_object *passed; /* a descriptor that comes with it */
};

struct model_object {
	enum model_kind kind;
	unsigned references; /* descriptors, operations on the ring, messages */
	int flags;           /* O_NONBLOCK */
	int error;
	bool connected, reads_end, writes_end;
	bool watched;   /* by an epoll, once */
	uint64_t count; /* of an eventfd */
	/* A file's content; of a socket what it may read, as a ring from `first` on. */
	uint8_t *bytes;
	size_t room, first, size;
	size_t limit; /* of what the peer may have waiting */
	struct model_object *peer;
	unsigned first_message, n_messages;
	unsigned n_waiting, backlog; /* of a listener */
	struct model_watch *watches; /* MODEL_WATCHES of an epoll */
	char path[MODEL_PATH_BYTES];
	struct model_message messages[MODEL_MESSAGES];
	struct model_object *waiting[32]; /* that nobody has accepted yet */
};

static struct model_object model_objects[MODEL_OBJECTS];
static struct model_object *model_table[MODEL_FDS];
static int64_t model_now_ns = 1000000000000;

static inline struct model_object *model_of(int fd)
{
	return fd >= 0 && fd < MODEL_FDS ? model_table[fd] : NULL;
}

/* NULL: there are too many. */
static inline struct model_object *model_make(enum model_kind kind)
{
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		struct model_object *object = &model_objects[i];
		uint8_t *bytes = object->bytes;
		size_t room = object->room;
		struct model_watch *watches = object->watches;
		if (object->kind != MODEL_NONE)
			continue;
		memset(object, 0, offsetof(struct model_object, messages));
		object->kind = kind;
		object->limit = MODEL_SOCKET_BYTES;
		object->bytes = bytes;
		object->room = room;
		object->watches = watches;
		return object;
	}
	return NULL;
}

static inline void model_need_room(struct model_object *object, size_t room)
{
	if (object->room >= room)
		return;
	free(object->bytes);
	object->bytes = calloc(1, room);
	CHECK(object->bytes != NULL);
	object->room = room;
}

/* A descriptor for it; -EMFILE. */
static inline int model_install(struct model_object *object)
{
	for (int fd = MODEL_FIRST_FD; fd < MODEL_FDS; fd++)
		if (model_table[fd] == NULL) {
			model_table[fd] = object;
			object->references++;
			return fd;
		}
	return -EMFILE;
}

static inline bool model_is_socket(const struct model_object *object)
{
	return object->kind == MODEL_STREAM || object->kind == MODEL_PACKETS;
}

static inline void model_release(struct model_object *object);

/* The peer reads what has come, and then the end, or that bytes were lost. */
static inline void model_leave_peer(struct model_object *object)
{
	struct model_object *peer = object->peer;

	if (peer == NULL)
		return;
	if (object->size > 0 || object->n_messages > 0)
		peer->error = ECONNRESET;
	peer->reads_end = peer->writes_end = true;
	peer->peer = NULL;
	object->peer = NULL;
}

static inline void model_destroy(struct model_object *object)
{
	if (model_is_socket(object))
		model_leave_peer(object);
	for (; object->n_messages > 0; object->n_messages--, object->first_message++) {
		struct model_object *passed =
			object->messages[object->first_message % MODEL_MESSAGES].passed;
		if (passed != NULL)
			model_release(passed);
	}
	for (unsigned i = 0; i < object->n_waiting; i++)
		model_release(object->waiting[i]);
	for (unsigned i = 0; object->watched && i < MODEL_OBJECTS; i++) {
		struct model_object *epoll = &model_objects[i];
		for (unsigned n = 0; epoll->kind == MODEL_EPOLL && n < MODEL_WATCHES; n++)
			if (epoll->watches[n].object == object)
				epoll->watches[n].object = NULL;
	}
	object->kind = MODEL_NONE;
}

static inline void model_release(struct model_object *object)
{
	if (--object->references == 0)
		model_destroy(object);
}

static inline uint32_t model_poll_socket(const struct model_object *object)
{
	uint32_t events = 0;
	size_t used = object->peer
			      ? object->peer->size + object->peer->n_messages * MODEL_MESSAGE_BYTES
			      : 0;

	if (object->error != 0)
		events |= POLLERR;
	if ((object->reads_end && object->writes_end) || !object->connected)
		events |= POLLHUP;
	if (object->reads_end)
		events |= POLLIN | POLLRDHUP;
	if (object->size > 0 || object->n_messages > 0)
		events |= POLLIN;
	if (used * 4 <= object->limit)
		events |= POLLOUT;
	return events;
}

static inline uint32_t model_poll(const struct model_object *object)
{
	switch (object->kind) {
	case MODEL_EVENT:
		return POLLOUT | (object->count > 0 ? POLLIN : 0);
	case MODEL_STREAM:
	case MODEL_PACKETS:
		return model_poll_socket(object);
	case MODEL_LISTENER:
		return object->n_waiting > 0 ? POLLIN : 0;
	case MODEL_EPOLL:
		for (unsigned i = 0; i < MODEL_WATCHES; i++) {
			const struct model_watch *watch = &object->watches[i];
			if (watch->object != NULL && watch->armed &&
			    model_poll(watch->object) & (watch->event.events | POLLHUP | POLLERR))
				return POLLIN;
		}
		return 0;
	default:
		return POLLIN | POLLOUT;
	}
}

#include "tests/fuzz/model/end.h"

#endif
