/* SPDX-License-Identifier: MIT */
/*
 * The input is what a monitor that waits (--start-fd) reads: in pieces, cut off, with anything in it. What the order does is compared with
 * what its first line says to a reader of its own: it lets the guest go on, is refused with one line, or ends the monitor.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/failing.h"

#include "config/start_order.h"
#include "machine/restore.h"

enum {
	HAS_VSOCK = 1
};

static struct machine machine;
static struct fuzz_input order; /* what is still to be read */
static size_t piece_bytes;
static int order_fd;

/* The order's, piece by piece; all others go on to the kernel. */
ssize_t read(int fd, void *data, size_t room)
{
	if (fd != order_fd)
		return syscall(SYS_read, fd, data, room);
	size_t bytes = room < piece_bytes ? room : piece_bytes;
	bytes = bytes < order.left ? bytes : order.left;
	memcpy(data, order.at, bytes);
	order.at += bytes;
	order.left -= bytes;
	return (ssize_t)bytes;
}

struct expected {
	int status; /* -1: the guest goes on */
	unsigned long long guest_cid;
	const char *text;
	size_t text_bytes;
};

static bool skip(struct fuzz_input *input, const char *word)
{
	size_t length = strlen(word);

	if (input->left < length || memcmp(input->at, word, length) != 0)
		return false;
	input->at += length;
	input->left -= length;
	return true;
}

/* The number may have as many zeroes as there is room for. */
static bool read_cid(struct fuzz_input *line, unsigned long long *cid)
{
	for (*cid = 0; line->left > 0 && *line->at >= '0' && *line->at <= '9';
	     line->at++, line->left--)
		if (*cid <= UINT32_MAX)
			*cid = *cid * 10 + (*line->at - '0');
	return *cid >= 3 && *cid < UINT32_MAX;
}

static struct expected read_line(struct fuzz_input line, bool has_vsock)
{
	struct expected expected = { .status = EXIT_BAD_INPUT, .text = "" };

	if (memchr(line.at, '\0', line.left) != NULL || !skip(&line, "go"))
		return expected;
	if (skip(&line, " cid=") && (!read_cid(&line, &expected.guest_cid) || !has_vsock))
		return expected;
	if (skip(&line, " text=")) {
		expected.text = (const char *)line.at;
		expected.text_bytes = line.left;
		line.left = 0;
	}
	if (line.left == 0 && expected.text_bytes < IDENTITY_TEXT_BYTES)
		expected.status = -1;
	return expected;
}

static struct expected expect(struct fuzz_input input, bool has_vsock)
{
	const uint8_t *end = memchr(input.at, '\n', input.left);
	size_t bytes = end == NULL ? input.left : (size_t)(end - input.at);

	if (bytes > START_ORDER_BYTES - 2)
		return (struct expected){ .status = EXIT_BAD_INPUT };
	if (end == NULL)
		return (struct expected){ .status = EXIT_GUEST_ENDED };
	return read_line((struct fuzz_input){ input.at, bytes }, has_vsock);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const seeds[] = {
		"go\n",
		"go cid=17\n",
		"go text=web-17 10.0.0.17/24\n",
		"go cid=4294967294 text=a text=b\n",
		"go\r\n",
		"stop\n",
	};
	struct fuzz_program longest = { .n = 0 };
	char name[16];

	(void)argc, (void)argv;
	order_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC); /* ppoll() finds it ready */
	CHECK(order_fd > 0);
	machine.config.start_fd = order_fd;
	machine.signals.fd = -1;
	for (unsigned i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		struct fuzz_program seed = { .bytes = { HAS_VSOCK }, .n = 1 };
		fuzz_append(&seed, (const uint8_t *)seeds[i], strlen(seeds[i]));
		snprintf(name, sizeof(name), "order-%u", i);
		fuzz_seed(name, seed.bytes, seed.n);
	}
	FUZZ_APPEND(&longest, HAS_VSOCK | 7 << 1, 'g', 'o', ' ', 'c', 'i', 'd', '=');
	while (longest.n < START_ORDER_BYTES - 1)
		FUZZ_APPEND(&longest, '0');
	FUZZ_APPEND(&longest, '7', '7', '\n');
	fuzz_seed("longest", longest.bytes, longest.n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };
	uint8_t flags = fuzz_byte(&input);
	bool has_vsock = flags & HAS_VSOCK;
	struct identity *identity = &machine.timer.identity;

	order = input;
	piece_bytes = flags >> 1 != 0 ? flags >> 1 : SIZE_MAX;
	machine.config.vsock.guest_cid = has_vsock ? 3 : 0;
	machine.vsock.vsock.config.guest_cid = 0;
	memset(identity, 0, sizeof(*identity));
	const struct expected expected = expect(input, has_vsock);
	if (!FUZZ_SURVIVES(machine_await_order(&machine))) {
		CHECK_EQ(fuzz_status, expected.status);
		return 0;
	}
	CHECK_EQ(expected.status, -1);
	CHECK_EQ(machine.vsock.vsock.config.guest_cid, expected.guest_cid);
	CHECK_EQ(strlen(identity->text), expected.text_bytes);
	CHECK(memcmp(identity->text, expected.text, expected.text_bytes) == 0);
	return 0;
}
