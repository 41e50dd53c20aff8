/* SPDX-License-Identifier: MIT */
/* A failure of the set-up, or its quiet end, ends the input and not the process: the linker puts these in place of host/fail.c's. */
#ifndef TESTS_FUZZ_FAILING_H
#define TESTS_FUZZ_FAILING_H

#include <setjmp.h>
#include <stdarg.h>

#include "host/fail.h"
#include "host/text.h"
#include "tests/fuzz/fuzz.h"

_Noreturn void __wrap_fail_option(struct error_text *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void __wrap_fail_errno(enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void __wrap_fail_quietly(int status);

static jmp_buf fuzz_leave;
static int fuzz_status;            /* the exit status, when it has ended */
static struct error_text fuzz_why; /* for those with a line */

static inline _Noreturn void fuzz_end(int status)
{
	fuzz_status = status;
	longjmp(fuzz_leave, 1);
}

/* One line, and whose mistake it is. */
_Noreturn void __wrap_fail_option(struct error_text *error, const char *format, ...)
{
	char subject[512];
	va_list args;

	va_start(args, format);
	text_format_list(subject, sizeof(subject), format, args);
	va_end(args);
	fuzz_why = *error;
	CHECK(strncmp(subject, "--", 2) == 0);
	CHECK(memchr(error->text, '\0', sizeof(error->text)) != NULL && error->text[0] != '\0');
	for (const char *at = error->text; *at != '\0'; at++)
		CHECK((unsigned char)*at >= ' ' && *at != '\x7f');
	CHECK(error->code == EXIT_BAD_INPUT || error->code == EXIT_HOST_REFUSED);
	fuzz_end((int)error->code);
}

_Noreturn void __wrap_fail_errno(enum exit_code code, const char *format, ...)
{
	fuzz_why = (struct error_text){ .code = code };
	snprintf(fuzz_why.text, sizeof(fuzz_why.text), "%s", format);
	fuzz_end((int)code);
}

_Noreturn void __wrap_fail_quietly(int status)
{
	fuzz_why = (struct error_text){ .text = "" };
	fuzz_end(status);
}

/* Runs the statement; false: it has ended the process, with fuzz_status. */
#define FUZZ_SURVIVES(statement) (setjmp(fuzz_leave) == 0 ? ((statement), true) : false)

#endif
