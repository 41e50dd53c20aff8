/* SPDX-License-Identifier: MIT */
/*
 * A crash of the host at any moment leaves an overlay's FILE readable, with every write in it that was flushed, and each
 * later one as it was before or after.
 *
 * The host is played here: it takes the operations off the ring and does them in any order, some of them only in part, and
 * may deliver a result much later. It keeps, for each sector of FILE, what is surely on stable storage, and what may be:
 * whatever was written since. Only an fdatasync makes that sure, and only of what was answered before it was asked for.
 * After each operation the host crashes in one of many ways: FILE is made of any of the versions of each sector.
 */
#include "tests/unit/check.h"
#include "tests/unit/overlay_rig.h"

#define CRASHES      6000u
#define EVENTS       160u /* of a round; then the next monitor starts */
#define SECTORS      ((300u << 20) / SECTOR_BYTES + 3) /* bits on three pages; a short last block */
#define BLOCK        (OVERLAY_BLOCK_BYTES / SECTOR_BYTES)
#define DATA_GPA     (uint64_t)(1u << 20)
#define DATA_BYTES   (64u << 10)
#define REQUESTS     12u
#define OPERATIONS   64u
#define VERSIONS     200u
#define META_SECTORS (BLOCK * 4) /* header, and three pages of bits */
#define NEVER        UINT64_MAX

/* The guest writes only near these blocks: where words and pages of bits end, and at the ends of the disk. */
static const uint64_t first_blocks[] = { 0, 62, 32766, 65535, (SECTORS - 1) / BLOCK - 1 };
#define GROUPS        (sizeof(first_blocks) / sizeof(first_blocks[0]))
#define GROUP_SECTORS (3 * BLOCK)
#define HOT_SECTORS   (GROUPS * GROUP_SECTORS)
#define FILE_SECTORS  (META_SECTORS + HOT_SECTORS)

static uint64_t chance = 0x9e3779b97f4a7c15;

static uint64_t random_below(uint64_t n)
{
	return check_random(&chance) % n;
}

/* FILE. */
struct version {
	uint8_t data[SECTOR_BYTES];
	uint64_t answered; /* when */
};

struct file_sector {
	uint8_t stable[SECTOR_BYTES];
	unsigned n;
	struct version versions[VERSIONS];
};

static struct file_sector file_sectors[FILE_SECTORS];
static uint64_t now, data_start;
static int base_fd, file_fd;
static bool ever_stable;

static uint64_t sector_of_hot(unsigned hot)
{
	return first_blocks[hot / GROUP_SECTORS] * BLOCK + hot % GROUP_SECTORS;
}

static uint64_t offset_of(unsigned index)
{
	return index < META_SECTORS
		       ? index * (uint64_t)SECTOR_BYTES
		       : data_start + sector_of_hot(index - META_SECTORS) * SECTOR_BYTES;
}

static bool on_disk(unsigned hot)
{
	return sector_of_hot(hot) < SECTORS;
}

/* -1: not one of those that are followed. */
static int index_of(uint64_t offset)
{
	if (offset < data_start)
		return (int)(offset / SECTOR_BYTES);
	for (unsigned hot = 0; hot < HOT_SECTORS; hot++)
		if (offset == offset_of(META_SECTORS + hot))
			return (int)(META_SECTORS + hot);
	return -1;
}

/* The host has changed these bytes of FILE; `answered` may follow. */
static void add_versions(uint64_t offset, uint64_t bytes, uint64_t answered)
{
	for (uint64_t at = offset; at < offset + bytes; at += SECTOR_BYTES) {
		int index = index_of(at);
		CHECK(index >= 0);
		struct file_sector *sector = &file_sectors[index];
		CHECK(sector->n < VERSIONS);
		struct version *version = &sector->versions[sector->n++];
		CHECK(pread(file_fd, version->data, SECTOR_BYTES, (off_t)at) == SECTOR_BYTES);
		version->answered = answered;
	}
}

static void answer_versions(uint64_t offset, uint64_t bytes)
{
	for (uint64_t at = offset; at < offset + bytes; at += SECTOR_BYTES) {
		struct file_sector *sector = &file_sectors[index_of(at)];
		for (unsigned i = 0; i < sector->n; i++)
			if (sector->versions[i].answered == NEVER)
				sector->versions[i].answered = now;
	}
}

