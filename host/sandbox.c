/* SPDX-License-Identifier: MIT */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/file.h"
#include "host/message.h"
#include "host/text.h"

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
	VIEW,
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
	[VIEW] = { "view", "seeing no directory but the sockets' own" },
	[LANDLOCK] = { "landlock", "Landlock (Linux 5.13)" },
	[TCP] = { "landlock-tcp", "Landlock's rights of TCP (Linux 6.7)" },
	[ABSTRACT_SOCKETS] = { "landlock-scope",
			       "Landlock's scope for abstract sockets (Linux 6.12)" },
	[SYSTEM_CALLS] = { "seccomp", "seccomp" },
};

static enum sandbox_mode sandbox_mode;
static struct sandbox_user own_user;
static bool needs_view, has_view;
static atomic_int missing[LAYERS]; /* errno */

static void miss(enum layer layer)
{
	atomic_store(&missing[layer], errno != 0 ? errno : EOPNOTSUPP);
}

static bool has_capabilities(unsigned *effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[2] = { 0 };

	if (syscall(SYS_capget, &header, has) < 0)
		return false;
	*effective = has[0].effective;
	return (has[0].permitted | has[1].permitted) != 0;
}

/* chroot() takes a capability, which whoever has none finds in a user namespace: of its own, before there is another thread. With
 * others, such as CAP_NET_ADMIN for a TAP, it would lose those. */
static void prepare_view(void)
{
	unsigned effective = 0;

	if (has_capabilities(&effective) ? !(effective & 1u << CAP_SYS_CHROOT)
					 : unshare(CLONE_NEWUSER) < 0) {
		errno = errno != 0 ? errno : EPERM;
		miss(VIEW);
	}
}

void sandbox_prepare(enum sandbox_mode mode, const struct sandbox_user *user, bool connects)
{
	sandbox_mode = IS_POSSIBLE ? mode : SANDBOX_OFF;
	own_user = *user;
	needs_view = connects;
	errno = 0;
	if (mode == SANDBOX_OFF)
		warn("--sandbox off: a guest that breaks out of the monitor can do what this user "
		     "can");
	else
		seccomp_prepare();
	if (sandbox_mode != SANDBOX_OFF && connects)
		prepare_view();
}

static void lower(int resource, rlim_t most)
{
	struct rlimit limit;

	if (prlimit(0, resource, NULL, &limit) < 0)
		return;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	prlimit(0, resource, &limit, NULL);
}

void sandbox_limit(const struct sandbox_limits *limits)
{
	if (sandbox_mode == SANDBOX_OFF)
		return;
	lower(RLIMIT_CORE, 0); /* it would have the guest's memory */
	lower(RLIMIT_NOFILE, limits->n_descriptors);
	if (limits->max_file_bytes != UINT64_MAX)
		lower(RLIMIT_FSIZE, limits->max_file_bytes);
}

void sandbox_refuse_tracers(void)
{
	if (sandbox_mode != SANDBOX_OFF)
		prctl(PR_SET_DUMPABLE, 0);
}

/* fd -1: nothing. */
static void allow_beneath(int ruleset_fd, int directory_fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = directory_fd,
	};

	if (directory_fd >= 0)
		syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
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

static void forbid_files(const struct sandbox_files *files)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset_fd = abi < 1 ? -1 : create_ruleset(abi);

	if (ruleset_fd < 0) {
		miss(LANDLOCK);
		miss(TCP);
		miss(ABSTRACT_SOCKETS);
		return;
	}
	for (int i = 0; i < LISTEN_SOCKETS; i++)
		allow_beneath(ruleset_fd, files->removal_fds[i], LANDLOCK_ACCESS_FS_REMOVE_FILE);
	allow_beneath(ruleset_fd, files->folder_fd,
		      LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		miss(LANDLOCK);
	close(ruleset_fd);
	errno = 0;
	if (abi < 4)
		miss(TCP);
	if (abi < 6)
		miss(ABSTRACT_SOCKETS);
}

