/* SPDX-License-Identifier: MIT */
/* The control socket's wire: lines in any pieces, answers now and later, and clients that mean no good. */
#include "host/control_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/ring_rig.h"

static char path[64];
static struct control_socket control;
static struct error_text error;
static unsigned n_requests;
static char last[CONTROL_LINE_BYTES];
static struct control_client *owed; /* has asked for "later" */

static void handle(void *context, struct control_client *client, const char *request)
{
	CHECK(context == &control);
	CHECK(strlen(request) < CONTROL_LINE_BYTES);
	CHECK(strchr(request, '\n') == NULL);
	n_requests++;
	snprintf(last, sizeof(last), "%s", request);
	if (strcmp(request, "later") == 0)
		owed = client;
	else if (strcmp(request, "refuse") == 0)
		control_refuse(client, "disk a\"b\\\n\xff: no");
	else
		control_answer(client, "{\"n\":%u}", n_requests);
}

static void start(void)
{
	n_requests = 0;
	owed = NULL;
	ring_open(&rig_ring, 32);
	control_socket_init(&control, &rig_ring, handle, &control);
	ring_allow_sockets(&rig_ring, false);
	ring_start(&rig_ring);
	control_socket_start(&control);
}

static int listener(int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	strcpy(address.sun_path, path);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fd, 16) == 0);
	return fd;
}

static void set_up(void)
{
	CHECK(control_socket_adopt(&control, listener(0), &error));
	start();
}

static void tear_down(void)
{
	ring_close(&rig_ring);
	control_socket_close(&control);
	unlink(path);
}

static int client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void say(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static bool is_readable(int fd)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, 0) == 1;
}

/* All of `text` comes, and nothing else is there. */
static void hear(int fd, const char *text)
{
	char got[512] = "";
	size_t length = 0;

	while (length < strlen(text)) {
		RIG_RUN_UNTIL(is_readable(fd));
		ssize_t n = read(fd, got + length, strlen(text) - length);
		CHECK(n > 0);
		length += (size_t)n;
	}
	CHECK_STRING(got, text);
	rig_idle();
	CHECK(!is_readable(fd));
}

static void hear_the_end(int fd)
{
	char byte;

	RIG_RUN_UNTIL(is_readable(fd));
	ssize_t n = read(fd, &byte, 1);
	CHECK(n == 0 || (n < 0 && errno == ECONNRESET));
	close(fd);
}

