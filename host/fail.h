/* SPDX-License-Identifier: MIT */
/* Failures of the set-up: one line on stderr, and an exit status that says who can cure it. */
#ifndef HOST_FAIL_H
#define HOST_FAIL_H

#include <semaphore.h>

#include "host/error.h"

/* Prints "vmm: " and the message as one line on stderr, in the form of error_format(), then exits. For the set-up only:
 * once the guest runs, errors are return codes (docs/design.md, "Errors"). */
_Noreturn void fail(enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, with ": " and the text of errno appended. */
_Noreturn void fail_errno(enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same with the text, exit status and details of a check. */
_Noreturn void fail_error(const struct error_text *error);

/* And in front of the text the option and its value, as on a command line, and ": ". */
_Noreturn void fail_option(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Exits without a line on stderr. */
_Noreturn void fail_quietly(int status);

/* A signal ends the set-up: 128 + N, quietly. */
_Noreturn void fail_by_signal(int number);

/* If both threads of the set-up fail, only one line is printed, and always the same: after fail_behind() a failure
 * of the calling thread waits until the other thread has called fail_clear(), or has itself failed. */
void fail_behind(void);
void fail_clear(void);

/* From now on the calling thread leaves its failures, and its end by a signal, to the one that waits for the semaphore, and calls
 * fail_if_inherited() then, which ends the process in that case. */
void fail_by_heir(sem_t *wakes);
void fail_if_inherited(void);

#endif