static bool same_directory(const char *const *paths)
{
	size_t length = (size_t)(file_base_name(paths[0]) - paths[0]);

	for (unsigned i = 1; paths[i] != NULL; i++)
		if (file_base_name(paths[i]) != paths[i] + length ||
		    memcmp(paths[i], paths[0], length) != 0)
			return false;
	return true;
}

/* The workers that the ring makes for this thread have its view, too. */
static bool see_only(const char *path)
{
	int folder_fd = file_open_folder(path);
	/* A relative path is one in our own directory: not before the others are looked at. */
	bool sees = folder_fd >= 0 && unshare(CLONE_FS) == 0 &&
		    syscall(SYS_fchdir, folder_fd) == 0 && chroot(".") == 0;

	if (folder_fd >= 0)
		close(folder_fd);
	return sees;
}

static void narrow_view(const struct sandbox_files *files)
{
	if (files->connected == NULL || !needs_view || atomic_load(&missing[VIEW]) != 0)
		return;
	errno = EXDEV;
	has_view = same_directory(files->connected) && see_only(files->connected[0]);
	if (!has_view)
		miss(VIEW);
}

const char *sandbox_path(const char *path)
{
	return has_view ? file_base_name(path) : path;
}

/* The calling thread's. */
static void become_user(void)
{
	if (!own_user.is_given)
		return;
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, own_user.gid, own_user.gid, own_user.gid) < 0 ||
	    syscall(SYS_setresuid, own_user.uid, own_user.uid, own_user.uid) < 0)
		fail_errno(EXIT_HOST_REFUSED, "--uid %u --gid %u", own_user.uid, own_user.gid);
}

/* The sockets that are removed, those that are connected to, and a snapshot may be in a directory of another user. */
static bool needs_directories(const struct sandbox_files *files)
{
	for (int i = 0; i < LISTEN_SOCKETS; i++)
		if (files->removal_fds[i] >= 0)
			return true;
	return files->connected != NULL || files->folder_fd >= 0;
}

static void give_up_capabilities(const struct sandbox_files *files)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[2] = { 0 };

	if (needs_directories(files) && geteuid() == 0)
		kept[0].effective = kept[0].permitted = 1u << CAP_DAC_OVERRIDE;
	if (syscall(SYS_capset, &header, kept) == 0)
		return;
	/* It had none. */
	memset(kept, 0, sizeof(kept));
	if (syscall(SYS_capset, &header, kept) < 0)
		miss(CAPABILITIES);
}

void sandbox_give_up_files(const struct sandbox_files *files)
{
	if (sandbox_mode != SANDBOX_OFF) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			miss(SYSTEM_CALLS);
		forbid_files(files);
		narrow_view(files);
	}
	become_user();
	if (sandbox_mode != SANDBOX_OFF)
		give_up_capabilities(files);
}

void sandbox_enter(unsigned uses)
{
	if (sandbox_mode != SANDBOX_OFF && !seccomp_enter(uses))
		miss(SYSTEM_CALLS);
}

static _Noreturn void refuse(const char *text)
{
	struct error_text error;

	error_set_refused(&error, "this host has not all layers: %s", text);
	fail_option(&error, "--sandbox strict");
}

bool sandbox_is_reported(void)
{
	return sandbox_mode == SANDBOX_WARN || sandbox_mode == SANDBOX_STRICT;
}

void sandbox_report(void)
{
	char text[512];
	size_t used = 0;

	if (!sandbox_is_reported())
		return;
	for (int i = 0; i < LAYERS; i++) {
		int error = atomic_load(&missing[i]);
		if (error != 0)
			used += (size_t)text_format(text + used, sizeof(text) - used, "%s%s: %s",
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
		if (i == VIEW && !needs_view)
			continue;
		text_print("sandbox  %s %s%s\n", layers[i].name,
			   sandbox_mode == SANDBOX_OFF || error != 0 ? "off: " : "on",
			   sandbox_mode == SANDBOX_OFF ? "--sandbox off"
			   : error != 0                ? strerror(error)
						       : "");
	}
}