static void make_stable(uint64_t asked)
{
	for (unsigned index = 0; index < FILE_SECTORS; index++) {
		struct file_sector *sector = &file_sectors[index];
		unsigned n = sector->n;
		while (n > 0 && sector->versions[n - 1].answered >= asked)
			n--;
		if (n == 0)
			continue;
		memcpy(sector->stable, sector->versions[n - 1].data, SECTOR_BYTES);
		memmove(sector->versions, sector->versions + n,
			(sector->n - n) * sizeof(struct version));
		sector->n -= n;
	}
	ever_stable = true;
}

/* The host's operations. */
struct operation {
	struct io_uring_sqe sqe;
	struct iovec parts[4];
	uint64_t asked;
	int32_t result;
	bool is_done;
};

static struct operation operations[OPERATIONS];
static unsigned n_operations;

static void collect(void)
{
	struct io_uring_sq *queue = &rig_ring.uring.sq;

	now++;
	for (unsigned at = queue->sqe_head; at != queue->sqe_tail; at++) {
		CHECK(n_operations < OPERATIONS);
		struct operation *operation = &operations[n_operations++];
		*operation = (struct operation){ .sqe = queue->sqes[at & queue->ring_mask],
						 .asked = now };
		if (operation->sqe.opcode == IORING_OP_READV ||
		    operation->sqe.opcode == IORING_OP_WRITEV) {
			CHECK(operation->sqe.len <= 4);
			memcpy(operation->parts, (void *)(uintptr_t)operation->sqe.addr,
			       operation->sqe.len * sizeof(struct iovec));
		} else {
			operation->parts[0] =
				(struct iovec){ (void *)(uintptr_t)operation->sqe.addr,
						operation->sqe.len };
			operation->sqe.len = 1;
		}
	}
	queue->sqe_tail = queue->sqe_head;
}

static bool is_opcode(const struct operation *operation, uint8_t one, uint8_t other)
{
	return operation->sqe.opcode == one || operation->sqe.opcode == other;
}

static void do_write(struct operation *operation)
{
	const struct io_uring_sqe *sqe = &operation->sqe;
	struct iov data = { operation->parts, sqe->len };
	uint64_t sectors = iov_bytes(&data) / SECTOR_BYTES;

	/* Only a part. That ends a round's flushes, if it is one of the bits. */
	if (sectors > 1 && random_below(sqe->off < data_start ? 64 : 3) == 0)
		CHECK(iov_trim(&data, (1 + random_below(sectors - 1)) * SECTOR_BYTES));
	operation->result = (int32_t)pwritev(sqe->fd, data.parts, (int)data.n, (off_t)sqe->off);
	CHECK_EQ(operation->result, iov_bytes(&data));
	add_versions(sqe->off, (uint64_t)operation->result, NEVER);
}

static void do_operation(struct operation *operation)
{
	const struct io_uring_sqe *sqe = &operation->sqe;

	operation->is_done = true;
	if (is_opcode(operation, IORING_OP_READ, IORING_OP_READV)) {
		operation->result =
			(int32_t)preadv(sqe->fd, operation->parts, (int)sqe->len, (off_t)sqe->off);
	} else if (is_opcode(operation, IORING_OP_WRITE, IORING_OP_WRITEV)) {
		CHECK_EQ(sqe->fd, rig_overlay.file.fd);
		do_write(operation);
	} else if (sqe->opcode == IORING_OP_FALLOCATE) {
		/* addr and len: the length and the mode. */
		operation->result = -EOPNOTSUPP;
		if (operation->parts[0].iov_len & FALLOC_FL_ZERO_RANGE)
			return;
		operation->result = fallocate(sqe->fd, (int)operation->parts[0].iov_len,
					      (off_t)sqe->off, (off_t)sqe->addr);
		CHECK_EQ(operation->result, 0);
		add_versions(sqe->off, sqe->addr, NEVER);
	} else {
		CHECK_EQ(sqe->opcode, IORING_OP_FSYNC);
		CHECK_EQ(sqe->fsync_flags, IORING_FSYNC_DATASYNC);
	}
}

