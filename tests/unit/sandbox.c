/* SPDX-License-Identifier: MIT */
/* What a thread that has given up files and capabilities can still do; each in a process of its own. */
#include "host/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/check.h"

static char directory[] = "/tmp/vmm-sandbox.XXXXXX";

/* A socket of another process. */
static struct sockaddr_un abstract = { .sun_family = AF_UNIX };
static socklen_t abstract_bytes = sizeof(abstract);

static void listen_beside(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_EQ(bind(fd, (struct sockaddr *)&abstract, sizeof(sa_family_t)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&abstract, &abstract_bytes), 0);
}

static const char *const no_paths[SANDBOX_PATHS] = { NULL };
static const char *const one_path[SANDBOX_PATHS] = { NULL, "there/socket" };

static long landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static void in_child(void (*check)(void))
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		check();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void refuse(int result)
{
	CHECK_EQ(result, -1);
	CHECK_EQ(errno, EACCES);
}

static void nothing_opens(void)
{
	int before = open("own", O_RDWR), fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(before >= 0 && fd >= 0);
	sandbox_prepare(SANDBOX_ON, no_paths);
	sandbox_give_up_files();
	refuse(open("own", O_RDONLY));
	refuse(open("own", O_WRONLY));
	refuse(open("new", O_WRONLY | O_CREAT, 0600));
	refuse(open(".", O_RDONLY | O_DIRECTORY));
	refuse(unlink("own"));
	refuse(mkdir("new", 0700));
	refuse(symlink("own", "new"));
	/* What is open stays so. */
	CHECK_EQ(write(before, "x", 1), 1);
	int result = connect(fd, (struct sockaddr *)&abstract, abstract_bytes);
	if (landlock_abi() < 6)
		return;
	CHECK_EQ(result, -1);
	CHECK_EQ(errno, EPERM);
}

static void a_socket_is_removed(void)
{
	sandbox_prepare(SANDBOX_ON, one_path);
	sandbox_give_up_files();
	refuse(unlink("own"));
	CHECK_EQ(unlink("there/socket"), 0);
	refuse(open("there/socket", O_WRONLY | O_CREAT, 0600));
}

static void nothing_is_gained(void)
{
	sandbox_prepare(SANDBOX_ON, no_paths);
	sandbox_give_up_files();
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(chown("own", 1, 1), -1);
	CHECK_EQ(errno, EPERM);
}

static void limits(void)
{
	const struct sandbox_limits given = { .n_descriptors = 20, .max_file_bytes = 4096 };
	struct rlimit limit;
	int fd = open("own", O_RDWR);

	sandbox_prepare(SANDBOX_ON, no_paths);
	sandbox_limit(&given);
	CHECK_EQ(getrlimit(RLIMIT_CORE, &limit), 0);
	CHECK_EQ(limit.rlim_max, 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(limit.rlim_max, 20);
	CHECK_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(pwrite(fd, "x", 1, 4095), 1);
	CHECK_EQ(pwrite(fd, "x", 1, 4096), -1);
	CHECK_EQ(errno, EFBIG);
}

static void off(void)
{
	const struct sandbox_limits given = { .n_descriptors = 20, .max_file_bytes = 0 };

	CHECK(freopen("/dev/null", "w", stderr) != NULL);
	sandbox_prepare(SANDBOX_OFF, no_paths);
	sandbox_limit(&given);
	sandbox_give_up_files();
	sandbox_enter(SECCOMP_VCPU);
	CHECK(open("own", O_RDONLY) >= 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

static void no_files(void)
{
	if (landlock_abi() < 1)
		return;
	in_child(nothing_opens);
	in_child(a_socket_is_removed);
}

static void no_capabilities(void)
{
	if (geteuid() == 0)
		in_child(nothing_is_gained);
}

static void limited(void)
{
	in_child(limits);
}

static void not_asked(void)
{
	in_child(off);
}

int main(void)
{
	CHECK(mkdtemp(directory) != NULL && chdir(directory) == 0);
	CHECK_EQ(mkdir("there", 0700), 0);
	CHECK(close(open("own", O_WRONLY | O_CREAT, 0600)) == 0);
	CHECK(close(open("there/socket", O_WRONLY | O_CREAT, 0600)) == 0);
	listen_beside();
	RUN(no_files);
	RUN(no_capabilities);
	RUN(limited);
	RUN(not_asked);
	unlink("own");
	unlink("there/socket");
	rmdir("there");
	rmdir(directory);
	return 0;
}
