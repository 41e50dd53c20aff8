/* SPDX-License-Identifier: MIT */
/*
 * initrd_init: /init of an initrd that brings a distribution kernel's own modules.
 *
 * Loads those that this machine has devices for, as /modules/list says, mounts the file system that root= names, and
 * goes on with its init. A line of the list is a virtio device type (0: always) and a file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES  4096
#define ROOT_WAIT_STEPS 1000 /* of 10 ms */

static char cmdline[LINE_MAX_BYTES];

static _Noreturn void fail(const char *what, const char *why)
{
	printf("initrd: %s: %s\n", what, why);
	fflush(stdout);
	exit(1); /* the kernel panics, and says so */
}

static void cmdline_read(void)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, cmdline, sizeof(cmdline) - 1);

	if (fd >= 0)
		close(fd);
	cmdline[length < 0 ? 0 : length] = '\0';
	cmdline[strcspn(cmdline, "\n")] = '\0';
}

/* The next word from *at on, without its quotes; NULL at the end, or at "--", behind which nothing is for us. */
static const char *word_next(const char **at)
{
	static char word[LINE_MAX_BYTES];
	bool quoted = false;
	size_t n = 0;

	*at += strspn(*at, " ");
	for (; **at != '\0' && (quoted || **at != ' '); (*at)++) {
		if (**at == '"')
			quoted = !quoted;
		else
			word[n++] = **at;
	}
	word[n] = '\0';
	return n == 0 || strcmp(word, "--") == 0 ? NULL : word;
}

/* The value of the last NAME=VALUE on the command line, NULL if there is none. */
static const char *value_of(const char *name)
{
	size_t length = strlen(name);
	char *value = NULL;
	const char *word;

	for (const char *at = cmdline; (word = word_next(&at)) != NULL;) {
		if (strncmp(word, name, length) != 0 || word[length] != '=')
			continue;
		free(value);
		value = strdup(word + length + 1);
	}
	return value;
}

static bool has_word(const char *wanted)
{
	const char *word;

	for (const char *at = cmdline; (word = word_next(&at)) != NULL;)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

/* Whether two names are the same to the module loader. */
static bool is_module_name(const char *text, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] != name[i] && !(strchr("-_", text[i]) && strchr("-_", name[i])))
			return false;
	return true;
}

/* The command line's parameters for the module NAME of LENGTH bytes, as NAME.PARAMETER=VALUE: a kernel reads it for its own parts only. */
static const char *module_parameters(const char *name, size_t length)
{
	static char parameters[LINE_MAX_BYTES];
	size_t used = 0;
	const char *word;

	for (const char *at = cmdline; (word = word_next(&at)) != NULL;)
		if (strlen(word) > length && is_module_name(word, name, length) &&
		    word[length] == '.')
			used += (size_t)sprintf(parameters + used, "%s ", word + length + 1);
	parameters[used] = '\0';
	return parameters;
}

static void module_load(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t length = strcspn(name, ".");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path, strerror(errno));
	/* Loaded before, or for a processor that this is not. */
	if (syscall(SYS_finit_module, fd, module_parameters(name, length), 0) < 0 &&
	    errno != EEXIST && errno != ENODEV)
		printf("initrd: %s: %s\n", name, strerror(errno));
	close(fd);
}

/* Whether the virtio bus has a device of this type. */
static bool machine_has(unsigned type)
{
	bool found = false;
	char path[300], modalias[64];
	DIR *devices = opendir("/sys/bus/virtio/devices");

	for (struct dirent *entry; !found && devices && (entry = readdir(devices));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/modalias", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = fd < 0 ? 0 : read(fd, modalias, sizeof(modalias) - 1);
		if (fd >= 0)
			close(fd);
		modalias[length < 0 ? 0 : length] = '\0';
		unsigned id;
		found = sscanf(modalias, "virtio:d%8x", &id) == 1 && id == type;
	}
	if (devices)
		closedir(devices);
	return found;
}

static void modules_load(void)
{
	char path[256];
	unsigned type, known = 0;
	bool has = true; /* a device of the type `known` */
	FILE *list = fopen("/modules/list", "re");

	if (list == NULL)
		fail("/modules/list", strerror(errno));
	while (fscanf(list, "%u %255s", &type, path) == 2) {
		if (type != known) {
			known = type;
			has = machine_has(type);
		}
		if (has)
			module_load(path);
	}
	rewind(list);
	while (fscanf(list, "%u %255s", &type, path) == 2)
		unlink(path); /* it would stay in memory */
	fclose(list);
}

static void root_mount(void)
{
	const char *root = value_of("root"), *type = value_of("rootfstype");
	const struct timespec step = { .tv_nsec = 10000000 };

	if (root == NULL)
		fail("root=", "the command line has none");
	for (int i = 0; access(root, F_OK) < 0 && i < ROOT_WAIT_STEPS; i++)
		nanosleep(&step, NULL);
	if (mount(root, "/root", type ? type : "ext4", has_word("rw") ? 0 : MS_RDONLY, "") < 0)
		fail(root, strerror(errno));
}

/* The mounts move along; what is left of the initrd is this program. */
static void root_enter(void)
{
	static const char *const mounts[] = { "/dev", "/proc", "/sys" };
	char target[16];

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(target, sizeof(target), "/root%s", mounts[i]);
		if (mount(mounts[i], target, NULL, MS_MOVE, NULL) < 0)
			umount2(mounts[i], MNT_DETACH);
	}
	unlink("/init");
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		fail("/root", strerror(errno));
}

static void init_start(char **argv)
{
	static const char *const usual[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
	const char *wanted = value_of("init");

	if (wanted != NULL) {
		argv[0] = (char *)(uintptr_t)wanted;
		execv(wanted, argv);
		fail(wanted, strerror(errno));
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		argv[0] = (char *)(uintptr_t)usual[i];
		execv(usual[i], argv);
	}
	fail("no init", strerror(errno));
}

int main(int argc, char **argv)
{
	(void)argc;
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/root", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
	mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
	mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
	cmdline_read();
	modules_load();
	root_mount();
	root_enter();
	init_start(argv);
	return 1;
}