static void deliver(unsigned index)
{
	struct operation operation = operations[index];
	const struct io_uring_sqe *sqe = &operation.sqe;
	struct ring_op *op = (struct ring_op *)(uintptr_t)sqe->user_data;

	operations[index] = operations[--n_operations];
	if (is_opcode(&operation, IORING_OP_WRITE, IORING_OP_WRITEV))
		answer_versions(sqe->off, (uint64_t)operation.result);
	else if (sqe->opcode == IORING_OP_FALLOCATE && operation.result == 0)
		answer_versions(sqe->off, sqe->addr);
	else if (sqe->opcode == IORING_OP_FSYNC)
		make_stable(operation.asked);
	op->done(op, operation.result);
	collect();
}

/* The guest. Each write of a sector is another value. */
struct guest_sector {
	uint8_t first[SECTOR_BYTES]; /* value 0 */
	bool is_zero[VERSIONS];
	unsigned newest;   /* value that was sent */
	unsigned answered; /* value */
	unsigned flushed;  /* value */
	bool is_busy;      /* a write of it is under way */
};

struct guest_request {
	bool is_sent;
	uint32_t type;
	unsigned hot, n;
	unsigned at_least[HOT_SECTORS]; /* values that were answered when it was sent */
};

static struct guest_sector guest[HOT_SECTORS];
static struct guest_request requests[REQUESTS];
static uint64_t reads_checked, flushes_done;

static void put_value(uint8_t *data, unsigned hot, unsigned value)
{
	uint64_t stamp = (uint64_t)hot << 32 | value << 8 | 0xa5;

	if (value == 0) {
		memcpy(data, guest[hot].first, SECTOR_BYTES);
		return;
	}
	for (unsigned i = 0; i < SECTOR_BYTES; i += 8)
		memcpy(data + i, &stamp, 8);
	if (guest[hot].is_zero[value])
		memset(data, 0, SECTOR_BYTES);
}

static void check_value(const uint8_t *data, unsigned hot, unsigned least, const char *what)
{
	uint8_t expected[SECTOR_BYTES];

	for (unsigned value = least; value <= guest[hot].newest; value++) {
		put_value(expected, hot, value);
		if (memcmp(data, expected, SECTOR_BYTES) == 0)
			return;
	}
	fprintf(stderr, "%s: sector %llu begins with %02x %02x %02x %02x, no value of %u to %u\n",
		what, (unsigned long long)sector_of_hot(hot), data[0], data[1], data[2], data[3],
		least, guest[hot].newest);
	check_failed(__FILE__, __LINE__, "the sector's contents");
}

static uint64_t data_gpa(unsigned slot)
{
	return DATA_GPA + slot * (uint64_t)DATA_BYTES;
}

static void send_request(unsigned slot, uint32_t bytes)
{
	const struct guest_request *request = &requests[slot];
	bool is_range =
		request->type == VIRTIO_BLK_T_DISCARD || request->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint64_t sector = sector_of_hot(request->hot);

	if (is_range) {
		struct virtio_blk_discard_write_zeroes range = { sector, request->n,
								 (uint32_t)random_below(2) };
		if (request->type == VIRTIO_BLK_T_DISCARD)
			range.flags = 0;
		memcpy(rig_at(data_gpa(slot)), &range, sizeof(range));
		bytes = sizeof(range);
	}
	rig_offer((uint16_t)(slot * 3),
		  &(struct rig_request){ request->type, is_range ? 0 : sector, data_gpa(slot),
					 bytes },
		  false);
	virtio_device_lock(&rig.block.device);
	rig.block.device.type->queue_notify(&rig.block.device, 0);
	virtio_device_unlock(&rig.block.device);
	collect();
}

/* Sectors of one group; those of a change are nobody else's now. */
static bool choose_sectors(struct guest_request *request)
{
	unsigned group = (unsigned)random_below(GROUPS), first, n = 0;

	first = (unsigned)random_below(GROUP_SECTORS);
	if (random_below(3) == 0)
		first -= first % BLOCK;
	unsigned wanted = 1 + (unsigned)random_below(random_below(3) ? 4 : GROUP_SECTORS - first);
	request->hot = group * GROUP_SECTORS + first;
	while (n < wanted && first + n < GROUP_SECTORS && on_disk(request->hot + n) &&
	       (request->type == VIRTIO_BLK_T_IN || !guest[request->hot + n].is_busy))
		n++;
	request->n = n;
	if (request->type != VIRTIO_BLK_T_DISCARD)
		return n > 0;
	/* Whole blocks only: of others nothing is said. */
	request->n -= request->n % BLOCK;
	return request->n > 0 && first % BLOCK == 0;
}

