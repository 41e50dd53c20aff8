/* Which exit status a refusal ends with: 2 for what the user wrote, 3 for what a retry or the host cures. */
#include "host/fail.h"

#include "tests/unit/check.h"

static void test_errno_decides(void)
{
	static const int users[] = { 0,      ENOENT, ENOTDIR, EISDIR,   ELOOP, ENAMETOOLONG,
				     EINVAL, EBADF,  ENODEV,  ENOTSOCK, ENXIO, ENOTTY };
	static const int hosts[] = { EACCES,  EPERM,  EMFILE, ENFILE, ENOMEM,     ENOBUFS,
				     EAGAIN,  EBUSY,  EIO,    EROFS,  ENOSPC,     EDQUOT,
				     ETXTBSY, ENOLCK, EINTR,  ENOSYS, EOPNOTSUPP, EADDRINUSE };
	struct error_text error;

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		errno = users[i];
		CHECK(!error_set_errno(&error, "%s", strerror(errno)));
		CHECK_EQ(error.code, EXIT_BAD_INPUT);
		CHECK_STRING(error.text, strerror(users[i]));
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		errno = hosts[i];
		CHECK(!error_set_errno(&error, "cannot: %s", strerror(errno)));
		CHECK_EQ(error.code, EXIT_HOST_REFUSED);
		CHECK_HAS(error.text, strerror(hosts[i]));
	}
}

static void test_said_by_the_caller(void)
{
	struct error_text error;

	errno = EACCES;
	CHECK(!error_set(&error, "a %d", 1));
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
	CHECK_STRING(error.text, "a 1");
	errno = ENOENT;
	CHECK(!error_set_refused(&error, "b %d", 2));
	CHECK_EQ(error.code, EXIT_HOST_REFUSED);
	CHECK_STRING(error.text, "b 2");
}

int main(void)
{
	RUN(test_errno_decides);
	RUN(test_said_by_the_caller);
	return 0;
}
