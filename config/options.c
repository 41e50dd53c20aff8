/* SPDX-License-Identifier: MIT */
#include "config/options.h"

#include <stddef.h>
#include <string.h>

#include "config/machine_options.h"
#include "config/option_checks.h"

const char options_help_text[] =
	"usage: vmm --kernel FILE [--rootfs FILE] [option ...] | --help | --version\n"
	"\n"
	"  --kernel FILE          bzImage or 64-bit ELF vmlinux\n"
	"  --rootfs PATH[,ro|,overlay[=FILE]]  image, block device: /dev/vda, the root\n"
	"  --disk PATH[,ro|,overlay[=FILE]]  a further disk: /dev/vdb, ... (repeatable)\n"
	"  --net tap=NAME|passt=PATH|fd=N[,mac=M][,mtu=N]  interface (repeatable)\n"
	"  --vsock cid=N,uds=PATH|uds-fd=N|connect-fd=N  PATH, PATH_PORT; inherited\n"
	"  --initrd FILE          initial RAM disk\n"
	"  --cmdline STRING, --no-default-cmdline  added to, without the default words\n"
	"  --mem SIZE[,4k|,hugetlb]  guest memory, with K, M or G (default 128M)\n"
	"  --cpus N               vCPUs, 1 to 254 (default 1)\n"
	"  --acpi on|off          tell the guest of its machine by ACPI, too (default on)\n"
	"  --serial MODE          console on stdio (default), none, file:PATH or fd=N\n"
	"  --status-fd N, --events-fd N  JSON lines: the VM's end; whatever happens to it\n"
	"  --lifeline-fd N, --grace SECONDS  end with this pipe; ask the guest first\n"
	"  --control PATH         take requests there: vmm ctl PATH REQUEST\n"
	"  --sandbox on|warn|strict|off, --uid N, --gid N  confine it (default on)\n"
	"  --snapshot FILE, --restore FILE [--start-fd N]  the guest as it is; clones\n"
	"  --kvm-fd N             /dev/kvm; fd=N stands for any FILE or PATH, too\n"
	"  --boot-timer, --check  print the boot's phases; try all but the VM, print it\n"
	"\n"
	"On a terminal: Ctrl-a x ends the VM, Ctrl-a Ctrl-a sends one Ctrl-a.\n"
	"Exit status: the guest's (0: off or reset), 120 monitor fault, 121 bad option or\n"
	"file, 122 host refused, 123 triple fault, 125 KVM error, 126 panic, 128+N signal\n";

static bool take_file(struct file_name *file, const char *name, const char *value,
		      struct error_text *error)
{
	if (value[0] == '\0')
		return error_set(error, "%s: expected a value, got an empty string", name);
	return parse_file(file, name, value, error);
}

static bool set_kernel(struct vm_config *config, const char *name, char *value,
		       struct error_text *error)
{
	return take_file(&config->kernel, name, value, error);
}

static bool set_initrd(struct vm_config *config, const char *name, char *value,
		       struct error_text *error)
{
	return take_file(&config->initrd, name, value, error);
}

static bool set_cmdline(struct vm_config *config, const char *name, char *value,
			struct error_text *error)
{
	(void)name, (void)error;
	config->cmdline = value;
	return true;
}

static bool set_disk(struct vm_config *config, const char *name, char *value,
		     struct error_text *error)
{
	if (config->n_disks == MAX_DISKS)
		return error_set(error, "%s %s: at most %d disks are supported", name, value,
				 MAX_DISKS);
	return parse_disk(&config->disks[config->n_disks++], name, value, error);
}

static bool set_rootfs(struct vm_config *config, const char *name, char *value,
		       struct error_text *error)
{
	if (config->n_disks == MAX_DISKS)
		return error_set(error, "%s %s: at most %d disks are supported", name, value,
				 MAX_DISKS);
	/* The root file system is /dev/vda wherever the option stands. */
	memmove(&config->disks[1], &config->disks[0], config->n_disks * sizeof(config->disks[0]));
	config->n_disks++;
	config->has_rootfs = true;
	return parse_disk(&config->disks[0], name, value, error);
}

