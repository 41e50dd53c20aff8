/* SPDX-License-Identifier: MIT */
/* Selectors of the guests' GDT (start.S). Included by assembly, too. */
#ifndef TESTS_GUEST_RT_SEGMENTS_H
#define TESTS_GUEST_RT_SEGMENTS_H

#define SELECTOR_CODE0 0x08
#define SELECTOR_DATA0 0x10
#define SELECTOR_CODE3 0x1b
#define SELECTOR_DATA3 0x23
#define SELECTOR_TSS   0x28

#endif
