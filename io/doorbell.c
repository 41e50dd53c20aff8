#include "io/doorbell.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/ioctl.h"

static void kick_arrived(struct ring_op *op, int32_t result)
{
	struct doorbell *doorbell = (struct doorbell *)op;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		warn("a doorbell's eventfd: %s; its device stands still", strerror(-result));
		return;
	}
	/* Listen again first: a kick during kicked() is not lost. */
	doorbell_arm(doorbell);
	if (result > 0)
		doorbell->kicked(doorbell->device, doorbell->value);
}

bool doorbell_add_address(const struct doorbell *doorbell, int vm_fd, uint64_t gpa)
{
	struct kvm_ioeventfd request = {
		.datamatch = doorbell->value,
		.addr = gpa,
		.len = sizeof(uint32_t),
		.fd = doorbell->fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return host_ioctl(vm_fd, KVM_IOEVENTFD, &request) == 0;
}

void doorbell_open(struct doorbell *doorbell, int vm_fd, struct ring *ring, uint64_t gpa,
		   uint32_t value, doorbell_fn *kicked, void *device)
{
	*doorbell = (struct doorbell){
		.op.done = kick_arrived,
		.ring = ring,
		.fd = eventfd(0, EFD_CLOEXEC),
		.kicked = kicked,
		.device = device,
		.value = value,
	};
	if (doorbell->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "eventfd for a doorbell");
	if (!doorbell_add_address(doorbell, vm_fd, gpa))
		fail_errno(EXIT_HOST_REFUSED, "KVM_IOEVENTFD at 0x%llx", (unsigned long long)gpa);
}

void doorbell_arm(struct doorbell *doorbell)
{
	struct io_uring_sqe *sqe = ring_prepare(doorbell->ring);

	io_uring_prep_read(sqe, doorbell->fd, &doorbell->count, sizeof(doorbell->count), 0);
	ring_commit(sqe, &doorbell->op);
}

void doorbell_close(struct doorbell *doorbell)
{
	close(doorbell->fd);
	doorbell->fd = -1;
}
