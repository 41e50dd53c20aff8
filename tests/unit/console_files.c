/* SPDX-License-Identifier: MIT */
/* Where the console's output goes: files, FIFOs, devices and inherited descriptors; and hosts that refuse for a while. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/error.h"
#include "tests/unit/console_rig.h"

#define PATH "output"

static const struct console_limits limits = { 2000, 5000, 100 };
static char directory[] = "/tmp/vmm-console.XXXXXX";
static struct gate gate;

static void set_up(const char *text, int fd)
{
	struct file_name file = { .text = text, .fd = fd };

	console_rig_open(&file);
	console_rig_start();
}

static void print(const char *text)
{
	for (; *text != '\0'; text++) {
		out(DATA, (uint8_t)*text);
	}
}

static uint64_t finish(void)
{
	bool hurry = false;

	return console_finish(&console, &limits, &hurry);
}

static void check_file(const char *path, const char *content)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
	CHECK_STRING(text, content);
	close(fd);
}

/* Emptied at first; appended to, also when others have emptied it. */
static void test_file(void)
{
	set_up(PATH, 0);
	print("one\n");
	CHECK_EQ(finish(), 0);
	CHECK(truncate(PATH, 0) == 0);
	print("two\n");
	CHECK_EQ(finish(), 0);
	console_rig_close();
	check_file(PATH, "two\n");
	set_up(PATH, 0);
	console_rig_close();
	check_file(PATH, "");
}

/* Nothing is typed there, and a key that waits on stdin stays. */
static void test_no_input(void)
{
	set_up(PATH, 0);
	CHECK_EQ(console.keyboard.fd, -1);
	CHECK(!console.keyboard.reading);
	console_rig_close();
}

/* The program's end, with one line that has the words. Those before it stay unharmed. */
static void refuse(const char *path, int fd, int status, const char *words)
{
	int ends[2], result;
	char line[512] = "";

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		dup2(ends[1], 2);
		set_up(path, fd);
		exit(0);
	}
	close(ends[1]);
	CHECK(waitpid(child, &result, 0) == child);
	CHECK(read(ends[0], line, sizeof(line) - 1) > 0);
	close(ends[0]);
	CHECK_HAS(line, words);
	CHECK(WIFEXITED(result));
	CHECK_EQ(WEXITSTATUS(result), status);
}

static void test_refusals(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open("locked", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(write(fd, "kept", 4) == 4 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
	CHECK_EQ(mkfifo("fifo", 0600), 0);
	refuse("locked", 0, EXIT_HOST_REFUSED, "--serial file:locked: it is in use");
	check_file("locked", "kept");
	refuse("fifo", 0, EXIT_BAD_INPUT, "nobody reads this FIFO");
	refuse("absent/file", 0, EXIT_BAD_INPUT, "No such file");
	refuse(".", 0, EXIT_BAD_INPUT, "Is a directory");
	int read_only = open("locked", O_RDONLY | O_CLOEXEC);
	refuse("fd=9", read_only, EXIT_BAD_INPUT, "--serial fd=9: ");
	close(read_only);
	close(fd);
}

/* A FIFO that is full: the rest waits for its reader. */
static void test_fifo(void)
{
	static char text[12001], got[sizeof(text)];
	int reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t n_got = 0;

	CHECK(fcntl(reader, F_SETPIPE_SZ, 4096) == 4096);
	memset(text, 'f', sizeof(text) - 1);
	set_up("fifo", 0);
	print(text);
	RIG_RUN_UNTIL(console.serial.tx_tail > 0 && console.writing);
	for (int64_t end = clock_now_ms() + RIG_WAIT_MS; n_got < sizeof(text) - 1;) {
		CHECK(clock_now_ms() < end);
		ssize_t n = read(reader, got + n_got, sizeof(got) - n_got);
		n_got += n > 0 ? (size_t)n : 0;
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	CHECK_BYTES(got, text, sizeof(text));
	CHECK_EQ(finish(), 0);
	console_rig_close();
	close(reader);
}

/* A device, and a launcher's descriptor: its flags stay as they are. */
static void test_descriptors(void)
{
	int fd = open("inherited", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	set_up("/dev/null", 0);
	CHECK(console.output_blocks);
	print("into nothing\n");
	CHECK_EQ(finish(), 0);
	console_rig_close();
	set_up("fd=9", fcntl(fd, F_DUPFD_CLOEXEC, 9));
	print("to the launcher\n");
	CHECK_EQ(finish(), 0);
	console_rig_close();
	CHECK_EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
	check_file("inherited", "to the launcher\n");
	close(fd);
}

/* As where no task is left for a worker of the kernel (class 29): tried again for a second; then the VM ends. */
static void test_class_29_refused_worker(void)
{
	set_up(PATH, 0);
	console.writing = true;
	print("late\n");
	console.write_op.done(&console.write_op, -ECANCELED);
	CHECK(console.writing);
	RIG_RUN_UNTIL(!console.writing && console.serial.tx_head == console.serial.tx_tail);
	check_file(PATH, "late\n");
	CHECK_EQ(console.refusal.since_ms, 0);
	int old_stderr = fcntl(2, F_DUPFD_CLOEXEC, 10), log = open("log", O_RDWR | O_CREAT, 0600);
	CHECK(dup2(log, 2) == 2);
	console.refusal.since_ms = clock_now_ms() - 100000;
	console.writing = true;
	console.write_op.done(&console.write_op, -ECANCELED);
	CHECK(dup2(old_stderr, 2) == 2);
	CHECK_EQ(exit_request_status(&exit_request), EXIT_HOST_REFUSED);
	CHECK(console.output_failed && !console.writing);
	close(log);
	close(old_stderr);
	console_rig_close();
}

/* A launcher's descriptor that does not block, and is full: it is waited for. */
static void test_full_for_a_moment(void)
{
	set_up(PATH, 0);
	console.writing = true;
	print("later\n");
	console.write_op.done(&console.write_op, -EAGAIN);
	CHECK(console.writing && !console.output_failed);
	RIG_RUN_UNTIL(!console.writing && console.serial.tx_head == console.serial.tx_tail);
	check_file(PATH, "later\n");
	console_rig_close();
}

/* Lost bytes count, but for those of a reader that has left. */
static void test_lost_bytes(void)
{
	set_up(PATH, 0);
	console.lost_bytes = 5;
	CHECK_EQ(console_lost_bytes(&console), 5);
	console.reader_gone = true;
	CHECK_EQ(console_lost_bytes(&console), 0);
	console_rig_close();
}

/* A vCPU that waits for room lets a pause through: it has left its guest. */
static void test_waits_at_gate(void)
{
	const struct serial_host *host;

	set_up(PATH, 0);
	host = &console.serial.host;
	host->waits(host->context, true);
	host->waits(host->context, false);
	gate_init(&gate, 1, -1);
	console.gate = &gate;
	host->waits(host->context, true);
	host->waits(host->context, false);
	console_rig_close();
}

int main(void)
{
	CHECK(mkdtemp(directory) != NULL && chdir(directory) == 0);
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	RUN(test_file);
	RUN(test_no_input);
	RUN(test_refusals);
	RUN(test_fifo);
	RUN(test_descriptors);
	RUN(test_class_29_refused_worker);
	RUN(test_full_for_a_moment);
	RUN(test_lost_bytes);
	RUN(test_waits_at_gate);
	for (const char *const *name =
		     (const char *const[]){ PATH, "locked", "fifo", "inherited", "log", NULL };
	     *name != NULL; name++)
		unlink(*name);
	CHECK(rmdir(directory) == 0);
	return 0;
}
