/* SPDX-License-Identifier: MIT */
#include "config/option_checks.h"

#include <string.h>

/* Of a text that is set. */
static bool refuse(struct error_text *error, const char *option)
{
	error->option = option;
	return false;
}

/* All that the guest is loaded from comes from the file. */
static bool check_restore(const struct vm_config *config, struct error_text *error)
{
	const char *option = config->kernel.text != NULL   ? "--kernel"
			     : config->initrd.text != NULL ? "--initrd"
			     : config->cmdline != NULL     ? "--cmdline"
							   : NULL;

	if (option != NULL) {
		error_set(error, "%s: --restore takes its place", option);
		return refuse(error, option);
	}
	return config->mem_pages != PAGES_HUGETLB ||
	       error_set(error, "--mem: --restore maps a file, which has no huge pages");
}

static bool check_boot(const struct vm_config *config, struct error_text *error)
{
	if (config->start_fd >= 0) {
		error_set(error, "--start-fd: expected --restore, too");
		return refuse(error, "--start-fd");
	}
	if (config->kernel.text != NULL)
		return true;
	error_set(error, "--kernel FILE is required (try --help)");
	return refuse(error, "--kernel");
}

/* A guest's connection to a port goes to the vsock's PATH_PORT. */
static bool guest_reaches_control(const struct vm_config *config)
{
	const char *uds = config->vsock.uds_path, *control = config->control.text;
	size_t length = uds != NULL ? strlen(uds) : 0;

	return uds != NULL && control != NULL && strncmp(control, uds, length) == 0 &&
	       control[length] == '_' &&
	       control[length + 1 + strspn(control + length + 1, "0123456789")] == '\0';
}

static bool check_control(const struct vm_config *config, struct error_text *error)
{
	if (!guest_reaches_control(config))
		return true;
	error_set(error,
		  "--control %s: expected a path that is not the --vsock's PATH_PORT: "
		  "the guest would reach it",
		  config->control.text);
	error->value = config->control.text;
	return refuse(error, "--control");
}

static bool check_user(const struct vm_config *config, struct error_text *error)
{
	bool has_uid = config->user.uid != 0, has_gid = config->user.gid != 0;
	const char *given = has_uid ? "--uid" : "--gid";

	if (has_uid == has_gid)
		return true;
	error_set(error, "%s: expected %s, too", given, has_uid ? "--gid" : "--uid");
	return refuse(error, given);
}

bool options_fit(const struct vm_config *config, struct error_text *error)
{
	return (config->restore.text != NULL ? check_restore(config, error)
					     : check_boot(config, error)) &&
	       check_control(config, error) && check_user(config, error);
}
