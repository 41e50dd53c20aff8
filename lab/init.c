/* SPDX-License-Identifier: MIT */
/*
 * PID 1 of the lab's emulated machine.
 *
 * Theory of operation. The initramfs holds this program and a dozen modules. It loads them (KVM's later, in a
 * second thread), mounts the host's root through virtiofs under an overlay whose upper
 * layer is RAM, lays the writable directories over that from the same virtiofs mount, moves into
 * it and runs one command. When the command has ended and everything it wrote is with the host, it sends
 * the exit status; the host side then ends the machine.
 */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "wire.h"

#define HOST "/host"
#define NEW  "/new"

#define DISK_WAIT_MS 60000
#define TSC_WAIT_MS  5000
#define CLOCKSOURCE  NEW "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define JOB_DISK     "/dev/sdc"

static int port_fd[WIRE_PORTS] = { -1, -1, -1, -1 };
static int from_disks; /* the machine has no virtio devices: disks and UARTs in their place */
static int modules_fd, modules_kvm_fd, clocksource_fd;

/* Opening one of these loads its module by alias. */
static const struct {
	const char *path;
	unsigned int major, minor;
} device_nodes[] = {
	{ NEW "/dev/net/tun", 10, 200 },        { NEW "/dev/fuse", 10, 229 },
	{ NEW "/dev/mapper/control", 10, 236 }, { NEW "/dev/loop-control", 10, 237 },
	{ NEW "/dev/vhost-net", 10, 238 },      { NEW "/dev/vhost-vsock", 10, 241 },
};

_Noreturn void init_fail(const char *doing, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s: %s", doing, what, strerror(errno));
	if (port_fd[WIRE_CTL] >= 0)
		wire_send(port_fd[WIRE_CTL], WIRE_FAILED, text, (uint32_t)strlen(text));
	else
		dprintf(STDERR_FILENO, "lab init: %s\n", text);
	if (port_fd[WIRE_CTL] < 0)
		exit(1); /* the kernel panics, QEMU ends, and the host side shows the line above */
	for (;;)
		pause();
}

static int is_module(const struct dirent *entry)
{
	const size_t length = strlen(entry->d_name);

	return length > 3 && strcmp(entry->d_name + length - 3, ".ko") == 0;
}

/* By name, relative to the directory's descriptor: the other thread may change the root meanwhile. */
static void modules_load(int directory_fd)
{
	struct dirent **entries;
	int count = scandirat(directory_fd, ".", &entries, is_module, alphasort);

	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			init_fail("loading module", name);
		close(fd);
	}
}

/*
 * The kernel measures the TSC twice: in a hurry, and again for a second. KVM keeps the frequency that it finds when it is
 * loaded. If the second measure is higher by more than 250 ppm, which a busy host makes it, KVM takes every guest's TSC for
 * one that is slower than the processor's, cannot scale it, and computes its deadlines from a TSC of 0: no timer fires.
 */
static void tsc_await(void)
{
	char name[32] = "";

	for (int tries = 0; tries < TSC_WAIT_MS; tries++) {
		if (pread(clocksource_fd, name, sizeof(name) - 1, 0) <= 0 ||
		    strncmp(name, "tsc-early", 9) != 0)
			return;
		usleep(1000);
	}
}

static void *modules_load_kvm(void *unused)
{
	tsc_await();
	modules_load(modules_kvm_fd);
	return unused;
}

static void mount_at(const char *type, const char *target, const char *options)
{
	mkdir(target, 0755);
	if (mount(type, target, type, 0, options) < 0)
		init_fail("mounting", target);
}

static void bind_at(const char *source, const char *target)
{
	if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
		init_fail("binding", target);
}

static void directory_create(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
}

/* A disk appears some time after its driver. */
static void disk_await(const char *path)
{
	for (int tries = 0; access(path, F_OK) < 0; tries++) {
		if (tries == DISK_WAIT_MS)
			init_fail("waiting for", path);
		usleep(1000);
	}
}

