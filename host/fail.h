/* How the monitor says that something went wrong, and what its exit status means. */
#ifndef HOST_FAIL_H
#define HOST_FAIL_H

#include <stdarg.h>
#include <stddef.h>

/* The exit status is an interface: README.md documents each value, launchers switch on them. */
enum exit_code {
	EXIT_GUEST_ENDED = 0,    /* the guest powered off or reset, or a person typed Ctrl-a x */
	EXIT_MONITOR_FAILED = 1, /* a fault of the monitor itself */
	EXIT_BAD_INPUT = 2,      /* an option, kernel, initrd or image that cannot be used */
	EXIT_HOST_REFUSED = 3,  /* no /dev/kvm, no permission, no memory, a capability is missing */
	EXIT_TRIPLE_FAULT = 4,  /* the guest triple-faulted */
	EXIT_KVM_ERROR = 5,     /* KVM_EXIT_INTERNAL_ERROR or another exit that cannot go on */
	EXIT_SIGNAL_BASE = 128, /* ended by signal N: 128 + N */
};

/* Prints "vmm: " and the message as one line on stderr, then exits. For set-up only: once the
 * guest runs, errors are return codes (README.md, Design). */
_Noreturn void fail(enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, with ": " and the text of errno appended. */
_Noreturn void fail_errno(enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Where two threads set the machine up and both fail, one line is printed, and always the same: after
 * fail_behind() a failure of the calling thread waits until another thread has called fail_clear(), or has itself
 * failed. Once each. */
void fail_behind(void);
void fail_clear(void);

/* One line on stderr, as fail(), and goes on. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A short text that a pure function hands back instead of failing itself. */
struct error_text {
	char text[256];
};

/* Formats into *error. Returns false, so that a check can end in `return error_set(...)`. */
_Bool error_set(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
