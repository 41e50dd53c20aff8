#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define ARGUMENTS_MAX 64

#define KERNEL_WORDS "quiet loglevel=1 mitigations=off panic=-1 console=ttyS0"

/* Each saves 0.1 s or more of emulated boot. A counted machine goes without: they would shift its counts. */
#define KERNEL_WORDS_FAST                                                                          \
	"cryptomgr.notests init_on_alloc=0 swiotlb=noforce lpj=10000000 tsc=reliable "             \
	"no_timer_check"

struct command_line {
	const char *argv[ARGUMENTS_MAX + 1];
	int count;
};

static void line_add(struct command_line *line, const char *argument)
{
	if (line->count == ARGUMENTS_MAX)
		abort();
	line->argv[line->count++] = strdup(argument);
}

#define line_addf(line, ...)                                                                       \
	do {                                                                                       \
		char *text_;                                                                       \
		if (asprintf(&text_, __VA_ARGS__) < 0)                                             \
			abort();                                                                   \
		line_add(line, text_);                                                             \
		free(text_);                                                                       \
	} while (0)

/* A child keeps only the descriptors named in keep[] and dies with us, however we die. */
static pid_t child_start(const struct command_line *line, const int *keep, int console_fd,
			 const sigset_t *unblocked)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();
	int null_fd;

	if (pid < 0)
		host_fail("starting", line->argv[0]);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	setpgid(0, 0); /* the terminal's signals are ours to handle */
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	null_fd = open("/dev/null", O_RDWR);
	dup2(null_fd, 0);
	dup2(console_fd, 1);
	dup2(console_fd, 2);
	for (; *keep >= 0; keep++)
		fcntl(*keep, F_SETFD, 0);
	execvp(line->argv[0], (char *const *)line->argv);
	dprintf(2, "%s: %s\n", line->argv[0], strerror(errno));
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
	struct command_line line = { 0 };
	const int keep[] = { listening, -1 };

	line_add(&line, "/usr/lib/qemu/virtiofsd");
	line_addf(&line, "--fd=%d", listening);
	line_add(&line, "-o");
	line_add(&line, "source=/,sandbox=chroot,cache=always,log_level=err");
	return child_start(&line, keep, console_fd, unblocked);
}

static void machine_describe(struct command_line *line, const struct host_options *options)
{
	if (options->qemu) {
		line_addf(line, "%s/bin/qemu-system-x86_64", options->qemu);
		line_add(line, "-L");
		line_addf(line, "%s/share/qemu", options->qemu);
		line_add(line, "-L");
		line_add(line, "/usr/share/seabios");
	} else {
		line_add(line, "qemu-system-x86_64");
	}
	line_add(line, "-nodefaults");
	line_add(line, "-no-user-config");
	line_add(line, "-no-reboot");
	line_add(line, "-display");
	line_add(line, "none");
	line_add(line, "-M");
	line_add(line, "q35,memory-backend=ram");
	line_add(line, "-m");
	line_add(line, options->mem);
	line_add(line, "-object");
	line_addf(line, "memory-backend-memfd,id=ram,size=%s,share=on", options->mem);
	line_add(line, "-smp");
	line_add(line, options->counted ? "1" : options->cpus);
	line_add(line, "-accel");
	line_addf(line, "tcg,thread=%s", options->counted ? "single" : "multi");
	line_add(line, "-cpu");
	line_add(line, options->counted ? "max,erms=off,fsrm=off" : "max");
	if (options->counted) {
		line_add(line, "-icount");
		line_add(line, "shift=0,sleep=off");
		line_add(line, "-rtc");
		line_add(line, "base=2026-01-01,clock=vm");
	}
	line_add(line, "-kernel");
	line_add(line, options->kernel);
	line_add(line, "-initrd");
	line_add(line, options->initrd);
	line_add(line, "-append");
	line_addf(line, "%s %s %s", KERNEL_WORDS, options->counted ? "" : KERNEL_WORDS_FAST,
		  options->words ? options->words : "");
	line_add(line, "-serial");
	line_add(line, "stdio");
}

static void ports_describe(struct command_line *line, const int *port_fd, int virtiofs_fd)
{
	line_add(line, "-device");
	line_add(line, "virtio-serial-pci");
	for (int i = 0; i < WIRE_PORTS; i++) {
		line_add(line, "-chardev");
		line_addf(line, "socket,id=p%d,fd=%d", i, port_fd[i]);
		line_add(line, "-device");
		line_addf(line, "virtserialport,chardev=p%d,nr=%d", i, i + 1);
	}
	line_add(line, "-chardev");
	line_addf(line, "socket,id=fs,fd=%d", virtiofs_fd);
	line_add(line, "-device");
	line_add(line, "vhost-user-fs-pci,chardev=fs,tag=virtiofs,queue-size=1024");
}

void host_machine_start(struct host_machine *machine, const struct host_options *options,
			const sigset_t *unblocked)
{
	struct command_line line = { 0 };
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
	machine->virtiofsd = virtiofsd_start(listening, console[1], unblocked);
	machine->qemu = child_start(&line, keep, console[1], unblocked);
	for (int i = 0; i <= WIRE_PORTS; i++)
		close(keep[i]);
	close(listening);
	close(console[1]);
	machine->console_fd = console[0];
	fcntl(console[0], F_SETFL, O_NONBLOCK);
}

void host_machine_stop(struct host_machine *machine)
{
	const pid_t children[] = { machine->qemu, machine->virtiofsd };

	for (int i = 0; i < 2; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
}
