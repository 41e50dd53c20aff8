/* SPDX-License-Identifier: MIT */
/*
 * vsock: the guest's command for its vsock.
 *
 *   vsock listen PORT COMMAND [ARG...]   runs COMMAND for each connection to PORT, which is its stdin
 *                                        and stdout
 *   vsock connect PORT                   sends its stdin to the host's program for PORT (the socket
 *                                        PATH_PORT there) and prints what that sends, until it ends
 *
 * Exit status: 0, 1 if the connection or the listening failed, 2 for a wrong command line.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define BACKLOG    128
#define COPY_BYTES 65536

static int failed(const char *what)
{
	fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
	return 1;
}

static int usage(void)
{
	fputs("usage: vsock listen PORT COMMAND [ARG...] | vsock connect PORT\n", stderr);
	return 2;
}

static bool parse_port(const char *text, uint32_t *port)
{
	char *end;

	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	*port = (uint32_t)number;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 &&
	       number < VMADDR_PORT_ANY;
}

static int run_command(int connection, char **command)
{
	signal(SIGPIPE, SIG_DFL);
	dup2(connection, STDIN_FILENO);
	dup2(connection, STDOUT_FILENO);
	execvp(command[0], command);
	failed(command[0]);
	return errno == ENOENT ? 127 : 126;
}

static int listen_forever(uint32_t port, char **command)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK,
				       .svm_port = port,
				       .svm_cid = VMADDR_CID_ANY };
	int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		return failed("socket");
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return failed("bind");
	if (listen(listener, BACKLOG) < 0)
		return failed("listen");
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (connection < 0 && errno != EINTR && errno != ECONNABORTED)
			return failed("accept");
		if (connection < 0)
			continue;
		pid_t pid = fork();
		if (pid == 0)
			_exit(run_command(connection, command));
		if (pid < 0)
			failed("fork");
		close(connection);
	}
}

/* Copies until the end of FROM. False: an error, said with WHAT unless NULL. */
static bool copy(int from, int to, const char *what)
{
	static char buffer[COPY_BYTES];
	ssize_t length;

	while ((length = read(from, buffer, sizeof(buffer))) > 0) {
		for (ssize_t done = 0, n; done < length; done += n) {
			n = write(to, buffer + done, (size_t)(length - done));
			if (n < 0) {
				if (what != NULL)
					failed(what);
				return false;
			}
		}
	}
	if (length < 0 && what != NULL)
		failed(what);
	return length == 0;
}

static int connect_to_host(uint32_t port)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK,
				       .svm_port = port,
				       .svm_cid = VMADDR_CID_HOST };
	int connection = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connection < 0)
		return failed("socket");
	if (connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
		return failed("connect");
	pid_t sender = fork();
	if (sender < 0)
		return failed("fork");
	if (sender == 0) {
		/* An error shows in the other direction, too. */
		copy(STDIN_FILENO, connection, NULL);
		shutdown(connection, SHUT_WR);
		_exit(0);
	}
	bool copied = copy(connection, STDOUT_FILENO, "connection");
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	return copied ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint32_t port;

	if (argc < 3 || !parse_port(argv[2], &port))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[1], "listen") == 0 && argc > 3)
		return listen_forever(port, argv + 3);
	if (strcmp(argv[1], "connect") == 0 && argc == 3)
		return connect_to_host(port);
	return usage();
}
