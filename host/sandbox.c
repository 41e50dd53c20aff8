/* SPDX-License-Identifier: MIT */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/message.h"

/* Landlock's rights by ABI, since headers differ: 1 has the first 13, then one more each. */
#define FS_RIGHTS_OF_ABI_1 0x1fffu
#define FS_REFER           0x2000u
#define FS_TRUNCATE        0x4000u
#define FS_IOCTL_DEV       0x8000u
#define NET_BIND_CONNECT   0x3u
#define SCOPE_ABSTRACT     0x1u

#ifdef __SANITIZE_THREAD__ /* its run-time library calls what it likes, and opens its log at the end */
#define IS_POSSIBLE false
#else
#define IS_POSSIBLE true
#endif

enum layer {
	CAPABILITIES,
	LANDLOCK,
	TCP,
	ABSTRACT_SOCKETS,
	SYSTEM_CALLS,
	LAYERS,
};

static const struct {
	const char *name; /* in --check's output */
	const char *text;
} layers[LAYERS] = {
	[CAPABILITIES] = { "capabilities", "giving up capabilities" },
	[LANDLOCK] = { "landlock", "Landlock (Linux 5.13)" },
	[TCP] = { "landlock-tcp", "Landlock's rights of TCP (Linux 6.7)" },
	[ABSTRACT_SOCKETS] = { "landlock-scope",
			       "Landlock's scope for abstract sockets (Linux 6.12)" },
	[SYSTEM_CALLS] = { "seccomp", "seccomp" },
};

static enum sandbox_mode sandbox_mode;
static const char *socket_paths[SANDBOX_PATHS];
static atomic_int missing[LAYERS]; /* errno */

static void miss(enum layer layer)
{
	atomic_store(&missing[layer], errno != 0 ? errno : EOPNOTSUPP);
}

void sandbox_prepare(enum sandbox_mode mode, const char *const paths[SANDBOX_PATHS])
{
	sandbox_mode = IS_POSSIBLE ? mode : SANDBOX_OFF;
	for (int i = 0; i < SANDBOX_PATHS; i++)
		socket_paths[i] = paths[i];
	if (mode == SANDBOX_OFF)
		warn("--sandbox off: a guest that breaks out of the monitor can do what this user "
		     "can");
	else
		seccomp_prepare();
}

static void lower(int resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

void sandbox_limit(const struct sandbox_limits *limits)
{
	if (sandbox_mode == SANDBOX_OFF)
		return;
	/* No core file with the guest's memory, and nobody of this user traces us. */
	lower(RLIMIT_CORE, 0);
	prctl(PR_SET_DUMPABLE, 0);
	lower(RLIMIT_NOFILE, limits->n_descriptors);
	if (limits->max_file_bytes != UINT64_MAX)
		lower(RLIMIT_FSIZE, limits->max_file_bytes);
}

/* A socket's directory: its file may be removed. */
static void allow_removal(int ruleset_fd, const char *path)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE,
	};
	char directory[4096];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;

	if (length >= sizeof(directory))
		return;
	memcpy(directory, path, length);
	memcpy(directory + length, ".", 2);
	rule.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* All that this host's Landlock knows is forbidden. */
static int create_ruleset(long abi)
{
	struct {
		uint64_t fs, net, scoped;
	} handled = { .fs = FS_RIGHTS_OF_ABI_1 };
	size_t bytes = sizeof(handled.fs);

	if (abi >= 2)
		handled.fs |= FS_REFER;
	if (abi >= 3)
		handled.fs |= FS_TRUNCATE;
	if (abi >= 5)
		handled.fs |= FS_IOCTL_DEV;
	if (abi >= 4) {
		handled.net = NET_BIND_CONNECT;
		bytes = offsetof(typeof(handled), scoped);
	}
	if (abi >= 6) {
		/* Not signals: kicks go from one thread's domain to another's. */
		handled.scoped = SCOPE_ABSTRACT;
		bytes = sizeof(handled);
	}
	return (int)syscall(SYS_landlock_create_ruleset, &handled, bytes, 0);
}

static void allow_new_files(int ruleset_fd, int folder_fd)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE,
		.parent_fd = folder_fd,
	};

	if (folder_fd >= 0)
		syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static void give_up_file_system(int folder_fd)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset_fd = abi < 1 ? -1 : create_ruleset(abi);

	if (ruleset_fd < 0) {
		miss(LANDLOCK);
		miss(TCP);
		miss(ABSTRACT_SOCKETS);
		return;
	}
	for (int i = 0; i < SANDBOX_PATHS; i++)
		if (socket_paths[i] != NULL)
			allow_removal(ruleset_fd, socket_paths[i]);
	allow_new_files(ruleset_fd, folder_fd);
	if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		miss(LANDLOCK);
	close(ruleset_fd);
	errno = 0;
	if (abi < 4)
		miss(TCP);
	if (abi < 6)
		miss(ABSTRACT_SOCKETS);
}

/* A vsock at a path connects to the sockets beside it, and removes its own, in a directory that may be another user's, as may be
 * that of a snapshot. */
static void give_up_capabilities(int folder_fd)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[2] = { 0 };

	if ((socket_paths[0] != NULL || socket_paths[1] != NULL || folder_fd >= 0) &&
	    geteuid() == 0)
		kept[0].effective = kept[0].permitted = 1u << CAP_DAC_OVERRIDE;
	if (syscall(SYS_capset, &header, kept) == 0)
		return;
	/* It had none. */
	memset(kept, 0, sizeof(kept));
	if (syscall(SYS_capset, &header, kept) < 0)
		miss(CAPABILITIES);
}

void sandbox_give_up_files_outside(int folder_fd)
{
	if (sandbox_mode == SANDBOX_OFF)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		miss(SYSTEM_CALLS);
	give_up_file_system(folder_fd);
	give_up_capabilities(folder_fd);
}

void sandbox_give_up_files(void)
{
	sandbox_give_up_files_outside(-1);
}

void sandbox_enter(enum seccomp_thread thread)
{
	if (sandbox_mode != SANDBOX_OFF && !seccomp_enter(thread))
		miss(SYSTEM_CALLS);
}

static _Noreturn void refuse(const char *text)
{
	struct error_text error;

	error_set_refused(&error, "this host has not all layers: %s", text);
	fail_option(&error, "--sandbox strict");
}

void sandbox_report(void)
{
	char text[512];
	size_t used = 0;

	if (sandbox_mode != SANDBOX_WARN && sandbox_mode != SANDBOX_STRICT)
		return;
	for (int i = 0; i < LAYERS; i++) {
		int error = atomic_load(&missing[i]);
		if (error != 0)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s: %s",
						 used > 0 ? "; " : "", layers[i].text,
						 strerror(error));
	}
	if (used > 0 && sandbox_mode == SANDBOX_STRICT)
		refuse(text);
	if (used > 0)
		warn("--sandbox warn: this host has not all layers: %s", text);
}

void sandbox_print(void)
{
	for (int i = 0; i < LAYERS; i++) {
		int error = atomic_load(&missing[i]);
		printf("sandbox  %s %s%s\n", layers[i].name,
		       sandbox_mode == SANDBOX_OFF || error != 0 ? "off: " : "on",
		       sandbox_mode == SANDBOX_OFF ? "--sandbox off"
		       : error != 0                ? strerror(error)
						   : "");
	}
}