static void disk_mount(const char *path, const char *target)
{
	disk_await(path);
	mkdir(target, 0755);
	if (mount(path, target, "ext4", MS_RDONLY, NULL) < 0)
		init_fail("mounting", path);
}

static void root_mount(void)
{
	const char *overlay = "lowerdir=" HOST ",upperdir=/ram/upper,workdir=/ram/work";

	if (from_disks) {
		mount_at("devtmpfs", "/dev", NULL);
		disk_mount("/dev/sda", HOST);
		disk_mount("/dev/sdb", "/work");
		overlay = "lowerdir=/work:" HOST ",upperdir=/ram/upper,workdir=/ram/work";
	} else {
		mount_at("virtiofs", HOST, NULL);
	}
	mount_at("tmpfs", "/ram", "size=90%,mode=755");
	mkdir("/ram/upper", 0755);
	mkdir("/ram/work", 0755);
	mount_at("overlay", NEW, overlay);
	mount_at("proc", NEW "/proc", NULL);
	mount_at("sysfs", NEW "/sys", NULL);
	mount_at("devtmpfs", NEW "/dev", NULL);
	mount_at("devpts", NEW "/dev/pts", "gid=5,mode=620,ptmxmode=666");
	mount_at("tmpfs", NEW "/dev/shm", "size=90%,mode=1777");
	mount_at("tmpfs", NEW "/run", "size=90%,mode=755");
	mount_at("tmpfs", NEW JOB_COPY_DIR, "size=90%,mode=755");
	mount("cgroup2", NEW "/sys/fs/cgroup", "cgroup2", 0, NULL);
}

static void devices_create(void)
{
	mkdir(NEW "/dev/net", 0755);
	mkdir(NEW "/dev/mapper", 0755);
	for (size_t i = 0; i < sizeof(device_nodes) / sizeof(device_nodes[0]); i++)
		mknod(device_nodes[i].path, S_IFCHR | 0666,
		      makedev(device_nodes[i].major, device_nodes[i].minor));
	if (symlink("/proc/self/fd", NEW "/dev/fd") ||
	    symlink("/proc/self/fd/0", NEW "/dev/stdin") ||
	    symlink("/proc/self/fd/1", NEW "/dev/stdout") ||
	    symlink("/proc/self/fd/2", NEW "/dev/stderr"))
		init_fail("linking", "/dev/fd");
}

/* The port nodes appear a little after their driver. */
static void ports_open(void)
{
	char path[64];

	for (int i = 0; i < WIRE_PORTS; i++) {
		snprintf(path, sizeof(path), NEW "/dev/vport0p%d", i + 1);
		for (int tries = 0; port_fd[i] < 0 && tries < 5000; tries++) {
			port_fd[i] = open(path, O_RDWR | O_CLOEXEC);
			if (port_fd[i] < 0)
				usleep(1000);
		}
		if (port_fd[i] < 0)
			init_fail("opening", path);
	}
}

/* Three UARTs; there is no input. */
static void uarts_open(void)
{
	static const int ports[] = { WIRE_CTL, WIRE_OUT, WIRE_ERR };
	struct termios raw = { .c_cflag = CS8 | CREAD | CLOCAL };
	char path[64];

	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	raw.c_cc[VMIN] = 1;
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/dev/ttyS%d", i);
		port_fd[ports[i]] = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (port_fd[ports[i]] < 0 || tcsetattr(port_fd[ports[i]], TCSANOW, &raw) < 0)
			init_fail("opening", path);
	}
	port_fd[WIRE_IN] = open("/dev/null", O_RDWR | O_CLOEXEC);
	wire_zero_is_wait = 0;
}