static bool set_net(struct vm_config *config, const char *name, char *value,
		    struct error_text *error)
{
	if (config->n_nets == MAX_NETS)
		return error_set(error, "%s %s: at most %d network interfaces are supported", name,
				 value, MAX_NETS);
	struct net_config *net = &config->nets[config->n_nets];
	if (!parse_net(net, name, value, error))
		return false;
	for (unsigned i = 0; net->tap_name != NULL && i < config->n_nets; i++)
		if (config->nets[i].tap_name != NULL &&
		    strcmp(config->nets[i].tap_name, net->tap_name) == 0)
			return error_set(error, "%s tap=%s is given twice", name, net->tap_name);
	config->n_nets++;
	return true;
}

static bool set_vsock(struct vm_config *config, const char *name, char *value,
		      struct error_text *error)
{
	return parse_vsock(&config->vsock, name, value, error);
}

static bool set_control(struct vm_config *config, const char *name, char *value,
			struct error_text *error)
{
	return take_file(&config->control, name, value, error);
}

static bool set_no_default_cmdline(struct vm_config *config, const char *name, char *value,
				   struct error_text *error)
{
	(void)name, (void)value, (void)error;
	config->no_default_cmdline = true;
	return true;
}

static bool set_check(struct vm_config *config, const char *name, char *value,
		      struct error_text *error)
{
	(void)name, (void)value, (void)error;
	config->check = true;
	return true;
}

static bool set_boot_timer(struct vm_config *config, const char *name, char *value,
			   struct error_text *error)
{
	(void)name, (void)value, (void)error;
	config->boot_timer = true;
	return true;
}

static bool take_fd(int *fd, const char *name, const char *value, struct error_text *error)
{
	return parse_fd(value, fd) ||
	       error_set(error, "%s %s: expected a descriptor number from 3", name, value);
}

static bool set_status_fd(struct vm_config *config, const char *name, char *value,
			  struct error_text *error)
{
	return take_fd(&config->status_fd, name, value, error);
}

static bool set_events_fd(struct vm_config *config, const char *name, char *value,
			  struct error_text *error)
{
	return take_fd(&config->events_fd, name, value, error);
}

static bool set_kvm_fd(struct vm_config *config, const char *name, char *value,
		       struct error_text *error)
{
	return take_fd(&config->kvm_fd, name, value, error);
}

static bool set_start_fd(struct vm_config *config, const char *name, char *value,
			 struct error_text *error)
{
	return take_fd(&config->start_fd, name, value, error);
}

static bool set_lifeline_fd(struct vm_config *config, const char *name, char *value,
			    struct error_text *error)
{
	return take_fd(&config->lifeline_fd, name, value, error);
}

static bool set_snapshot(struct vm_config *config, const char *name, char *value,
			 struct error_text *error)
{
	config->snapshot = value;
	return value[0] != '\0' ||
	       error_set(error, "%s: expected a value, got an empty string", name);
}

static bool set_restore(struct vm_config *config, const char *name, char *value,
			struct error_text *error)
{
	return take_file(&config->restore, name, value, error);
}

static const struct option {
	const char *name;
	bool takes_value, repeatable;
	bool (*set)(struct vm_config *config, const char *name, char *value,
		    struct error_text *error);
} option_table[] = {
	{ "--kernel", true, false, set_kernel },
	{ "--rootfs", true, false, set_rootfs },
	{ "--disk", true, true, set_disk },
	{ "--net", true, true, set_net },
	{ "--vsock", true, false, set_vsock },
	{ "--initrd", true, false, set_initrd },
	{ "--cmdline", true, false, set_cmdline },
	{ "--no-default-cmdline", false, false, set_no_default_cmdline },
	{ "--mem", true, false, parse_mem },
	{ "--cpus", true, false, parse_cpus },
	{ "--acpi", true, false, parse_acpi },
	{ "--serial", true, false, parse_serial },
	{ "--sandbox", true, false, parse_sandbox },
	{ "--uid", true, false, parse_uid },
	{ "--gid", true, false, parse_gid },
	{ "--check", false, false, set_check },
	{ "--boot-timer", false, false, set_boot_timer },
	{ "--status-fd", true, false, set_status_fd },
	{ "--events-fd", true, false, set_events_fd },
	{ "--lifeline-fd", true, false, set_lifeline_fd },
	{ "--kvm-fd", true, false, set_kvm_fd },
	{ "--control", true, false, set_control },
	{ "--grace", true, false, parse_grace },
	{ "--snapshot", true, false, set_snapshot },
	{ "--restore", true, false, set_restore },
	{ "--start-fd", true, false, set_start_fd },
};

