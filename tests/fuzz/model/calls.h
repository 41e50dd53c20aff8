/* SPDX-License-Identifier: MIT */
/* The C library's calls for descriptors of the model; all others go on to the kernel. They stand in the program, before the library's. */
#ifndef TESTS_FUZZ_MODEL_CALLS_H
#define TESTS_FUZZ_MODEL_CALLS_H

#include <pthread.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/sockios.h>

#include "host/clock.h"
#include "tests/fuzz/model/socket_calls.h"

#include "tests/fuzz/model/begin.h"

/* A real file, whose content is from now on the model's, of at most `room` bytes. */
static inline void model_adopt(int fd, size_t room)
{
	struct model_object *object = model_make(MODEL_FILE);
	off_t bytes = lseek(fd, 0, SEEK_END);

	CHECK(object != NULL && fd < MODEL_FIRST_FD && bytes >= 0 && (size_t)bytes <= room);
	model_need_room(object, room);
	CHECK(syscall(SYS_pread64, fd, object->bytes, bytes, 0L) == bytes);
	object->size = (size_t)bytes;
	object->references = 1;
	model_table[fd] = object;
}

/* Another descriptor of the same. */
static inline void model_adopt_copy(int fd, int copy)
{
	model_table[copy] = model_of(fd);
	model_of(fd)->references++;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, now);
	*now = (struct timespec){ model_now_ns / 1000000000, model_now_ns % 1000000000 };
	return 0;
}

/* There is nobody else who could end the wait. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			   const struct timespec *end)
{
	int64_t end_ns = end->tv_sec * 1000000000 + end->tv_nsec;

	(void)condition, (void)mutex;
	model_now_ns = end_ns > model_now_ns ? end_ns : model_now_ns;
	return ETIMEDOUT;
}

/* The monitor's own (host/clock.h): a pause, or the wait for whoever reads its messages. */
int clock_poll_ms(int fd, short events, int ms)
{
	(void)events;
	if (fd < 0)
		model_now_ns += ms * 1000000ll;
	return fd >= 0;
}

int eventfd(unsigned count, int flags)
{
	struct model_object *object = model_make(MODEL_EVENT);

	(void)flags;
	CHECK(object != NULL);
	object->count = count;
	return (int)model_result(model_install(object));
}

int close(int fd)
{
	struct model_object *object = model_of(fd);

	if (object == NULL && fd >= MODEL_FIRST_FD)
		return (int)model_result(-EBADF);
	if (object == NULL)
		return (int)syscall(SYS_close, fd);
	model_table[fd] = NULL;
	model_release(object);
	return 0;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	struct model_object *object = model_of(fd);
	struct iovec part = { (void *)data, bytes };

	if (object == NULL)
		return syscall(SYS_write, fd, data, bytes);
	return model_result(model_write(object, &part, 1, 0));
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
	struct model_object *object = model_of(fd);
	struct iovec part = { data, bytes };

	if (object == NULL)
		return syscall(SYS_pread64, fd, data, bytes, offset);
	return model_result(model_read(object, &part, 1, (uint64_t)offset));
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	struct model_object *object = model_of(fd);
	struct iovec part = { (void *)data, bytes };

	if (object == NULL)
		return syscall(SYS_pwrite64, fd, data, bytes, offset);
	return model_result(model_write(object, &part, 1, (uint64_t)offset));
}

int ftruncate(int fd, off_t bytes)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return (int)syscall(SYS_ftruncate, fd, bytes);
	model_resize_file(object, (size_t)bytes);
	return 0;
}

off_t lseek(int fd, off_t offset, int whence)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return syscall(SYS_lseek, fd, offset, whence);
	CHECK(whence == SEEK_END);
	return (off_t)object->size + offset;
}

int fcntl(int fd, int operation, ...)
{
	struct model_object *object = model_of(fd);
	va_list list;

	va_start(list, operation);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (object == NULL || object->kind == MODEL_FILE)
		return (int)syscall(SYS_fcntl, fd, operation, argument);
	if (operation == F_GETFL)
		return object->flags;
	if (operation == F_SETFL)
		object->flags = (int)(intptr_t)argument & O_NONBLOCK;
	return 0;
}

/* Memory that is given back is as it was: nobody is promised zeroes. */
int madvise(void *at, size_t bytes, int advice)
{
	return advice == MADV_DONTNEED ? 0 : (int)syscall(SYS_madvise, at, bytes, advice);
}

/* What tests/unit/irq_rig.h does not answer. */
static inline long model_ioctl(int fd, unsigned long request, void *argument)
{
	struct model_object *object = model_of(fd);

	if (object == NULL)
		return syscall(SYS_ioctl, fd, request, argument);
	CHECK(request == SIOCINQ);
	*(int *)argument = (int)object->size;
	return 0;
}
#define RIG_OTHER_IOCTL model_ioctl

#include "tests/fuzz/model/end.h"

#endif
