/* SPDX-License-Identifier: MIT */
/*
 * The lab's host side: host.c (options and the event loop), host_machine.c (the emulator and virtiofsd as
 * children), host_streams.c (the caller's streams, terminal and job).
 */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include <signal.h>
#include <sys/types.h>

#include "wire.h"

struct host_options {
	const char **machine;  /* the emulator's command line */
	const char *modules;   /* directory holding <kernel release>/modules.dep, absolute */
	const char *directory; /* the command's working directory */
	const char **writable; /* NULL-terminated lists, absolute, no symbolic links in writable */
	const char **copies;
	char **argv; /* the command */
	int uarts; /* the machine has UARTs and a job disk in place of virtio ports and a file server */
	int counted;
	unsigned int time_limit_s; /* 0: none */
};

/* Where the emulator finds its descriptors: the script `lab` writes these numbers into its command line. */
enum host_fd {
	HOST_FD_PORTS = 10, /* enum wire_port; with UARTs /proc/self/fd/N names a terminal */
	HOST_FD_FILES = 14, /* the file server; with UARTs the kernel's console */
	HOST_FD_JOB = 15,   /* the job disk */
	HOST_FD_END
};

#define HOST_FDS (HOST_FD_END - HOST_FD_PORTS)

struct host_machine {
	pid_t emulator;
	pid_t file_server; /* 0: none */
	int port_fd[WIRE_PORTS];
	int console_fd; /* kernel console and the children's stderr */
	int display_fd; /* the emulator's terminal, -1: none */
};

/* Which of the caller's streams are what. */
struct host_streams {
	int terminal;  /* stdin and stdout are a terminal */
	int err_apart; /* with terminal: stderr is not one */
	int no_input;
	int port_fd[WIRE_PORTS];
	int event_fd; /* write end of the pipe on which enum host_event bytes reach the event loop */
};

enum host_event {
	HOST_OUT_DONE = 'o',
	HOST_ERR_DONE = 'e',
	HOST_STARTED = 's',
	HOST_ALIVE = 'a',
	HOST_EXIT = 'x',   /* host_streams_status is valid */
	HOST_FAILED = 'f', /* host_streams_failure is valid */
};

/* Starts the emulator and what serves it; they die with this process. `unblocked` is their signal mask. With UARTs the
 * job is in job_fd, which is taken. Exits on errors. */
void host_machine_start(struct host_machine *machine, const struct host_options *options,
			int job_fd, const sigset_t *unblocked);

/* Kills and reaps what is left of both. */
void host_machine_stop(struct host_machine *machine);

/* Looks at the caller's descriptors 0, 1 and 2. */
void host_streams_look(struct host_streams *streams);

/* Starts a thread for each stream. Exits on errors. */
void host_streams_start(struct host_streams *streams, const struct host_options *options);

/* Writes the JOB frame that init otherwise gets on WIRE_CTL. */
void host_streams_write_job(const struct host_streams *streams, const struct host_options *options,
			    int fd);

/* Raw mode of the caller's terminal, when the command has one; restore may be called at any time. */
void host_terminal_raw(const struct host_streams *streams);
void host_terminal_restore(void);

/* Gives the machine an interrupt that means nothing, once its command runs. QEMU's SVM (seen in 7.2) changes the word of what
 * is pending for a processor without the lock under which devices set bits in it, so now and then the timer's interrupt is
 * lost: the local APIC holds it, the processor halts and stays so. The next device's interrupt makes QEMU look again. */
void host_streams_wake(const struct host_streams *streams);

/* Tells the machine the terminal's size. */
void host_terminal_resize(const struct host_streams *streams);

extern int host_streams_status;
extern char *host_streams_failure;

/* One line "lab: ..." on stderr with strerror(errno), exit 125. The terminal is restored first. */
_Noreturn void host_fail(const char *doing, const char *what);

#endif
