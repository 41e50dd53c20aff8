/* SPDX-License-Identifier: MIT */
/* What hostile drivers of all devices do alike. */
#ifndef TESTS_FUZZ_DRIVER_STEPS_H
#define TESTS_FUZZ_DRIVER_STEPS_H

#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio_driver.h"

/* Fields of the input's choice are anything. */
static inline void driver_spoil_desc(struct vring_desc *desc, struct fuzz_input *input)
{
	uint8_t fields = fuzz_byte(input);

	if (fields & 1)
		desc->addr = fuzz_number(input);
	if (fields & 2)
		desc->len = (uint32_t)fuzz_number(input);
	if (fields & 4)
		desc->flags = fuzz_byte(input);
	if (fields & 8)
		desc->next = fuzz_byte(input);
}

/* Registers, by a vCPU that `what` does not have kick: from 0x80 on. */
static inline void driver_use_registers(struct virtio_transport *transport, uint8_t what,
					struct fuzz_input *input)
{
	static const uint8_t statuses[] = { 0, 1, 3, 11, 15, 15, 15, 0x80 };

	if (what < 0xc0)
		driver_read(transport, (what & 63) * 4u);
	else if (what < 0xe0)
		driver_write(transport, VIRTIO_MMIO_STATUS, statuses[what & 7]);
	else
		driver_write(transport, (fuzz_byte(input) & 63) * 4u, (uint32_t)fuzz_number(input));
}

#endif
