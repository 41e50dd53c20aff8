/* SPDX-License-Identifier: MIT */
/* What a thread that has given up files and capabilities can still do; each in a process of its own. */
#include "host/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
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

/* Of this one. */
static void listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_EQ(chmod(path, 0777), 0);
	CHECK_EQ(listen(fd, 8), 0);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static const struct sandbox_user no_user;
static const struct sandbox_files no_files_kept = { .removal_fds = { -1, -1 }, .folder_fd = -1 };

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
	sandbox_prepare(SANDBOX_ON, &no_user, false);
	sandbox_give_up_files(&no_files_kept);
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
	int there_fd = open("there", O_PATH | O_DIRECTORY);
	const struct sandbox_files files = { .removal_fds = { there_fd, -1 }, .folder_fd = -1 };

	sandbox_prepare(SANDBOX_ON, &no_user, false);
	sandbox_give_up_files(&files);
	refuse(unlink("own"));
	CHECK_EQ(unlinkat(there_fd, "socket", 0), 0);
	refuse(open("there/socket", O_WRONLY | O_CREAT, 0600));
}

static void nothing_is_gained(void)
{
	sandbox_prepare(SANDBOX_ON, &no_user, false);
	sandbox_give_up_files(&no_files_kept);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(chown("own", 1, 1), -1);
	CHECK_EQ(errno, EPERM);
}

/* Of all sockets at paths only those in one directory, by whatever name; and the one that is open is removed still. */
static void one_directory_is_seen(void)
{
	const char *const connected[] = { "there/v", "there/passt", NULL };
	const struct sandbox_files files = { .removal_fds = { -1, -1 },
					     .folder_fd = -1,
					     .connected = connected };
	char path[200];

	snprintf(path, sizeof(path), "%s/beside", directory);
	sandbox_prepare(SANDBOX_ON, &no_user, true);
	CHECK(strcmp(sandbox_path("there/v"), "there/v") == 0);
	sandbox_give_up_files(&files);
	CHECK(strcmp(sandbox_path("there/v"), "v") == 0);
	CHECK_EQ(connect_to("target"), 0);
	CHECK_EQ(connect_to(path), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_EQ(connect_to("../beside"), -1);
	CHECK_EQ(errno, ENOENT);
}

static void several_directories_are(void)
{
	const char *const connected[] = { "there/v", "passt", NULL };
	const struct sandbox_files files = { .removal_fds = { -1, -1 },
					     .folder_fd = -1,
					     .connected = connected };

	sandbox_prepare(SANDBOX_ON, &no_user, true);
	sandbox_give_up_files(&files);
	CHECK(strcmp(sandbox_path("there/v"), "there/v") == 0);
	CHECK_EQ(connect_to("beside"), 0);
	CHECK_EQ(connect_to("there/target"), 0);
}

static void another_user(void)
{
	const struct sandbox_user user = { true, 1234, 1235 };
	uid_t ids[3];
	gid_t groups[1];

	sandbox_prepare(SANDBOX_ON, &user, false);
	sandbox_give_up_files(&no_files_kept);
	CHECK_EQ(getresuid(&ids[0], &ids[1], &ids[2]), 0);
	CHECK(ids[0] == 1234 && ids[1] == 1234 && ids[2] == 1234);
	CHECK_EQ(getresgid(&ids[0], &ids[1], &ids[2]), 0);
	CHECK(ids[0] == 1235 && ids[1] == 1235 && ids[2] == 1235);
	CHECK_EQ(getgroups(1, groups), 0);
	CHECK_EQ(setuid(0), -1);
}

static void limits(void)
{
	const struct sandbox_limits given = { .n_descriptors = 20, .max_file_bytes = 4096 };
	struct rlimit limit;
	int fd = open("own", O_RDWR);

	sandbox_prepare(SANDBOX_ON, &no_user, false);
	sandbox_limit(&given);
	sandbox_refuse_tracers();
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
	sandbox_prepare(SANDBOX_OFF, &no_user, false);
	sandbox_limit(&given);
	sandbox_give_up_files(&no_files_kept);
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

/* Whoever has no capability finds one in a user namespace, if the host has one for him. */
static bool has_user_namespaces(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(setresuid(1234, 1234, 1234) == 0 && unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
	return waitpid(child, &status, 0) == child && status == 0;
}

static void one_directory_is_seen_without_root(void)
{
	CHECK_EQ(setresgid(1234, 1234, 1234), 0);
	CHECK_EQ(setresuid(1234, 1234, 1234), 0);
	one_directory_is_seen();
}

static void view(void)
{
	in_child(one_directory_is_seen);
	in_child(several_directories_are);
	if (geteuid() == 0 && has_user_namespaces())
		in_child(one_directory_is_seen_without_root);
}

static void users(void)
{
	if (geteuid() == 0)
		in_child(another_user);
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
	CHECK_EQ(chmod(directory, 0755), 0);
	CHECK_EQ(chmod("there", 0755), 0);
	listen_beside();
	listen_at("beside");
	listen_at("there/target");
	RUN(no_files);
	RUN(no_capabilities);
	RUN(view);
	RUN(users);
	RUN(limited);
	RUN(not_asked);
	unlink("own");
	unlink("there/socket");
	unlink("there/target");
	unlink("beside");
	rmdir("there");
	rmdir(directory);
	return 0;
}
