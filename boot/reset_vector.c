/* SPDX-License-Identifier: MIT */
#include "boot/reset_vector.h"

#include <assert.h>
#include <stdint.h>

#include "io/reset_port.h"
#include "mem/layout.h"

bool reset_vector_write(const struct guest_memory *memory)
{
	/* Real mode, at F000:FFF0. */
	static const uint8_t code[] = {
		0xb0, RESET_PORT_RESET,     /*    mov $0xfe, %al */
		0xe6, LAYOUT_I8042_COMMAND, /*    out %al, $0x64 */
		0xf4,                       /* 1: hlt */
		0xeb, 0xfd,                 /*    jmp 1b */
	};

	static_assert(LAYOUT_RESET_VECTOR_GPA + sizeof(code) <= LAYOUT_HIGH_RAM_GPA,
		      "below the kernel");
	return guest_memory_write(memory, LAYOUT_RESET_VECTOR_GPA, code, sizeof(code));
}