static void begin_change(const struct guest_request *request, unsigned slot)
{
	for (unsigned i = 0; i < request->n; i++) {
		struct guest_sector *sector = &guest[request->hot + i];
		CHECK(++sector->newest < VERSIONS);
		sector->is_busy = true;
		sector->is_zero[sector->newest] = request->type != VIRTIO_BLK_T_OUT;
		if (request->type == VIRTIO_BLK_T_OUT)
			put_value(rig_at(data_gpa(slot) + i * (uint64_t)SECTOR_BYTES),
				  request->hot + i, sector->newest);
	}
}

static void ask(unsigned slot)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT,         VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_OUT,         VIRTIO_BLK_T_IN,
					  VIRTIO_BLK_T_IN,          VIRTIO_BLK_T_FLUSH,
					  VIRTIO_BLK_T_FLUSH,       VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES };
	struct guest_request *request = &requests[slot];

	request->type = types[random_below(sizeof(types) / sizeof(types[0]))];
	request->n = 0;
	if (request->type != VIRTIO_BLK_T_FLUSH && !choose_sectors(request))
		return;
	if (request->type == VIRTIO_BLK_T_FLUSH)
		request->hot = 0;
	else if (request->type != VIRTIO_BLK_T_IN)
		begin_change(request, slot);
	for (unsigned hot = 0; hot < HOT_SECTORS; hot++)
		request->at_least[hot] = guest[hot].answered;
	request->is_sent = true;
	send_request(slot, request->n * SECTOR_BYTES);
}

static void answered(unsigned slot)
{
	struct guest_request *request = &requests[slot];
	uint8_t status = *rig_status_of((uint16_t)(slot * 3));
	bool is_change = request->type != VIRTIO_BLK_T_FLUSH && request->type != VIRTIO_BLK_T_IN;

	request->is_sent = false;
	/* A write of less than a block into a new one counts as a full disk. */
	CHECK(status == VIRTIO_BLK_S_OK || (is_change && status == VIRTIO_BLK_S_IOERR) ||
	      rig.block.store.flush_failed);
	for (unsigned i = 0; i < request->n; i++) {
		struct guest_sector *sector = &guest[request->hot + i];
		if (is_change) {
			sector->is_busy = false;
			if (status == VIRTIO_BLK_S_OK)
				sector->answered = sector->newest;
			continue;
		}
		check_value(rig_at(data_gpa(slot) + i * (uint64_t)SECTOR_BYTES), request->hot + i,
			    request->at_least[request->hot + i], "a read");
		reads_checked++;
	}
	if (request->type != VIRTIO_BLK_T_FLUSH || status != VIRTIO_BLK_S_OK)
		return;
	flushes_done++;
	for (unsigned hot = 0; hot < HOT_SECTORS; hot++)
		if (request->at_least[hot] > guest[hot].flushed)
			guest[hot].flushed = request->at_least[hot];
}

static void take_answers(void)
{
	while (rig_used_count() > 0)
		answered(rig_take_used().id / 3);
}

/* FILE as one of the many crashes that may come now leaves it. */
static int crash(void)
{
	int fd = memfd_create("crashed", MFD_CLOEXEC);
	uint64_t way = random_below(6);

	CHECK(fd >= 0);
	if (!ever_stable && random_below(2))
		return fd; /* not even its size */
	CHECK(ftruncate(fd, (off_t)(data_start + (uint64_t)SECTORS * SECTOR_BYTES)) == 0);
	for (unsigned index = 0; index < FILE_SECTORS; index++) {
		const struct file_sector *sector = &file_sectors[index];
		bool is_meta = index < META_SECTORS;
		uint64_t n = 0;
		if (!is_meta && !on_disk(index - META_SECTORS))
			continue;
		if (way == 0 || (way == 1 && is_meta) || (way == 2 && !is_meta))
			n = sector->n; /* all of these have come there */
		else if (way >= 4)
			n = random_below(sector->n + 1);
		const uint8_t *data = n > 0 ? sector->versions[n - 1].data : sector->stable;
		CHECK(pwrite(fd, data, SECTOR_BYTES, (off_t)offset_of(index)) == SECTOR_BYTES);
	}
	return fd;
}

