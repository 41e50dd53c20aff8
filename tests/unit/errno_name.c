/* SPDX-License-Identifier: MIT */
/* Errors' names are those of the C library. */
#include "host/errno_name.h"

#include "tests/unit/check.h"

static void test_names(void)
{
	int n = 0;

	for (int number = -1; number < 300; number++) {
		const char *name = errno_name(number);
		if (name == NULL)
			continue;
		n++;
		/* Both are right. */
		if (number == EOPNOTSUPP)
			CHECK_STRING(name, "EOPNOTSUPP");
		else
			CHECK_STRING(name, strerrorname_np(number));
	}
	CHECK(n >= 50);
	CHECK_STRING(errno_name(ENOENT), "ENOENT");
	CHECK_STRING(errno_name(ECANCELED), "ECANCELED"); /* the last one */
	CHECK(errno_name(0) == NULL);
}

int main(void)
{
	RUN(test_names);
	return 0;
}