/* The option that an argument, "--name" or "--name=value", names; NULL: none. */
static const struct option *option_at(const char *argument)
{
	size_t name_length = strcspn(argument, "=");

	for (size_t i = 0; argument[0] == '-' && i < sizeof(option_table) / sizeof(option_table[0]);
	     i++) {
		const char *name = option_table[i].name;
		if (strncmp(name, argument, name_length) == 0 && name[name_length] == '\0')
			return &option_table[i];
	}
	return NULL;
}

/* Whether the argument after an option is its value. Another option is not: the value was forgotten, or an empty
 * shell variable. */
static bool has_value(int argc, char **argv, int index)
{
	return index + 1 < argc && option_at(argv[index + 1]) == NULL;
}

static bool refuse(char *argument, struct error_text *error)
{
	if (argument[0] != '-') {
		error_set(error, "unexpected argument '%s' (try --help)", argument);
		error->value = argument;
		return false;
	}
	argument[strcspn(argument, "=")] = '\0';
	error_set(error, "unknown option %s (try --help)", argument);
	error->option = argument;
	return false;
}

/* Parsers cut a value at its commas: what is told of it is whole again. */
static bool set(struct vm_config *config, const struct option *option, char *value,
		struct error_text *error)
{
	size_t length = value != NULL ? strlen(value) : 0;

	if (option->set(config, option->name, value, error))
		return true;
	for (size_t i = 0; i < length; i++)
		if (value[i] == '\0')
			value[i] = ',';
	error->value = value;
	return false;
}

/* Takes the option at argv[*index], and its value from the next argument if it is not in "=". *seen
 * has a bit for each entry of the table that was given. */
static bool take_option(struct vm_config *config, int argc, char **argv, int *index, uint32_t *seen,
			struct error_text *error)
{
	char *argument = argv[*index];
	char *equals = strchr(argument, '=');
	const struct option *option = option_at(argument);

	if (option == NULL)
		return refuse(argument, error);
	uint32_t bit = 1u << (option - option_table);
	if ((*seen & bit) && !option->repeatable)
		error_set(error, "%s is given twice", option->name);
	else if (!option->takes_value && equals != NULL)
		error_set(error, "%s takes no value", option->name);
	else if (option->takes_value && equals == NULL && !has_value(argc, argv, *index))
		error_set(error, "%s: a value is missing", option->name);
	else if (set(config, option,
		     !option->takes_value ? NULL
		     : equals != NULL     ? equals + 1
					  : argv[++*index],
		     error)) {
		*seen |= bit;
		return true;
	}
	error->option = option->name;
	return false;
}

int options_next_fd(const char *name, int argc, char **argv, int *index)
{
	int fd;

	while (*index < argc) {
		int i = (*index)++;
		const char *value = strchr(argv[i], '=');
		const struct option *option = option_at(argv[i]);
		if (option == NULL || !option->takes_value)
			continue;
		if (value == NULL && !has_value(argc, argv, i))
			continue;
		value = value != NULL ? value + 1 : argv[(*index)++];
		if (strcmp(option->name, name) == 0 && parse_fd(value, &fd))
			return fd;
	}
	return -1;
}

enum options_result options_parse(struct vm_config *config, int argc, char **argv,
				  struct error_text *error)
{
	uint32_t seen = 0;

	*config = (struct vm_config){
		.mem_bytes = MEM_DEFAULT,
		.n_cpus = 1,
		.acpi = true,
		.status_fd = -1,
		.events_fd = -1,
		.lifeline_fd = -1,
		.kvm_fd = -1,
		.start_fd = -1,
	};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return OPTIONS_HELP;
		if (strcmp(argv[i], "--version") == 0)
			return OPTIONS_VERSION;
		if (!take_option(config, argc, argv, &i, &seen, error))
			return OPTIONS_BAD;
	}
	if (!options_fit(config, error))
		return OPTIONS_BAD;
	config->user.is_given = config->user.uid != 0;
	if (config->cmdline == NULL)
		config->cmdline = "";
	return OPTIONS_RUN;
}