static char *job_receive(struct wire_frame *frame)
{
	char *data;
	int fd = port_fd[WIRE_CTL];

	if (from_disks) {
		disk_await(JOB_DISK);
		fd = open(JOB_DISK, O_RDONLY | O_CLOEXEC);
	} else {
		wire_send(fd, WIRE_HELLO, NULL, 0);
	}
	data = wire_receive(fd, frame);
	if (!data)
		init_fail("receiving", "the job");
	return data;
}

static void directory_share(const char *directory)
{
	char source[4096], target[4096];

	snprintf(source, sizeof(source), HOST "%s", directory);
	snprintf(target, sizeof(target), NEW "%s", directory);
	directory_create(target);
	bind_at(source, target);
}

static void modules_share(const char *host_directory)
{
	struct utsname kernel;
	char source[4096], target[4096];

	uname(&kernel);
	snprintf(source, sizeof(source), HOST "%s/%s", host_directory, kernel.release);
	snprintf(target, sizeof(target), NEW "/usr/lib/modules/%s", kernel.release);
	directory_create(target);
	bind_at(source, target);
}

static int all_zero(const char *data, size_t bytes)
{
	return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* Zeros become holes. */
static void file_copy(const char *path)
{
	static char buffer[1 << 16];
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char target[4096];
	struct stat from_stat;
	ssize_t got;
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to;

	snprintf(target, sizeof(target), JOB_COPY_DIR "/%s", base);
	if (from < 0 || fstat(from, &from_stat) < 0)
		init_fail("opening", path);
	to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, from_stat.st_mode & 0777);
	if (to < 0)
		init_fail("creating", target);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		if (all_zero(buffer, (size_t)got) ? lseek(to, got, SEEK_CUR) < 0
						  : wire_write(to, buffer, (size_t)got))
			init_fail("writing", target);
	if (got < 0)
		init_fail("reading", path);
	if (ftruncate(to, lseek(to, 0, SEEK_CUR)) < 0)
		init_fail("ending", target);
	close(from);
	close(to);
}

static void root_enter(void)
{
	if (chdir(NEW) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		init_fail("entering", NEW);
}

static void clock_set(const char *value)
{
	struct timespec now = { 0 };

	if (value && sscanf(value, "%ld.%ld", &now.tv_sec, &now.tv_nsec) == 2)
		clock_settime(CLOCK_REALTIME, &now);
}

static void machine_settle(void)
{
	const struct rlimit files = { .rlim_cur = 1024, .rlim_max = 524288 };
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		ioctl(fd, SIOCSIFFLAGS, &loopback);
		close(fd);
	}
	setrlimit(RLIMIT_NOFILE, &files);
	sethostname("lab", 3);
	umask(022);
}

int main(void)
{
	struct init_job job = { 0 };
	struct wire_frame frame;
	pthread_t kvm_loader;
	int32_t status;
	char *data;
	int host_fd;

	wire_zero_is_wait = 1;
	from_disks = getenv("LAB_DISKS") != NULL; /* a word of the kernel's command line */
	umask(0);
	modules_fd = open("/modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	modules_kvm_fd = open("/modules/kvm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	modules_load(modules_fd);
	root_mount();
	clocksource_fd = open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC);
	pthread_create(&kvm_loader, NULL, modules_load_kvm, NULL);
	devices_create();
	if (from_disks)
		uarts_open();
	else
		ports_open();
	host_fd = open(HOST, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	data = job_receive(&frame);
	init_job_parse(&job, data, frame.bytes);
	clock_set(job.clock);
	if (!from_disks)
		modules_share(job.modules);
	for (char **directory = job.writable; *directory; directory++)
		directory_share(*directory);
	root_enter();
	for (char **path = job.copies; *path; path++)
		file_copy(*path);
	machine_settle();
	pthread_join(kvm_loader, NULL);
	status = init_job_run(&job, port_fd);
	syncfs(host_fd); /* pages written through a shared mapping */
	wire_send(port_fd[WIRE_CTL], WIRE_EXIT, &status, sizeof(status));
	for (;;)
		pause();
}
