/* SPDX-License-Identifier: MIT */
/*
 * init: PID 1 of the guest.
 *
 * Stages, in the order of main(): tell the monitor that userspace is reached,
 * mount what programs expect, run one command (the words after "--" on the
 * kernel command line, or a login shell), and when it ends, or when a signal
 * asks for it, leave nothing unwritten or unprinted and reset the machine:
 * without ACPI a reset is the only way out of the VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "monitor_page.h"

#define GRACE_SECONDS   1
#define ASKED_SECONDS   60 /* whoever asks from outside has a limit of its own */
#define DRAIN_SECONDS   5
#define MOUNTS_MAX      64
#define POWER_BUTTON    38 /* CONFIG_ACPI_TINY_POWER_BUTTON_SIGNAL */
#define SNAPSHOT_SIGNAL 40
#define EXIT_PORT       0xf4
static void mount_kernel_filesystems(void)
{
	static const struct {
		const char *type, *dir, *data;
		unsigned long flags;
	} table[] = {
		{ "proc", "/proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "sysfs", "/sys", "", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "cgroup2", "/sys/fs/cgroup", "", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC },
		{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV },
		{ "tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV },
		{ "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		mkdir(table[i].dir, 0755);
		if (mount(table[i].type, table[i].dir, table[i].type, table[i].flags,
			  table[i].data) < 0 &&
		    errno != EBUSY)
			printf("init: mount %s: %s\n", table[i].dir, strerror(errno));
	}
}

/* Makes /dev/console this process's stdin, stdout and stderr; /dev/null if there is no console. */
static void console_open(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	for (int std = 0; fd >= 0 && std <= 2; std++)
		dup2(fd, std);
	if (fd > 2)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

/* Returns the file's text without its last newline in a static buffer, "" if it cannot be read. */
static char *file_read(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[length < 0 ? 0 : length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/*
 * Returns how many words follow "--" on the kernel command line, whose quotes
 * hold words together. The kernel passes these last, after every word of the
 * line that it did not know itself: those are not meant for init.
 */
static int command_words(const char *line)
{
	bool quoted = false, found = false;
	int words = 0;

	for (line += strspn(line, " "); *line; line += strspn(line, " ")) {
		const char *start = line;
		for (; *line && (quoted || *line != ' '); line++)
			quoted ^= *line == '"';
		bool dashes = line - start == 2 && strncmp(start, "--", 2) == 0;
		if (found && dashes)
			break;
		words += found;
		found |= dashes;
	}
	return words;
}

/*
 * Makes the console the controlling terminal of init's own session. Were the command the leader, the kernel
 * would hang its terminal up when it ends, and throw away what had not been printed by then.
 */
static void session_start(void)
{
	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 1);
	signal(SIGTTOU, SIG_IGN); /* from now on another group is in front */
}

/* Starts ARGV as the process group in front. */
static pid_t command_start(char **argv)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;

	sigset_t none;
	sigemptyset(&none);
	setpgid(0, 0);
	tcsetpgrp(STDIN_FILENO, getpid());
	signal(SIGTTOU, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	printf("init: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Reports on the console how NAME ended, if not with status 0. */
static void command_report(const char *name, int status)
{
	if (WIFSIGNALED(status))
		printf("init: %s: signal %d\n", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		printf("init: %s: exit status %d\n", name, WEXITSTATUS(status));
}

/* The monitor asks for the end by the console's ring indicator, as by the power button where there is ACPI. */
static void *ring_wait(void *unused)
{
	while (ioctl(STDIN_FILENO, TIOCMIWAIT, TIOCM_RNG) == 0)
		kill(getpid(), POWER_BUTTON);
	return unused;
}

/*
 * Reaps every orphan until the command ends (its status is reported) or a
 * signal of SET other than SIGCHLD and SNAPSHOT_SIGNAL asks for the end. Returns the command's
 * status as a shell tells it, or -1, and in *ASKED whether it came from outside.
 */
static int command_wait(pid_t command, const char *name, const sigset_t *set, bool *asked)
{
	for (;;) {
		int status;
		pid_t pid;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == command) {
				command_report(name, status);
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
							   : WEXITSTATUS(status);
			}
		}
		int number;
		if (sigwait(set, &number) != 0 || number == SIGCHLD)
			continue;
		if (number == SNAPSHOT_SIGNAL) {
			snapshot_take();
		} else {
			*asked = number == POWER_BUTTON;
			return -1;
		}
	}
}

/*
 * Ends all other processes: asks first (SIGHUP is for interactive shells), and
 * kills what is left after the grace time. All of them are our descendants.
 */
static void processes_end(const sigset_t *set, unsigned seconds)
{
	int number = SIGCHLD;

	kill(-1, SIGTERM);
	kill(-1, SIGHUP);
	kill(-1, SIGCONT);
	alarm(seconds);
	while (number != SIGALRM) {
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return;
		sigwait(set, &number);
	}
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* Unmounts everything, youngest first; what is busy, the root at least, becomes read-only. */
static void filesystems_end(void)
{
	char *dirs[MOUNTS_MAX];
	int count = 0;
	FILE *mounts = setmntent("/proc/mounts", "re");

	for (struct mntent *entry; mounts && count < MOUNTS_MAX && (entry = getmntent(mounts));)
		dirs[count++] = strdup(entry->mnt_dir);
	sync();
	if (mounts)
		endmntent(mounts);
	while (count-- > 0) {
		if (umount2(dirs[count], 0) < 0)
			mount(NULL, dirs[count], NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	sync();
}

static void alarm_handle(int number)
{
	(void)number;
}

/*
 * Waits until the console has taken everything that was printed: with more than one CPU the interrupt that
 * prints it may be served on another one while this one resets the machine. A console that takes nothing, for
 * five seconds and after a Ctrl-s has been undone, does not hold the end up.
 */
static void console_drain(void)
{
	const struct sigaction action = { .sa_handler = alarm_handle };
	sigset_t alarm_only;

	tcflow(STDOUT_FILENO, TCOON);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	alarm(DRAIN_SECONDS);
	tcdrain(STDOUT_FILENO);
	alarm(0);
}

int main(int argc, char **argv)
{
	static char *shell[] = { "/bin/sh", "-l", NULL };
	static const int wanted[] = { SIGALRM, SIGCHLD, SIGTERM,      SIGINT,
				      SIGUSR1, SIGUSR2, POWER_BUTTON, SNAPSHOT_SIGNAL };
	sigset_t set;

	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
	boot_timer_fire();

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (chdir("/") == 0)
		console_open();
	session_start();
	mount_kernel_filesystems();
	loopback_up();
	const char *hostname = file_read("/etc/hostname");
	if (*hostname)
		sethostname(hostname, strlen(hostname));
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "vt100", 0);

	pthread_t waiter;
	pthread_create(&waiter, NULL, ring_wait, NULL);
	int words = command_words(file_read("/proc/cmdline"));
	char **command = words > 0 && words < argc ? argv + argc - words : shell;
	bool asked = false;
	int status = -1;
	if (getenv("snapshot"))
		snapshot_take();
	pid_t pid = command_start(command);
	if (pid > 0)
		status = command_wait(pid, command[0], &set, &asked);
	else
		printf("init: fork: %s\n", strerror(errno));

	processes_end(&set, asked ? ASKED_SECONDS : GRACE_SECONDS);
	filesystems_end();
	console_drain();
	/* The monitor ends with the status of the command. Other monitors know no such port. */
	if (status >= 0 && ioperm(EXIT_PORT, 1, 1) == 0)
		outb((unsigned char)status, EXIT_PORT);
	reboot(RB_AUTOBOOT);
	return 1;
}
