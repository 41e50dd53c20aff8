/* SPDX-License-Identifier: MIT */
/* An iSCSI Boot Firmware Table that names no disk (iBFT 1.03). Without one a kernel looks for it at 24,576 places below 1 MiB, with
 * this one at 8,128. */
#ifndef BOOT_IBFT_H
#define BOOT_IBFT_H

#include <stdbool.h>

#include "mem/guest_memory.h"

/* At LAYOUT_IBFT_GPA. False only if there is no RAM. */
bool ibft_write(const struct guest_memory *memory);

#endif
