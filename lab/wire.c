/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int wire_zero_is_wait;

int wire_write(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes) {
		ssize_t done = write(fd, at, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		at += done;
		bytes -= (size_t)done;
	}
	return 0;
}

int wire_read(int fd, void *data, size_t bytes)
{
	char *at = data;

	while (bytes) {
		ssize_t done = read(fd, at, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0 && wire_zero_is_wait) {
			usleep(1000);
			continue;
		}
		if (done <= 0)
			return -1;
		at += done;
		bytes -= (size_t)done;
	}
	return 0;
}

int wire_send(int fd, enum wire_type type, const void *data, uint32_t bytes)
{
	const struct wire_frame frame = { .type = type, .bytes = bytes };
	char small[sizeof(frame) + WIRE_CHUNK_BYTES];

	if (bytes > WIRE_CHUNK_BYTES)
		return wire_write(fd, &frame, sizeof(frame)) || wire_write(fd, data, bytes) ? -1
											    : 0;
	memcpy(small, &frame, sizeof(frame));
	if (bytes)
		memcpy(small + sizeof(frame), data, bytes);
	return wire_write(fd, small, sizeof(frame) + bytes);
}

char *wire_receive(int fd, struct wire_frame *frame)
{
	char *data;

	if (wire_read(fd, frame, sizeof(*frame)) || frame->bytes > WIRE_JOB_BYTES)
		return NULL;
	data = malloc((size_t)frame->bytes + 1);
	if (!data)
		return NULL;
	if (wire_read(fd, data, frame->bytes)) {
		free(data);
		return NULL;
	}
	data[frame->bytes] = '\0';
	return data;
}
