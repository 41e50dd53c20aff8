/* SPDX-License-Identifier: MIT */
/*
 * reaper SECONDS COMMAND...: runs a test so that nothing of it outlives it. Every process that the command
 * starts is a descendant of this one, as a child subreaper even after its parent's end; what is left when the
 * command has ended, when its time is over or when a signal ends the run is killed, and named on stderr.
 *
 * Exit status: the command's, 128+N after its signal N; 124 after the time limit (SIGTERM, 5 s later SIGKILL);
 * 128+N when signal N ended the reaper itself.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_SECONDS 5
#define TIME_LIMIT    124
#define EXIT_OWN      125
#define PAUSE_MS      10
#define ROUNDS_GRACE  20
#define ROUNDS_MAX    1000

/* Reads a process's name and its parent. 0, or -1 if it is gone. */
static int process_look(const char *pid, char name[64], int *parent)
{
	char path[64];
	FILE *file;
	int fields;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	fields = fscanf(file, "%*d (%63[^)]%*[^ ] %*c %d", name, parent);
	fclose(file);
	return fields == 2 ? 0 : -1;
}

/* Kills our children; theirs become ours. A zombie is no child that was left: it is only waited for. */
static void children_kill(int quiet)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		char name[64];
		int parent;
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || process_look(entry->d_name, name, &parent) || parent != getpid() ||
		    waitpid(pid, NULL, WNOHANG) == pid)
			continue;
		if (!quiet)
			fprintf(stderr, "reaper: left behind: %s (%d)\n", name, pid);
		kill(pid, SIGKILL);
	}
	if (processes)
		closedir(processes);
}

static int children_reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid == 0; /* some are left */
}

/* Processes that are about to end get a moment. Bounded, because a process that waits for hung storage cannot
 * be killed. */
static void all_kill(int quiet)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	for (int round = 0; round < ROUNDS_MAX; round++) {
		if (!children_reap())
			return;
		if (quiet || round >= ROUNDS_GRACE)
			children_kill(quiet || round > ROUNDS_GRACE);
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "reaper: a process does not end\n");
}

/* Whoever starts the tests from a script, in the background, has SIGINT and SIGQUIT ignored, and so would all that they
 * start. */
static void signals_default(void)
{
	sigset_t none;

	for (int number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static pid_t command_start(char **argv)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	if (pid < 0) {
		perror("reaper: fork");
		exit(EXIT_OWN);
	}
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_OWN);
	signals_default();
	execvp(argv[0], argv);
	fprintf(stderr, "reaper: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Returns the command's status as a shell counts it, or -1 if it still runs. Reaps orphans. */
static int command_status(pid_t command)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return -1;
}

int main(int argc, char **argv)
{
	const unsigned int limit_s = argc > 2 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;
	sigset_t handled;
	int status, number, late = 0;
	pid_t command;

	if (limit_s == 0) {
		fprintf(stderr, "usage: reaper SECONDS COMMAND...\n");
		return EXIT_OWN;
	}
	sigemptyset(&handled);
	sigaddset(&handled, SIGCHLD);
	sigaddset(&handled, SIGALRM);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGHUP);
	sigprocmask(SIG_BLOCK, &handled, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	command = command_start(argv + 2);
	alarm(limit_s);
	while ((status = command_status(command)) < 0) {
		if (sigwait(&handled, &number) != 0 || number == SIGCHLD)
			continue;
		if (number != SIGALRM || late) {
			all_kill(1);
			return number == SIGALRM ? TIME_LIMIT : 128 + number;
		}
		late = 1;
		kill(command, SIGTERM);
		alarm(GRACE_SECONDS);
	}
	all_kill(0);
	return late ? TIME_LIMIT : status;
}
