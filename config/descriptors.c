/* SPDX-License-Identifier: MIT */
#include "config/descriptors.h"

#include <stddef.h>
#include <string.h>

static void add(struct descriptors *descriptors, int fd, const char *option, const char *path)
{
	unsigned at = descriptors->n++;

	for (; at > 0 && descriptors->list[at - 1].fd > fd; at--)
		descriptors->list[at] = descriptors->list[at - 1];
	descriptors->list[at] = (struct named_descriptor){ fd, option, path };
}

/* The name of a descriptor, or of what is below it: a folder. */
static bool parse_name(const char *name, int *fd)
{
	char digits[8] = "";
	size_t length = strcspn(name, "/");

	if (length >= sizeof(digits))
		return false;
	memcpy(digits, name, length);
	return parse_fd(digits, fd);
}

static void add_path(struct descriptors *descriptors, const char *option, const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

	for (size_t i = 0; path != NULL && i < sizeof(folders) / sizeof(folders[0]); i++) {
		size_t length = strlen(folders[i]);
		int fd;
		if (strncmp(path, folders[i], length) == 0 && parse_name(path + length, &fd))
			add(descriptors, fd, option, path);
	}
}

static const struct named_descriptor *find(const struct descriptors *descriptors, int fd)
{
	for (unsigned i = 0; i < descriptors->n; i++)
		if (descriptors->list[i].fd == fd && descriptors->list[i].path == NULL)
			return &descriptors->list[i];
	return NULL;
}

static bool take(struct descriptors *descriptors, int fd, const char *option,
		 struct error_text *error)
{
	const struct named_descriptor *other = find(descriptors, fd);

	if (fd < 0)
		return true;
	if (other != NULL)
		return error_set(error, "%s%d: descriptor %d is given twice, also as %s%d", option,
				 fd, fd, other->option, fd);
	add(descriptors, fd, option, NULL);
	return true;
}

/* option_fd is the same as `option`, with fd= behind it. */
static bool take_file(struct descriptors *descriptors, const struct file_name *file,
		      const char *option, const char *option_fd, struct error_text *error)
{
	if (file->fd > 0)
		return take(descriptors, file->fd, option_fd, error);
	add_path(descriptors, option, file->text);
	return true;
}

static bool take_disks(struct descriptors *descriptors, const struct vm_config *config,
		       struct error_text *error)
{
	for (unsigned i = 0; i < config->n_disks; i++) {
		bool root = i == 0 && config->has_rootfs;
		if (!take_file(descriptors, &config->disks[i].file, root ? "--rootfs " : "--disk ",
			       root ? "--rootfs fd=" : "--disk fd=", error) ||
		    !take_file(descriptors, &config->disks[i].overlay,
			       "overlay=", "overlay=fd=", error))
			return false;
		add_path(descriptors, "overlay-dir=", config->disks[i].overlay_folder);
	}
	return true;
}

bool descriptors_collect(struct descriptors *descriptors, const struct vm_config *config,
			 struct error_text *error)
{
	descriptors->n = 0;
	if (!take(descriptors, config->status_fd, "--status-fd ", error) ||
	    !take(descriptors, config->events_fd, "--events-fd ", error) ||
	    !take(descriptors, config->lifeline_fd, "--lifeline-fd ", error) ||
	    !take(descriptors, config->kvm_fd, "--kvm-fd ", error) ||
	    !take(descriptors, config->start_fd, "--start-fd ", error) ||
	    (config->control.fd > 0 &&
	     !take(descriptors, config->control.fd, "--control fd=", error)))
		return false;
	for (unsigned i = 0; i < config->n_nets; i++)
		if (!take(descriptors, config->nets[i].fd, "--net fd=", error))
			return false;
	if (config->vsock.guest_cid != 0 &&
	    (!take(descriptors, config->vsock.uds_fd, "--vsock uds-fd=", error) ||
	     !take(descriptors, config->vsock.connect_fd, "--vsock connect-fd=", error)))
		return false;
	return take_file(descriptors, &config->kernel, "--kernel ", "--kernel fd=", error) &&
	       take_file(descriptors, &config->restore, "--restore ", "--restore fd=", error) &&
	       take_file(descriptors, &config->initrd, "--initrd ", "--initrd fd=", error) &&
	       take_file(descriptors, &config->serial_file,
			 "--serial file:", "--serial fd=", error) &&
	       take_disks(descriptors, config, error);
}

bool descriptors_have(const struct descriptors *descriptors, int fd)
{
	return find(descriptors, fd) != NULL;
}
