/*
 * The lab's host side: host.c (options and the event loop), host_machine.c (QEMU and virtiofsd as
 * children), host_bochs.c (Bochs as a child), host_streams.c (the caller's streams, terminal and job).
 */
#ifndef LAB_HOST_H
#define LAB_HOST_H

#include <signal.h>
#include <sys/types.h>

#include "wire.h"

struct host_options {
	const char *kernel;    /* vmlinux path */
	const char *initrd;    /* initramfs path */
	const char *modules;   /* directory holding <kernel release>/modules.dep, absolute */
	const char *mem;       /* QEMU size, "8G" */
	const char *cpus;      /* decimal */
	const char *qemu;      /* an unpacked QEMU's /usr, NULL: the installed one */
	const char *words;     /* more of the kernel command line, NULL: none */
	const char *directory; /* the command's working directory */
	const char **writable; /* NULL-terminated lists, absolute, no symbolic links in writable */
	const char **copies;
	char **argv; /* the command */
	/* Bochs instead of QEMU, not NULL: the CD it starts from, and its disks as open files. */
	const char *bochs_cd;
	int root_fd, work_fd;
	int counted;
	unsigned int time_limit_s; /* 0: none */
};

struct host_machine {
	pid_t emulator;
	pid_t file_server; /* 0: none */
	int port_fd[WIRE_PORTS];
	int console_fd; /* kernel console and QEMU's and virtiofsd's stderr */
	int display_fd; /* Bochs' terminal, -1: none */
};

#define HOST_ARGUMENTS_MAX 64

struct host_command {
	char *argv[HOST_ARGUMENTS_MAX + 1];
	int count;
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

/* Adds one argument. */
__attribute__((format(printf, 2, 3))) void host_command_add(struct host_command *command,
							    const char *format, ...);

/* Starts a child with stdin, stdout on the terminal if there is one (not -1), else on /dev/null and the
 * console. It keeps only the descriptors named in keep[], ended by -1, and dies with us, however we die. */
pid_t host_command_start(const struct host_command *command, const int *keep, int console_fd,
			 int terminal_fd, const sigset_t *unblocked);

/* Starts QEMU and virtiofsd; they die with this process. `unblocked` is their signal mask. Exits on errors. */
void host_machine_start(struct host_machine *machine, const struct host_options *options,
			const sigset_t *unblocked);

/* Starts Bochs instead, which finds its job in job_fd. Takes the options' and the job's descriptors. */
void host_bochs_start(struct host_machine *machine, const struct host_options *options, int job_fd,
		      const sigset_t *unblocked);

/* Kills what is left of both and reaps it. */
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

/* Tells the machine the terminal's size. */
void host_terminal_resize(const struct host_streams *streams);

extern int host_streams_status;
extern char *host_streams_failure;

/* One line "lab: ..." on stderr with strerror(errno), exit 125. The terminal is restored first. */
_Noreturn void host_fail(const char *doing, const char *what);

#endif
