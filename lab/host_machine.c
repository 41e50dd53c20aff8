#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define KERNEL_WORDS "quiet loglevel=1 mitigations=off panic=-1 console=ttyS0"

/* Each saves 0.1 s or more of emulated boot. A counted machine goes without: they would shift its counts. */
#define KERNEL_WORDS_FAST                                                                          \
	"cryptomgr.notests init_on_alloc=0 swiotlb=noforce lpj=10000000 tsc=reliable "             \
	"no_timer_check"

void host_command_add(struct host_command *command, const char *format, ...)
{
	va_list values;
	char *text;

	va_start(values, format);
	if (command->count == HOST_ARGUMENTS_MAX || vasprintf(&text, format, values) < 0)
		abort();
	va_end(values);
	command->argv[command->count++] = text;
}

/* The terminal's signals are ours to handle: a child gets a terminal of its own, or none. */
static void child_leave(int terminal_fd)
{
	if (terminal_fd < 0) {
		setpgid(0, 0);
		return;
	}
	setsid();
	ioctl(terminal_fd, TIOCSCTTY, 0);
}

pid_t host_command_start(const struct host_command *command, const int *keep, int console_fd,
			 int terminal_fd, const sigset_t *unblocked)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	if (pid < 0)
		host_fail("starting", command->argv[0]);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	child_leave(terminal_fd);
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	dup2(terminal_fd < 0 ? open("/dev/null", O_RDWR) : terminal_fd, 0);
	dup2(terminal_fd < 0 ? console_fd : terminal_fd, 1);
	dup2(console_fd, 2);
	for (; *keep >= 0; keep++)
		fcntl(*keep, F_SETFD, 0);
	execvp(command->argv[0], command->argv);
	dprintf(2, "%s: %s\n", command->argv[0], strerror(errno));
	_exit(125);
}

/* A listening socket for virtiofsd and a connected one for QEMU, with no name in the file system. */
static void sockets_open(int *listening, int *connected)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(address);

	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listening < 0 || *connected < 0 ||
	    bind(*listening, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    listen(*listening, 1) < 0 ||
	    getsockname(*listening, (struct sockaddr *)&address, &bytes) < 0 ||
	    connect(*connected, (struct sockaddr *)&address, bytes) < 0)
		host_fail("opening", "the file server's socket");
}

static pid_t virtiofsd_start(int listening, int console_fd, const sigset_t *unblocked)
{
	struct host_command line = { 0 };
	const int keep[] = { listening, -1 };

	host_command_add(&line, "/usr/lib/qemu/virtiofsd");
	host_command_add(&line, "--fd=%d", listening);
	host_command_add(&line, "-o");
	host_command_add(&line, "source=/,sandbox=chroot,cache=always,log_level=err");
	return host_command_start(&line, keep, console_fd, -1, unblocked);
}

static void machine_describe(struct host_command *line, const struct host_options *options)
{
	if (options->qemu) {
		host_command_add(line, "%s/bin/qemu-system-x86_64", options->qemu);
		host_command_add(line, "-L");
		host_command_add(line, "%s/share/qemu", options->qemu);
		host_command_add(line, "-L");
		host_command_add(line, "/usr/share/seabios");
	} else {
		host_command_add(line, "qemu-system-x86_64");
	}
	host_command_add(line, "-nodefaults");
	host_command_add(line, "-no-user-config");
	host_command_add(line, "-no-reboot");
	host_command_add(line, "-display");
	host_command_add(line, "none");
	host_command_add(line, "-M");
	host_command_add(line, "q35,memory-backend=ram");
	host_command_add(line, "-m");
	host_command_add(line, "%s", options->mem);
	host_command_add(line, "-object");
	host_command_add(line, "memory-backend-memfd,id=ram,size=%s,share=on", options->mem);
	host_command_add(line, "-smp");
	host_command_add(line, "%s", options->counted ? "1" : options->cpus);
	host_command_add(line, "-accel");
	host_command_add(line, "tcg,thread=%s", options->counted ? "single" : "multi");
	host_command_add(line, "-cpu");
	host_command_add(line, options->counted ? "max,erms=off,fsrm=off" : "max");
	if (options->counted) {
		host_command_add(line, "-icount");
		host_command_add(line, "shift=0,sleep=off");
		host_command_add(line, "-rtc");
		host_command_add(line, "base=2026-01-01,clock=vm");
	}
	host_command_add(line, "-kernel");
	host_command_add(line, "%s", options->kernel);
	host_command_add(line, "-initrd");
	host_command_add(line, "%s", options->initrd);
	host_command_add(line, "-append");
	host_command_add(line, "%s %s %s", KERNEL_WORDS, options->counted ? "" : KERNEL_WORDS_FAST,
			 options->words ? options->words : "");
	host_command_add(line, "-serial");
	host_command_add(line, "stdio");
}

static void ports_describe(struct host_command *line, const int *port_fd, int virtiofs_fd)
{
	host_command_add(line, "-device");
	host_command_add(line, "virtio-serial-pci");
	for (int i = 0; i < WIRE_PORTS; i++) {
		host_command_add(line, "-chardev");
		host_command_add(line, "socket,id=p%d,fd=%d", i, port_fd[i]);
		host_command_add(line, "-device");
		host_command_add(line, "virtserialport,chardev=p%d,nr=%d", i, i + 1);
	}
	host_command_add(line, "-chardev");
	host_command_add(line, "socket,id=fs,fd=%d", virtiofs_fd);
	host_command_add(line, "-device");
	host_command_add(line, "vhost-user-fs-pci,chardev=fs,tag=virtiofs,queue-size=1024");
}

void host_machine_start(struct host_machine *machine, const struct host_options *options,
			const sigset_t *unblocked)
{
	struct host_command line = { 0 };
	int keep[WIRE_PORTS + 2];
	int console[2], listening, connected;

	if (pipe2(console, O_CLOEXEC) < 0)
		host_fail("opening", "a pipe");
	sockets_open(&listening, &connected);
	for (int i = 0; i < WIRE_PORTS; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
			host_fail("opening", "a socket pair");
		machine->port_fd[i] = ends[0];
		keep[i] = ends[1];
	}
	keep[WIRE_PORTS] = connected;
	keep[WIRE_PORTS + 1] = -1;
	machine_describe(&line, options);
	ports_describe(&line, keep, connected);
	machine->file_server = virtiofsd_start(listening, console[1], unblocked);
	machine->emulator = host_command_start(&line, keep, console[1], -1, unblocked);
	for (int i = 0; i <= WIRE_PORTS; i++)
		close(keep[i]);
	close(listening);
	close(console[1]);
	machine->console_fd = console[0];
	machine->display_fd = -1;
	fcntl(console[0], F_SETFL, O_NONBLOCK);
}

void host_machine_stop(struct host_machine *machine)
{
	const pid_t children[] = { machine->emulator, machine->file_server };

	for (int i = 0; i < 2; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
}