static void test_lines(void)
{
	char line[CONTROL_LINE_BYTES + 1];

	CHECK(control_socket_open(&control, path, &error));
	start();
	int fd = client();
	say(fd, "ping\n");
	hear(fd, "{\"n\":1}\n");
	CHECK_STRING(last, "ping");
	say(fd, "one\ntwo\n\nthr");
	hear(fd, "{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
	CHECK_STRING(last, "");
	say(fd, "ee");
	rig_idle();
	say(fd, "\n");
	hear(fd, "{\"n\":5}\n");
	CHECK_STRING(last, "three");
	/* As long as a line may be. */
	memset(line, 'x', sizeof(line));
	line[CONTROL_LINE_BYTES - 1] = '\n';
	line[CONTROL_LINE_BYTES] = '\0';
	say(fd, line);
	hear(fd, "{\"n\":6}\n");
	CHECK_EQ(strlen(last), CONTROL_LINE_BYTES - 1);
	/* And what it may not have. */
	CHECK(send(fd, "ping\0more\n", 10, 0) == 10);
	hear(fd, "{\"n\":7}\n");
	CHECK_STRING(last, "");
	close(fd);
	tear_down();
}

/* A file's name may be anything. */
static void test_refused(void)
{
	set_up();
	int fd = client();
	say(fd, "refuse\n");
	hear(fd, "{\"ok\":false,\"error\":\"disk a\\\"b\\\\\\u000a\xef\xbf\xbd: no\"}\n");
	close(fd);
	tear_down();
}

static void test_too_long(void)
{
	char line[CONTROL_LINE_BYTES + 1];

	set_up();
	int fd = client();
	memset(line, 'x', sizeof(line));
	line[CONTROL_LINE_BYTES] = '\0';
	say(fd, line);
	RIG_RUN_UNTIL(control.clients[0].fd < 0 && is_readable(fd));
	CHECK(read(fd, line, sizeof(line)) > 10);
	CHECK(strncmp(line, "{\"ok\":false,\"error\":\"the line is longer than 127 bytes\"}\n",
		      40) == 0);
	hear_the_end(fd);
	CHECK_EQ(n_requests, 0);
	tear_down();
}

static void test_later(void)
{
	set_up();
	int fd = client(), other = client();
	say(fd, "later\nping\n");
	RIG_RUN_UNTIL(owed != NULL);
	rig_idle();
	CHECK_EQ(n_requests, 1); /* the next line waits for the answer */
	say(other, "ping\n");
	hear(other, "{\"n\":2}\n");
	/* Whoever writes no more still gets what it has asked for. */
	CHECK(shutdown(fd, SHUT_WR) == 0);
	rig_idle();
	control_answer(owed, "{\"late\":1}");
	RIG_RUN_UNTIL(n_requests == 3);
	RIG_RUN_UNTIL(control.clients[0].fd < 0);
	char text[64] = "";
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK_STRING(text, "{\"late\":1}\n{\"n\":3}\n");
	hear_the_end(fd);
	close(other);
	tear_down();
}

static void test_leaves_while_it_waits(void)
{
	set_up();
	int fd = client();
	say(fd, "later\n");
	RIG_RUN_UNTIL(owed != NULL);
	close(fd);
	rig_idle();
	control_answer(owed, "{}");
	CHECK(control.clients[0].fd < 0);
	tear_down();
}

static void test_takes_no_answers(void)
{
	char lines[4096];

	set_up();
	int fd = client();
	memset(lines, '\n', sizeof(lines));
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (control.clients[0].fd >= 0 || n_requests == 0) {
		ssize_t n = send(fd, lines, sizeof(lines), MSG_NOSIGNAL);
		CHECK(n > 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	CHECK(n_requests > 10);
	close(fd);
	/* Nobody else has felt it. */
	int other = client();
	n_requests = 0;
	say(other, "ping\n");
	hear(other, "{\"n\":1}\n");
	close(other);
	tear_down();
}

static void test_ninth(void)
{
	int fds[CONTROL_CLIENTS];

	set_up();
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		fds[i] = client();
		RIG_RUN_UNTIL(control.clients[i].fd >= 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		char text[128] = "";
		int fd = client();
		RIG_RUN_UNTIL(is_readable(fd));
		CHECK(read(fd, text, sizeof(text) - 1) > 0);
		CHECK_STRING(text, "{\"ok\":false,\"error\":\"as many clients as there may be are "
				   "connected\"}\n");
		hear_the_end(fd);
	}
	say(fds[3], "ping\n");
	hear(fds[3], "{\"n\":1}\n");
	close(fds[5]);
	RIG_RUN_UNTIL(control.clients[5].fd < 0);
	fds[5] = client();
	say(fds[5], "ping\n");
	hear(fds[5], "{\"n\":2}\n");
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		close(fds[i]);
	tear_down();
}

/* Any bytes in any pieces: as many answers as lines, unless one is too long. */
static void test_garbage(void)
{
	uint64_t seed = 14;

	set_up();
	for (unsigned round = 0; round < 300; round++) {
		int fd = client();
		unsigned n_lines = 0, column = 0, before = n_requests;
		bool too_long = false;
		for (unsigned piece = 0; piece < 6 && !too_long; piece++) {
			char bytes[300];
			size_t length = check_random(&seed) % sizeof(bytes);
			for (size_t i = 0; i < length; i++) {
				bytes[i] = (char)(check_random(&seed) % (round % 2 ? 16 : 128));
				column = bytes[i] == '\n' ? 0 : column + 1;
				too_long |= column >= CONTROL_LINE_BYTES;
				n_lines += bytes[i] == '\n' && !too_long;
			}
			CHECK(send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
			CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
		}
		CHECK(shutdown(fd, SHUT_WR) == 0);
		RIG_RUN_UNTIL(n_requests - before == n_lines);
		RIG_RUN_UNTIL(control.clients[0].fd < 0);
		close(fd);
	}
	tear_down();
}

static void test_adopts_a_connection(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	CHECK(control_socket_adopt(&control, ends[1], &error));
	CHECK_EQ(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	start();
	say(ends[0], "ping\n");
	hear(ends[0], "{\"n\":1}\n");
	close(ends[0]);
	RIG_RUN_UNTIL(control.clients[0].fd < 0);
	tear_down();
}

static void test_adopts_a_listener_that_does_not_block(void)
{
	int fd = listener(SOCK_NONBLOCK);

	CHECK(control_socket_adopt(&control, fd, &error));
	start();
	rig_idle();
	for (unsigned i = 1; i < 4; i++) {
		char text[16];
		int one = client();
		snprintf(text, sizeof(text), "{\"n\":%u}\n", i);
		say(one, "ping\n");
		hear(one, text);
		close(one);
	}
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	tear_down();
}

static void test_adopts_nothing_else(void)
{
	int ends[2], tcp = socket(AF_INET, SOCK_STREAM, 0), alone = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	CHECK(listen(tcp, 1) == 0);
	const int fds[] = { ends[0], tcp, alone, STDERR_FILENO, 999 };
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		error.code = EXIT_GUEST_ENDED;
		CHECK(!control_socket_adopt(&control, fds[i], &error));
		CHECK_EQ(error.code, EXIT_BAD_INPUT);
	}
	close(ends[0]);
	close(ends[1]);
	close(tcp);
	close(alone);
}

int main(void)
{
	snprintf(path, sizeof(path), "/tmp/control-%d", getpid());
	RUN(test_lines);
	RUN(test_refused);
	RUN(test_too_long);
	RUN(test_later);
	RUN(test_leaves_while_it_waits);
	RUN(test_takes_no_answers);
	RUN(test_ninth);
	RUN(test_garbage);
	RUN(test_adopts_a_connection);
	RUN(test_adopts_a_listener_that_does_not_block);
	RUN(test_adopts_nothing_else);
	return 0;
}
