/* SPDX-License-Identifier: MIT */
/* More vCPUs than the host's KVM allows: one line that names the option, and exit status 122. */
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "machine/machine.h"
#include "tests/unit/check.h"

#define KVM_FD     (-3)
#define KVM_ALLOWS 4

static struct machine machine;

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	unsigned long argument = va_arg(list, unsigned long);
	va_end(list);
	if (fd == KVM_FD && (unsigned)request == (unsigned)KVM_CHECK_EXTENSION)
		return argument == KVM_CAP_MAX_VCPUS ? KVM_ALLOWS : 0;
	errno = EMFILE; /* KVM_CREATE_VCPU */
	return -1;
}

/* The exit status of a machine with so many vCPUs, and what it says. */
static int status_of(unsigned n_cpus, char *text, size_t text_bytes)
{
	int ends[2], status;

	CHECK_EQ(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		machine.config.n_cpus = n_cpus;
		machine.kvm_fd = machine.vm_fd = KVM_FD;
		machine_create_vcpus(&machine);
		_exit(0);
	}
	close(ends[1]);
	ssize_t n = read(ends[0], text, text_bytes - 1);
	close(ends[0]);
	CHECK(n > 0);
	text[n] = '\0';
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_limit(void)
{
	char text[256];

	CHECK_EQ(status_of(KVM_ALLOWS + 1, text, sizeof(text)), EXIT_HOST_REFUSED);
	CHECK_STRING(text, "vmm: --cpus 5: this host's KVM allows 4\n");
	/* As many as it allows are tried, and a descriptor too few is said as such. */
	CHECK_EQ(status_of(KVM_ALLOWS, text, sizeof(text)), EXIT_HOST_REFUSED);
	CHECK_HAS(text, "KVM_CREATE_VCPU 0: ");
}

int main(void)
{
	RUN(test_limit);
	return 0;
}
