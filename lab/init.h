/* SPDX-License-Identifier: MIT */
/* The lab's init, inside the emulated machine: init.c brings the machine up, init_job.c runs the command. */
#ifndef LAB_INIT_H
#define LAB_INIT_H

struct init_job {
	char **argv;
	char **envp;
	char *directory;
	char **writable;
	char **copies;
	char *modules;
	char *clock;
	char *terminal; /* "rows columns", or NULL without a terminal */
	int err_apart;
	int no_input;
};

/* Ends the lab with one line for its user, "lab: ...: strerror(errno)". Callable once the ports are open. */
_Noreturn void init_fail(const char *doing, const char *what);

/* Splits a JOB frame; the strings stay where they are. Never fails but by init_fail. */
void init_job_parse(struct init_job *job, char *data, unsigned int bytes);

/* Runs the command, moves its streams, returns its exit status as a shell counts it (126, 127, 128 + signal). */
int init_job_run(const struct init_job *job, const int port_fd[]);

#endif
