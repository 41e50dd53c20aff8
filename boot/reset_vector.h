/* SPDX-License-Identifier: MIT */
/* The code at a PC's reset vector: Linux jumps there to reboot when all else has failed, and with reboot=bios. */
#ifndef BOOT_RESET_VECTOR_H
#define BOOT_RESET_VECTOR_H

#include <stdbool.h>

#include "mem/guest_memory.h"

/* Writes code to LAYOUT_RESET_VECTOR_GPA that resets through the i8042, which ends the VM. False only if there is no RAM
 * there. */
bool reset_vector_write(const struct guest_memory *memory);

#endif
