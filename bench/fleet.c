/* SPDX-License-Identifier: MIT */
/*
 * fleet: starts VMs, one after the other, leaves them running, and tells what they cost; then ends them, each by its
 * process id.
 *
 *   fleet [--ready TEXT] [--ram-mib N] [--settle-ms N] [--order-api SOCKET FILE] --at N[,N...] -- COMMAND [ARG...]
 *
 * "{}" in an ARG is replaced by the VM's number, from 0. With --order-api COMMAND is a Firecracker whose API is at SOCKET and that shall
 * load the snapshot that the JSON object in FILE describes; "{}" is replaced there, too. The next VM starts when this one has written TEXT to its
 * standard output. At each N of --at, so many VMs are running, and these lines are printed, fields between tabs:
 *   start N US          once for each VM since the N before: from just before its fork to TEXT
 *   private N KIB       for each VM that runs: what its process has written (process_memory.h), without the guest's RAM
 *   resident N KIB      its Rss, without the guest's RAM
 *   ram N KIB           Rss of the guest's RAM
 *   host N KIB          once: by how much MemAvailable has fallen since the first VM, for each VM
 * The guest's RAM is the one mapping of N MiB. Everything else of smaps counts.
 * Exit status: 0 if all went well; what did not is said on stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/order.h"
#include "bench/process_memory.h"

#define MAX_VMS     4096
#define MAX_STEPS   16
#define MAX_ARGS    64
#define START_MS    20000 /* for one VM to be ready */
#define END_MS      60000 /* for all of them to end after SIGTERM */
#define OUTPUT_SIZE 1024

struct vm {
	pid_t pid;
	int out_fd;
	int64_t start_us;
};

