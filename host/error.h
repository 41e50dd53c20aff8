/* SPDX-License-Identifier: MIT */
/* Exit statuses, and short texts that say what is wrong. */
#ifndef HOST_ERROR_H
#define HOST_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* Why the VM ends. The exit status is an interface: docs/launcher.md documents each value, launchers switch on them. The low
 * numbers are the guest's own; the monitor's keep out of their way, and of those of timeout and the shell, 124 and 127. */
enum exit_code {
	EXIT_GUEST_ENDED = 0,      /* the guest powered off or reset, or a person typed Ctrl-a x */
	EXIT_MONITOR_FAILED = 120, /* a fault of the monitor itself */
	EXIT_BAD_INPUT = 121,      /* the user's: an option, a kernel, an initrd, an image */
	EXIT_HOST_REFUSED =
		122, /* a retry or the host cures it: no permission, no memory, in use */
	EXIT_TRIPLE_FAULT = 123,   /* the guest triple-faulted */
	EXIT_KVM_ERROR = 125,      /* KVM_EXIT_INTERNAL_ERROR or another exit that cannot go on */
	EXIT_GUEST_PANICKED = 126, /* the guest's kernel panicked, and reset */
	EXIT_SIGNAL_BASE = 128,    /* ended by signal N: 128 + N */
	EXIT_GUEST_STATUS = 256, /* the guest told its own status N: 256 + N; the process's is N */
};

/* The exit status, 0 to 255, that belongs to an end. */
static inline int exit_status_of(int end)
{
	return end & 0xff;
}

/* The result of a function that does not fail by itself: a short text, and the exit status that belongs to it. */
struct error_text {
	enum exit_code code; /* EXIT_BAD_INPUT or EXIT_HOST_REFUSED */
	const char *option,
		*value; /* what it is about, if the text says it, too; NULL: not known */
	int os_error;   /* 0: not known */
	char text[256];
};

/* These format into *error, as error_format() does, and return false, so that a check can end in `return
 * error_set(...)`. What the user wrote is wrong: */
_Bool error_set(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The host refuses what may be right, now or for this user: */
_Bool error_set_refused(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A system call failed: errno tells which of the two, and is kept. It does not appear in the text by itself. */
_Bool error_set_errno(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* EXIT_BAD_INPUT for an errno that tells of a name, kind or number that cannot be right (ENOENT, EINVAL and their
 * like; 0, a file that is too short), EXIT_HOST_REFUSED for any other. */
enum exit_code exit_code_of_errno(int error);

/* text_format_list() for one line of a terminal. A message that is too long loses its middle: that of the user's string, between
 * its option and what is wrong with it. Control characters become '?'. */
void error_format(char *text, size_t room, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

#endif
