/* SPDX-License-Identifier: MIT */
#include "host/control_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/control_socket.h"
#include "host/fail.h"
#include "host/text.h"

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "ctl");
	if (strlen(path) >= sizeof(address.sun_path))
		fail(EXIT_BAD_INPUT, "ctl %s: the path is longer than %zu bytes", path,
		     sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (stat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
		fail(EXIT_BAD_INPUT, "ctl %s: this is no socket", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ECONNREFUSED)
			fail(EXIT_HOST_REFUSED, "ctl %s: no VM listens there any more", path);
		fail_errno(exit_code_of_errno(errno), "ctl %s", path);
	}
	return fd;
}

/* One that the VM has no place for may be closed already: then its answer is there to be read. */
static void send_request(int fd, const char *request)
{
	struct iovec parts[] = { { (char *)request, strlen(request) }, { "\n", 1 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		fail_errno(EXIT_HOST_REFUSED, "ctl");
}

/* False: there is none, or only a part. */
static bool read_answer(int fd, char answer[CONTROL_ANSWER_BYTES + 1])
{
	size_t length = 0;

	for (ssize_t n; length < CONTROL_ANSWER_BYTES; length += (size_t)n) {
		n = read(fd, answer + length, CONTROL_ANSWER_BYTES - length);
		if (n <= 0)
			break;
		if (memchr(answer + length, '\n', (size_t)n) != NULL) {
			answer[length + (size_t)n] = '\0';
			return true;
		}
	}
	return false;
}

/* A guest may have broken into the monitor: its answer is text, and no orders for the terminal. */
static void mask_control_characters(char *answer)
{
	for (char *at = answer; *at != '\0'; at++)
		if (((unsigned char)*at < ' ' && *at != '\n') || *at == '\x7f')
			*at = '?';
}

int control_client_run(const char *path, const char *request)
{
	static const char ok[] = "{\"ok\":true";
	char answer[CONTROL_ANSWER_BYTES + 1];

	if (request[0] == '\0' || strchr(request, '\n') != NULL)
		fail(EXIT_BAD_INPUT, "ctl %s: expected a request of one line", path);
	int fd = connect_to(path);
	send_request(fd, request);
	if (!read_answer(fd, answer))
		fail(EXIT_HOST_REFUSED, "ctl %s: the VM has ended without an answer", path);
	mask_control_characters(answer);
	text_print("%s", answer);
	if (!text_print_end())
		fail_errno(EXIT_HOST_REFUSED, "stdout");
	return strncmp(answer, ok, sizeof(ok) - 1) == 0 ? 0 : CONTROL_CLIENT_REFUSED;
}
