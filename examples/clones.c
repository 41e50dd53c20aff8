/* SPDX-License-Identifier: MIT */
/*
 * Starts clones of a snapshot, all of which wait for their order, and lets them go at once. docs/snapshot.md is all that it knows of vmm.
 *
 *   clones VMM SNAPSHOT COUNT [OPTION ...]     the options are those of the devices (cc -O2 -o clones clones.c)
 *
 * Each is told its name, clone-NUMBER (docs/guest.md, "Clones of a snapshot"). Prints a line for each: its number, its exit status, and the
 * first line that it has printed. Exit status 0 if all exited with 0. Each clone needs two descriptors here (ulimit -n).
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLONES  1000
#define MAX_OPTIONS 64

static struct clone {
	pid_t pid;
	int order_fd, output_fd;
} clones[MAX_CLONES];

/* The descriptors of a child: 10 the snapshot, 11 its order. */
static void start(struct clone *clone, const char *program, char **options)
{
	char *args[MAX_OPTIONS + 4] = { "vmm", "--restore=fd=10", "--start-fd=11" };
	int order[2], output[2];

	for (int i = 0; i < MAX_OPTIONS && options[i] != NULL; i++)
		args[i + 3] = options[i];
	if (pipe2(order, O_CLOEXEC) || pipe2(output, O_CLOEXEC) || (clone->pid = fork()) < 0)
		err(1, "two pipes and a process");
	if (clone->pid == 0) {
		dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		dup2(order[0], 11);
		execv(program, args);
		err(127, "%s", program);
	}
	close(order[0]);
	close(output[1]); /* or its end would never come */
	clone->order_fd = order[1];
	clone->output_fd = output[0];
}

static int finish(const struct clone *clone)
{
	FILE *output = fdopen(clone->output_fd, "r");
	char line[4096] = "", rest[4096];
	int status;

	if (fgets(line, sizeof(line), output) == NULL)
		line[0] = '\0';
	while (fread(rest, 1, sizeof(rest), output) > 0)
		; /* a full pipe would hold the guest */
	fclose(output);
	waitpid(clone->pid, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	printf("%td exited %d: %.*s\n", clone - clones, status, (int)strcspn(line, "\n"), line);
	return status;
}

int main(int argc, char **argv)
{
	int n = argc < 4 ? 0 : atoi(argv[3]), failed = 0;
	const int fd = argc < 4 ? -1 : open(argv[2], O_RDONLY);

	if (n < 1 || n > MAX_CLONES || argc > MAX_OPTIONS + 4)
		errx(1, "usage: clones VMM SNAPSHOT COUNT [OPTION ...]");
	/* Both numbers are taken: no pipe gets them. */
	if (fd < 0 || dup2(fd, 10) < 0 || dup2(10, 11) < 0)
		err(1, "%s", argv[2]);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < n; i++)
		start(&clones[i], argv[1], argv + 4);
	for (int i = 0; i < n; i++) {
		dprintf(clones[i].order_fd, "go text=clone-%d\n", i);
		close(clones[i].order_fd);
	}
	for (int i = 0; i < n; i++)
		failed |= finish(&clones[i]);
	return failed != 0;
}
