/* SPDX-License-Identifier: MIT */
/* The socket at a path: what may lie there before, who may use it, that it goes. */
#include "host/listen_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/check.h"
#include "tests/unit/send_descriptor.h"

static char dir[] = "/tmp/listen-XXXXXX", path[64];
static struct error_text error;

static struct sockaddr_un address_of(const char *at)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, at);
	return address;
}

static int bound_socket(int type, bool listening)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(!listening || listen(fd, 1) == 0);
	return fd;
}

/* Opens a listener in a child, which leaves by exit(); returns its status, 99 if it was refused. */
static int open_in_child(void (*while_open)(void))
{
	int status, ends[2];
	pid_t child;

	CHECK(pipe(ends) == 0);
	child = fork();
	if (child == 0) {
		struct listen_socket listener;
		if (!listen_socket_open(&listener, path, &error)) {
			CHECK(write(ends[1], error.text, sizeof(error.text)) > 0);
			exit(99);
		}
		if (while_open != NULL)
			while_open();
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	close(ends[1]);
	memset(error.text, 0, sizeof(error.text));
	CHECK(read(ends[0], error.text, sizeof(error.text)) >= 0);
	close(ends[0]);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_mode_and_connect(void)
{
	struct sockaddr_un address = address_of(path);
	struct stat status;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0);

	CHECK_EQ(mask, 022); /* what it was before */
	CHECK(lstat(path, &status) == 0);
	CHECK(S_ISSOCK(status.st_mode));
	CHECK_EQ(status.st_mode & 07777, 0600);
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

/* Nor does a program wait for accept() that has sent one. */
static void check_refuses_descriptors(void)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), option;
	bool refuses = getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &option,
				  &(socklen_t){ sizeof(option) }) == 0;

	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK_EQ(send_descriptor(fd, fd), refuses ? EPERM : 0); /* Linux before 6.16 cannot */
	close(fd);
}

static void test_descriptors(void)
{
	struct listen_socket listener;
	int fd;

	CHECK_EQ(open_in_child(check_refuses_descriptors), 0);
	fd = bound_socket(SOCK_STREAM, true);
	CHECK(listen_socket_adopt(&listener, fd, &error));
	check_refuses_descriptors();
	close(fd);
	CHECK(unlink(path) == 0);
}

static void test_new(void)
{
	umask(022);
	CHECK_EQ(open_in_child(check_mode_and_connect), 0);
	CHECK(access(path, F_OK) < 0); /* gone with the process */
}

static void test_stale(void)
{
	close(bound_socket(SOCK_STREAM, true));
	CHECK(access(path, F_OK) == 0);
	CHECK_EQ(open_in_child(check_mode_and_connect), 0);
	CHECK(access(path, F_OK) < 0);
	close(bound_socket(SOCK_STREAM, false));
	CHECK_EQ(open_in_child(NULL), 0);
	CHECK(access(path, F_OK) < 0);
}

/* Its owner is about to listen. */
static void test_bound_only(void)
{
	int fd = bound_socket(SOCK_STREAM, false);

	CHECK_EQ(open_in_child(NULL), 99);
	CHECK_HAS(error.text, "another process uses it");
	CHECK(access(path, F_OK) == 0);
	close(fd);
	CHECK(unlink(path) == 0);
}

/* A live one stays, however busy it is. */
static void test_live(void)
{
	struct sockaddr_un address = address_of(path);
	int fd = bound_socket(SOCK_STREAM, true), clients[8];

	CHECK_EQ(open_in_child(NULL), 99);
	CHECK_HAS(error.text, "another process uses it");
	for (unsigned i = 0; i < 8; i++) { /* the backlog overflows */
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(clients[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			CHECK_EQ(errno, EAGAIN);
	}
	CHECK_EQ(open_in_child(NULL), 99);
	CHECK_HAS(error.text, "another process uses it");
	CHECK(access(path, F_OK) == 0);
	for (unsigned i = 0; i < 8; i++)
		close(clients[i]);
	close(fd);
	CHECK(unlink(path) == 0);
	fd = bound_socket(SOCK_DGRAM, false); /* of another kind, but in use */
	CHECK_EQ(open_in_child(NULL), 99);
	CHECK(access(path, F_OK) == 0);
	close(fd);
	CHECK(unlink(path) == 0);
}

static void test_no_socket(void)
{
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	close(fd);
	CHECK_EQ(open_in_child(NULL), 99);
	CHECK_HAS(error.text, "no socket");
	CHECK(unlink(path) == 0);
	CHECK(symlink("/nowhere", path) == 0);
	CHECK_EQ(open_in_child(NULL), 99);
	CHECK_HAS(error.text, "no socket");
	CHECK(unlink(path) == 0);
	CHECK(mkdir(path, 0700) == 0);
	CHECK_EQ(open_in_child(NULL), 99);
	CHECK(rmdir(path) == 0);
}

static void replace_it(void)
{
	CHECK(unlink(path) == 0);
	close(bound_socket(SOCK_STREAM, true));
}

/* At the end only what is still its own is removed. */
static void test_replaced_meanwhile(void)
{
	int other = -1;

	CHECK_EQ(open_in_child(replace_it), 0);
	/* The inode's number may be used again; then the path is taken for its own. */
	if (access(path, F_OK) == 0)
		CHECK(unlink(path) == 0);
	(void)other;
}

static void test_bad_paths(void)
{
	struct listen_socket listener;
	char longest[200];

	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	CHECK(!listen_socket_open(&listener, longest, &error));
	CHECK_HAS(error.text, "longer than 107 bytes");
	snprintf(longest, sizeof(longest), "%s/none/socket", dir);
	CHECK(!listen_socket_open(&listener, longest, &error));
	CHECK_HAS(error.text, strerror(ENOENT));
}

static void check_not_adopted(int fd)
{
	struct listen_socket listener;

	error.text[0] = '\0';
	CHECK(!listen_socket_adopt(&listener, fd, &error));
	CHECK(error.text[0] != '\0');
	close(fd);
}

static void test_adopt(void)
{
	struct listen_socket listener;
	int fd = bound_socket(SOCK_STREAM, true), ends[2];

	CHECK(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, 0) == 0);
	CHECK(listen_socket_adopt(&listener, fd, &error));
	CHECK_EQ(listener.fd, fd);
	CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK); /* others share them */
	close(fd);
	CHECK(unlink(path) == 0);
	check_not_adopted(bound_socket(SOCK_STREAM, false));
	CHECK(unlink(path) == 0);
	check_not_adopted(bound_socket(SOCK_SEQPACKET, true));
	CHECK(unlink(path) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	check_not_adopted(ends[0]);
	check_not_adopted(ends[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(listen(fd, 1) == 0);
	check_not_adopted(fd);
	check_not_adopted(open("/dev/null", O_RDWR));
	check_not_adopted(1000000);
}

int main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/socket", dir);
	RUN(test_new);
	RUN(test_descriptors);
	RUN(test_stale);
	RUN(test_bound_only);
	RUN(test_live);
	RUN(test_no_socket);
	RUN(test_replaced_meanwhile);
	RUN(test_bad_paths);
	RUN(test_adopt);
	CHECK(rmdir(dir) == 0);
	return 0;
}