/* What a guest reads after the crash. */
static void check_crashed(int fd)
{
	struct error_text error;
	struct block_overlay overlay;
	struct block_image base = rig_base_image(base_fd, SECTORS);
	struct file_name name = { "fd=N", fd };
	uint8_t data[SECTOR_BYTES];

	if (!overlay_file_open(&overlay, &base, &name, NULL, &error)) {
		fprintf(stderr, "%s\n", error.text);
		check_failed(__FILE__, __LINE__, "FILE is refused");
	}
	for (unsigned hot = 0; hot < HOT_SECTORS; hot++) {
		uint64_t offset = sector_of_hot(hot) * SECTOR_BYTES;
		if (!on_disk(hot))
			continue;
		bool in_overlay = block_overlay_has(&overlay, offset, SECTOR_BYTES);
		CHECK(pread(in_overlay ? fd : base_fd, data, SECTOR_BYTES,
			    (off_t)(in_overlay ? data_start + offset : offset)) == SECTOR_BYTES);
		check_value(data, hot, guest[hot].flushed, "after a crash");
	}
	rig_free_map(&overlay);
}

/* The next monitor's beginning: FILE as it is, all of it stable. */
static void start(void)
{
	uint8_t data[SECTOR_BYTES];

	n_operations = 0;
	memset(requests, 0, sizeof(requests));
	rig_open_overlay(base_fd, SECTORS, file_fd);
	rig_start_driver(64);
	CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
	data_start = rig_overlay.data_start;
	for (unsigned index = 0; index < FILE_SECTORS; index++) {
		struct file_sector *sector = &file_sectors[index];
		sector->n = 0;
		memset(sector->stable, 0, SECTOR_BYTES);
		if (pread(file_fd, sector->stable, SECTOR_BYTES, (off_t)offset_of(index)) <= 0)
			CHECK(!on_disk(index - META_SECTORS));
	}
	if (!ever_stable) { /* the header is not, either */
		memset(file_sectors[0].stable, 0, SECTOR_BYTES);
		add_versions(0, SECTOR_BYTES, 0);
	}
	for (unsigned hot = 0; hot < HOT_SECTORS; hot++) {
		uint64_t offset = sector_of_hot(hot) * SECTOR_BYTES;
		bool in_overlay = on_disk(hot) && block_overlay_has(&rig_overlay, offset, 1);
		memset(data, 0, sizeof(data));
		CHECK(pread(in_overlay ? file_fd : base_fd, data, SECTOR_BYTES,
			    (off_t)(in_overlay ? data_start + offset : offset)) >= 0);
		guest[hot] = (struct guest_sector){ .is_busy = !on_disk(hot) };
		memcpy(guest[hot].first, data, SECTOR_BYTES);
	}
}

static void do_event(void)
{
	unsigned slot = (unsigned)random_below(REQUESTS);

	now++;
	if (!requests[slot].is_sent && (n_operations == 0 || random_below(3) == 0)) {
		ask(slot);
	} else if (n_operations > 0) {
		unsigned index = (unsigned)random_below(n_operations);
		if (!operations[index].is_done)
			do_operation(&operations[index]);
		else
			deliver(index);
	}
	take_answers();
}

static void test_crashes(void)
{
	unsigned crashes = 0;

	base_fd = rig_make_base((uint64_t)SECTORS * SECTOR_BYTES);
	file_fd = memfd_create("overlay", MFD_CLOEXEC);
	while (crashes < CRASHES) {
		int crashed = -1;
		start();
		for (unsigned i = 0; i < EVENTS; i++, crashes++) {
			do_event();
			if (crashed >= 0)
				close(crashed);
			crashed = crash();
			check_crashed(crashed);
		}
		rig_close_overlay();
		close(file_fd);
		file_fd = crashed;
		if (random_below(3) > 0) /* with another FILE */
			CHECK(ftruncate(file_fd, 0) == 0);
		ever_stable &= lseek(file_fd, 0, SEEK_END) > 0;
	}
	printf("%u crashes, %llu flushes, %llu sectors read\n", crashes,
	       (unsigned long long)flushes_done, (unsigned long long)reads_checked);
	CHECK(flushes_done > 200 && reads_checked > 1000);
	close(file_fd);
	close(base_fd);
}

int main(void)
{
	RUN(test_crashes);
	return 0;
}
