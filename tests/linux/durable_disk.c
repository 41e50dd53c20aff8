/* SPDX-License-Identifier: MIT */
/*
 * Runs a command beside disks that write down what is done to them:
 *
 *     durable_disk DIRECTORY LOG FILE... -- COMMAND...
 *
 * Each FILE appears as DIRECTORY/NAME, with its contents, for the command alone; FILE itself stays as it is. LOG gets an event
 * for the beginning of each change and each flush, and one for its end before whoever asked is told of it. So the log is one
 * order of all that has happened to all files, and a change that is answered before a flush begins is the flush's. Flushes
 * and changes take a random time, during which the other files go on. Exits 77 without FUSE.
 *
 * An event: struct durable_event, and behind a write its data. tests/machines/durable_check.py reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX     8u
#define THREADS       4u
#define CAPACITY      (64u << 20)
#define REQUEST_BYTES (1u << 20)
#define FIRST_INODE   2u
#define WRITE_BYTES   (128u << 10)
#define DELAY_US      2000u
#define LONG_DELAY_US 50000u /* the guest does much in it */

struct durable_event {
	char kind; /* w write, z zeroes, s size (in `bytes`), f flush; e the end of event `id` */
	uint8_t file;
	uint8_t reserved[6];
	uint64_t id;
	uint64_t offset;
	uint64_t bytes;
};
_Static_assert(sizeof(struct durable_event) == 32, "the log's format");

struct file {
	const char *name;
	uint64_t bytes;
	uint8_t *data;
};

static struct file files[FILES_MAX];
static unsigned n_files;
static int fuse_fd;
static FILE *log_file;
static uint64_t last_id;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void reply(uint64_t unique, int error, const void *data, size_t length)
{
	struct fuse_out_header header = { (uint32_t)(sizeof(header) + length), error, unique };
	struct iovec parts[2] = { { &header, sizeof(header) },
				  { (void *)(uintptr_t)data, length } };
	ssize_t n = writev(fuse_fd, parts, length > 0 ? 2 : 1);

	(void)n; /* whoever asked may be gone */
}

static struct fuse_attr attr_of(uint64_t inode)
{
	bool is_file = inode >= FIRST_INODE;

	return (struct fuse_attr){ .ino = inode,
				   .size = is_file ? files[inode - FIRST_INODE].bytes : 0,
				   .mode = is_file ? S_IFREG | 0600 : S_IFDIR | 0700,
				   .mtime = 1,
				   .ctime = 1,
				   .nlink = 1 };
}

static void put_event(const struct durable_event *event, const void *data)
{
	if (fwrite(event, sizeof(*event), 1, log_file) != 1 ||
	    (event->kind == 'w' && fwrite(data, event->bytes, 1, log_file) != 1))
		die("durable_disk: cannot write the log");
}

static void apply(struct file *file, const struct durable_event *event, const void *data)
{
	uint64_t end = event->offset + event->bytes;

	if (event->kind == 'w')
		memcpy(file->data + event->offset, data, event->bytes);
	else if (event->kind == 'z')
		memset(file->data + event->offset, 0, event->bytes);
	else if (event->kind == 's' && event->bytes < file->bytes)
		memset(file->data + event->bytes, 0, file->bytes - event->bytes);
	if (event->kind == 's' || (event->kind == 'w' && end > file->bytes))
		file->bytes = event->kind == 's' ? event->bytes : end;
}

static void take_time(const struct durable_event *event)
{
	uint64_t number = event->id * 0x9e3779b97f4a7c15 >> 40;

	if (event->kind == 'f' && number % 8 == 0)
		usleep((unsigned)(number / 8 % LONG_DELAY_US));
	else if (event->kind != 'w' || number % 8 == 0)
		usleep((unsigned)(number / 8 % DELAY_US));
}

/* A change or a flush, from its beginning to just before its answer. 0, or an error. */
static int record(uint64_t inode, struct durable_event event, const void *data)
{
	struct durable_event end = { .kind = 'e' };
	struct file *file = &files[inode - FIRST_INODE];

	if (event.offset > CAPACITY || event.bytes > CAPACITY - event.offset)
		return -EFBIG;
	pthread_mutex_lock(&lock);
	event.file = end.file = (uint8_t)(inode - FIRST_INODE);
	event.id = end.id = ++last_id;
	if (event.kind == 'z' && event.offset + event.bytes > file->bytes)
		event.bytes = event.offset < file->bytes ? file->bytes - event.offset : 0;
	apply(file, &event, data);
	put_event(&event, data);
	pthread_mutex_unlock(&lock);
	take_time(&event);
	pthread_mutex_lock(&lock);
	put_event(&end, NULL);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void start(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
				     .minor = in->minor < 31 ? in->minor : 31,
				     .max_readahead = in->max_readahead,
				     .max_background = 64,
				     .congestion_threshold = 64,
				     .max_write = WRITE_BYTES };

	reply(unique, 0, &out, sizeof(out));
}