static struct fleet {
	const char *ready;
	uint64_t ram_bytes;
	unsigned settle_ms;
	unsigned steps[MAX_STEPS], n_steps;
	char *order_socket, *order_file; /* NULL: none */
	char **command;
	struct rlimit files; /* as it was, for the VMs */
	struct vm vms[MAX_VMS];
	unsigned n_vms;
} fleet = { .ready = "@", .ram_bytes = 128ull << 20, .settle_ms = 300 };

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* The VMs do not outlive us: run_command asks for that. */
static void die(const char *what)
{
	fprintf(stderr, "fleet: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(1);
}

/* `text` with its first "{}" replaced by a number. Never freed: a child is about to exec, or there are few of them. */
static char *numbered(char *text, unsigned number)
{
	char *braces = strstr(text, "{}"), *result;

	if (braces == NULL)
		return text;
	if (asprintf(&result, "%.*s%u%s", (int)(braces - text), text, number, braces + 2) < 0)
		_exit(126);
	return result;
}

/* The connection stays open: a request whose client has gone may be dropped. */
static void send_order(const struct vm *vm, unsigned number)
{
	char request[ORDER_BYTES];
	size_t length = order_read_request(request, numbered(fleet.order_file, number));
	int fd = length == 0 ? -1 : order_connect(numbered(fleet.order_socket, number), vm->pid);

	if (fd < 0 || !order_send(fd, request, length))
		die("a VM does not take its order");
}

static void run_command(unsigned number, int out_fd, pid_t parent)
{
	char *argv[MAX_ARGS + 1] = { NULL };
	int null_fd = open("/dev/null", O_RDONLY);

	for (unsigned i = 0; fleet.command[i] != NULL; i++)
		argv[i] = numbered(fleet.command[i], number);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || null_fd < 0 ||
	    dup2(null_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &fleet.files) < 0)
		_exit(126);
	execvp(argv[0], argv);
	fprintf(stderr, "fleet: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Until the VM has written the text that says that it runs. */
static void wait_until_ready(const struct vm *vm, int64_t since_us)
{
	char output[OUTPUT_SIZE + 1] = "";
	size_t used = 0;

	while (strstr(output, fleet.ready) == NULL) {
		struct pollfd polled = { .fd = vm->out_fd, .events = POLLIN };
		int64_t left_ms = START_MS - (now_us() - since_us) / 1000;
		errno = 0;
		if (left_ms <= 0 || poll(&polled, 1, (int)left_ms) <= 0)
			die("a VM is not ready within 20 s");
		ssize_t n = read(vm->out_fd, output + used, OUTPUT_SIZE - used);
		if (n <= 0)
			die("a VM has ended, or says other things than that it is ready");
		used += (size_t)n;
		output[used] = '\0';
	}
}

static void start_vm(void)
{
	struct vm *vm = &fleet.vms[fleet.n_vms];
	pid_t parent = getpid();
	int out_pipe[2];

	if (pipe2(out_pipe, O_CLOEXEC) < 0)
		die("pipe");
	int64_t since_us = now_us();
	vm->pid = fork();
	if (vm->pid < 0)
		die("fork");
	if (vm->pid == 0)
		run_command(fleet.n_vms, out_pipe[1], parent);
	close(out_pipe[1]);
	vm->out_fd = out_pipe[0];
	if (fleet.order_file != NULL)
		send_order(vm, fleet.n_vms);
	fleet.n_vms++;
	wait_until_ready(vm, since_us);
	vm->start_us = now_us() - since_us;
}

static struct process_memory memory_of(pid_t pid)
{
	struct process_memory memory;

	if (!process_memory_read(pid, fleet.ram_bytes, &memory))
		die("smaps");
	errno = 0;
	if (memory.n_rams != 1)
		die("a VM has not one mapping of the size of its RAM");
	return memory;
}

static int64_t available_kib(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char line[128];
	int64_t kib = -1;

	if (meminfo == NULL)
		die("/proc/meminfo");
	while (kib < 0 && fgets(line, sizeof(line), meminfo) != NULL)
		if (sscanf(line, "MemAvailable: %" SCNd64, &kib) != 1)
			kib = -1;
	fclose(meminfo);
	return kib;
}

/* Prints what the VMs that run now cost; those from `first` on are new. */
static void measure(unsigned first, int64_t available_before_kib)
{
	unsigned n = fleet.n_vms;

	usleep(fleet.settle_ms * 1000);
	for (unsigned i = first; i < n; i++)
		printf("start\t%u\t%" PRId64 "\n", n, fleet.vms[i].start_us);
	for (unsigned i = 0; i < n; i++) {
		errno = 0;
		if (waitpid(fleet.vms[i].pid, NULL, WNOHANG) != 0)
			die("a VM has ended");
		struct process_memory memory = memory_of(fleet.vms[i].pid);
		printf("private\t%u\t%" PRIu64 "\n", n, memory.private_kib);
		printf("resident\t%u\t%" PRIu64 "\n", n, memory.resident_kib);
		printf("ram\t%u\t%" PRIu64 "\n", n, memory.ram_kib);
	}
	printf("host\t%u\t%" PRId64 "\n", n, (available_before_kib - available_kib()) / n);
	fflush(stdout);
}

/* All at once, because most of an end is the host kernel's waiting. */
static void end_vms(void)
{
	int64_t since_us = now_us();

	for (unsigned i = 0; i < fleet.n_vms; i++)
		kill(fleet.vms[i].pid, SIGTERM);
	for (unsigned i = 0; i < fleet.n_vms; i++) {
		while (waitpid(fleet.vms[i].pid, NULL, WNOHANG) == 0) {
			errno = 0;
			if (now_us() - since_us > END_MS * INT64_C(1000))
				die("a VM did not end within 60 s of SIGTERM");
			usleep(1000);
		}
	}
}

/* "1,10,100": rising. */
static bool parse_steps(char *text)
{
	unsigned last = 0;

	for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
		unsigned long n = strtoul(word, NULL, 10);
		if (n <= last || n > MAX_VMS || fleet.n_steps == MAX_STEPS)
			return false;
		fleet.steps[fleet.n_steps++] = last = (unsigned)n;
	}
	return fleet.n_steps > 0;
}

static bool parse_arguments(int argc, char **argv)
{
	int i = 1;

	for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
		if (strcmp(argv[i], "--order-api") == 0 && i + 2 < argc)
			fleet.order_socket = argv[i + 1], fleet.order_file = argv[++i + 1];
		else if (strcmp(argv[i], "--ready") == 0)
			fleet.ready = argv[i + 1];
		else if (strcmp(argv[i], "--ram-mib") == 0)
			fleet.ram_bytes = strtoull(argv[i + 1], NULL, 10) << 20;
		else if (strcmp(argv[i], "--settle-ms") == 0)
			fleet.settle_ms = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--at") != 0 || !parse_steps(argv[i + 1]))
			return false;
	}
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0 || argc - i - 1 > MAX_ARGS)
		return false;
	fleet.command = argv + i + 1;
	return fleet.n_steps > 0;
}

int main(int argc, char **argv)
{
	if (!parse_arguments(argc, argv)) {
		fprintf(stderr, "usage: fleet [--ready TEXT] [--ram-mib N] [--settle-ms N] "
				"[--order-api SOCKET FILE] --at N[,N...] -- COMMAND [ARG...]\n");
		return 2;
	}
	/* Each VM's output is a pipe of ours. */
	getrlimit(RLIMIT_NOFILE, &fleet.files);
	struct rlimit all = { fleet.files.rlim_max, fleet.files.rlim_max };
	setrlimit(RLIMIT_NOFILE, &all);
	int64_t before_kib = available_kib();
	for (unsigned step = 0; step < fleet.n_steps; step++) {
		unsigned first = fleet.n_vms;
		while (fleet.n_vms < fleet.steps[step])
			start_vm();
		measure(first, before_kib);
	}
	end_vms();
	return 0;
}
