#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "host.h"

/* Bochs' memory; what a disk's size must be a multiple of: 16 heads of 63 sectors. */
#define MEMORY_MIB     2048
#define CYLINDER_BYTES (16 * 63 * 512)

/* Its four UARTs: three ports and the kernel's console. The first of them shares its interrupt with the third. */
#define UARTS 4

static const char *const settings = /* */
	"display_library: term\n"
	"cpu: model=corei7_skylake_x, count=1, ips=100000000, ignore_bad_msrs=1\n"
	"romimage: file=/usr/share/bochs/BIOS-bochs-latest\n"
	"vgaromimage: file=/usr/share/vgabios/vgabios.bin\n"
	"clock: sync=none, time0=utc\n"
	"panic: action=fatal\n"
	"error: action=ignore\n"
	"info: action=ignore\n"
	"debug: action=ignore\n"
	"log: /dev/null\n"
	"speaker: enabled=0\n"
	"plugin_ctrl: speaker=false\n"
	"ata0: enabled=1\n"
	"ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\n"
	"boot: cdrom\n";

static int memory_file(const char *name)
{
	int fd = memfd_create(name, 0);

	if (fd < 0)
		host_fail("making", name);
	return fd;
}

static void pad_to_cylinder(int fd)
{
	off_t bytes = lseek(fd, 0, SEEK_END);

	bytes = (bytes + CYLINDER_BYTES - 1) / CYLINDER_BYTES * CYLINDER_BYTES;
	if (bytes < 0 || ftruncate(fd, bytes) < 0)
		host_fail("sizing", "a disk");
}

/* A terminal that moves bytes as they are. Its slave, *slave, stays open: without one the master reads an error. */
static int terminal_open(int *slave)
{
	const struct winsize size = { .ws_row = 25, .ws_col = 80 };
	struct termios raw = { 0 };
	int master;

	cfmakeraw(&raw);
	if (openpty(&master, slave, NULL, &raw, &size) < 0)
		host_fail("opening", "a terminal for Bochs");
	fcntl(*slave, F_SETFD, FD_CLOEXEC);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	return master;
}

static int settings_write(struct host_machine *machine, const struct host_options *options,
			  int job_fd)
{
	static const int ports[] = { WIRE_CTL, WIRE_OUT, WIRE_ERR }; /* as init has them */
	int fd = memory_file("bochsrc");
	char name[64];

	dprintf(fd, "%smemory: guest=%d, host=%d\n", settings, MEMORY_MIB, MEMORY_MIB);
	dprintf(fd, "ata0-master: type=disk, mode=flat, path=\"/proc/self/fd/%d\"\n",
		options->root_fd);
	dprintf(fd, "ata0-slave: type=disk, mode=flat, path=\"/proc/self/fd/%d\"\n",
		options->work_fd);
	dprintf(fd, "ata1-master: type=cdrom, path=\"%s\", status=inserted\n", options->bochs_cd);
	dprintf(fd, "ata1-slave: type=disk, mode=flat, path=\"/proc/self/fd/%d\"\n", job_fd);
	for (int i = 0; i < UARTS; i++) {
		int slave, master = terminal_open(&slave);

		if (ttyname_r(slave, name, sizeof(name)) != 0)
			host_fail("naming", "a terminal for Bochs");
		dprintf(fd, "com%d: enabled=1, mode=term, dev=%s\n", i + 1, name);
		if (i == UARTS - 1)
			machine->console_fd = master;
		else
			machine->port_fd[ports[i]] = master;
	}
	return fd;
}

void host_bochs_start(struct host_machine *machine, const struct host_options *options, int job_fd,
		      const sigset_t *unblocked)
{
	struct host_command line = { 0 };
	int go_fd = memory_file("debugger commands");
	int rc_fd = settings_write(machine, options, job_fd);
	const int keep[] = { options->root_fd, options->work_fd, job_fd, go_fd, rc_fd, -1 };
	int terminal;

	pad_to_cylinder(job_fd);
	dprintf(go_fd, "c\n");
	machine->port_fd[WIRE_IN] = open("/dev/null", O_RDWR | O_CLOEXEC);
	machine->display_fd = terminal_open(&terminal);
	setenv("TERM", "xterm", 1);
	host_command_add(&line, "bochs-bin");
	host_command_add(&line, "-q");
	host_command_add(&line, "-f");
	host_command_add(&line, "/proc/self/fd/%d", rc_fd);
	host_command_add(&line, "-rc");
	host_command_add(&line, "/proc/self/fd/%d", go_fd);
	machine->emulator = host_command_start(&line, keep, terminal, terminal, unblocked);
	for (int i = 0; keep[i] >= 0; i++)
		close(keep[i]);
	fcntl(machine->console_fd, F_SETFL, O_NONBLOCK);
	fcntl(machine->display_fd, F_SETFL, O_NONBLOCK);
}
