/* SPDX-License-Identifier: MIT */
/* The page sizes of x86-64: the host's and the guest's. */
#ifndef MEM_PAGE_H
#define MEM_PAGE_H

#include <stdint.h>

#define PAGE_BYTES      ((uint64_t)4096)
#define HUGE_PAGE_BYTES ((uint64_t)2 << 20)

#endif