static void look_up(uint64_t unique, const char *name)
{
	for (unsigned i = 0; i < n_files; i++) {
		struct fuse_entry_out out = { .nodeid = FIRST_INODE + i,
					      .attr = attr_of(FIRST_INODE + i) };
		if (strcmp(name, files[i].name) == 0) {
			reply(unique, 0, &out, sizeof(out));
			return;
		}
	}
	reply(unique, -ENOENT, NULL, 0);
}

static void get_attr(uint64_t unique, uint64_t inode)
{
	struct fuse_attr_out out = { .attr = attr_of(inode) };

	reply(unique, 0, &out, sizeof(out));
}

static void set_attr(uint64_t unique, uint64_t inode, const struct fuse_setattr_in *in)
{
	int error = 0;

	if (in->valid & FATTR_SIZE)
		error = record(inode, (struct durable_event){ .kind = 's', .bytes = in->size },
			       NULL);
	if (error)
		reply(unique, error, NULL, 0);
	else
		get_attr(unique, inode);
}

static void do_read(uint64_t unique, uint64_t inode, const struct fuse_read_in *in)
{
	const struct file *file = &files[inode - FIRST_INODE];
	uint64_t offset = in->offset < file->bytes ? in->offset : file->bytes;
	uint64_t bytes = in->size < file->bytes - offset ? in->size : file->bytes - offset;

	reply(unique, 0, file->data + offset, bytes);
}

static void do_write(uint64_t unique, uint64_t inode, const struct fuse_write_in *in)
{
	struct fuse_write_out out = { .size = in->size };
	int error = record(
		inode,
		(struct durable_event){ .kind = 'w', .offset = in->offset, .bytes = in->size },
		in + 1);

	reply(unique, error, &out, error ? 0 : sizeof(out));
}

static void do_fallocate(uint64_t unique, uint64_t inode, const struct fuse_fallocate_in *in)
{
	struct durable_event event = { .kind = 'z', .offset = in->offset, .bytes = in->length };
	bool is_known = in->mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
			in->mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);

	reply(unique, is_known ? record(inode, event, NULL) : -EOPNOTSUPP, NULL, 0);
}

static void answer(const struct fuse_in_header *header)
{
	const struct fuse_open_out open_out = { .open_flags = FOPEN_DIRECT_IO };
	const void *in = header + 1;

	switch (header->opcode) {
	case FUSE_INIT:
		start(header->unique, in);
		break;
	case FUSE_LOOKUP:
		look_up(header->unique, in);
		break;
	case FUSE_GETATTR:
		get_attr(header->unique, header->nodeid);
		break;
	case FUSE_SETATTR:
		set_attr(header->unique, header->nodeid, in);
		break;
	case FUSE_OPEN:
		reply(header->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_READ:
		do_read(header->unique, header->nodeid, in);
		break;
	case FUSE_WRITE:
		do_write(header->unique, header->nodeid, in);
		break;
	case FUSE_FSYNC:
		reply(header->unique,
		      record(header->nodeid, (struct durable_event){ .kind = 'f' }, NULL), NULL, 0);
		break;
	case FUSE_FALLOCATE:
		do_fallocate(header->unique, header->nodeid, in);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these want no answer */
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		reply(header->unique, 0, NULL, 0);
		break;
	default:
		reply(header->unique, -ENOSYS, NULL, 0);
		break;
	}
}

static void *serve(void *request)
{
	for (;;) {
		ssize_t n = read(fuse_fd, request, REQUEST_BYTES);
		if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
			return NULL; /* unmounted */
		if (n > 0)
			answer(request);
	}
}

static void load(const char *path)
{
	struct file *file = &files[n_files++];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *slash = strrchr(path, '/');

	file->name = slash != NULL ? slash + 1 : path;
	file->data = mmap(NULL, CAPACITY, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || file->data == MAP_FAILED)
		die(path);
	for (ssize_t n = 1; n > 0; file->bytes += (uint64_t)n)
		if ((n = read(fd, file->data + file->bytes, CAPACITY - file->bytes)) < 0)
			die(path);
	close(fd);
}

static bool mount_on(const char *directory)
{
	char options[100];

	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
	return fuse_fd >= 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("vmm-test", directory, "fuse", MS_NOSUID | MS_NODEV, options) == 0;
}

int main(int argc, char **argv)
{
	int at = 3, status;
	pthread_t thread;

	while (at < argc && strcmp(argv[at], "--") != 0 && n_files < FILES_MAX)
		load(argv[at++]);
	if (at >= argc - 1)
		return 2;
	log_file = fopen(argv[2], "we");
	if (log_file == NULL)
		die(argv[2]);
	if (!mount_on(argv[1])) {
		perror("durable_disk: no FUSE here");
		return 77;
	}
	pid_t command = fork();
	if (command == 0) {
		execvp(argv[at + 1], argv + at + 1);
		die(argv[at + 1]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, serve, malloc(REQUEST_BYTES)) != 0)
			die("durable_disk: a thread");
	if (command < 0 || waitpid(command, &status, 0) < 0)
		die("durable_disk");
	pthread_mutex_lock(&lock);
	if (fclose(log_file) != 0)
		die(argv[2]);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
