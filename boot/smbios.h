/* SPDX-License-Identifier: MIT */
/* SMBIOS 3 tables that say nothing (DMTF DSP0134, 5.2.2). Without any a kernel looks for them at 8,192 places. */
#ifndef BOOT_SMBIOS_H
#define BOOT_SMBIOS_H

#include <stdbool.h>

#include "mem/guest_memory.h"

/* At LAYOUT_SMBIOS_GPA. False only if there is no RAM. */
bool smbios_write(const struct guest_memory *memory);

#endif
