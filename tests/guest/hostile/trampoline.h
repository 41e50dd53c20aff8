/* SPDX-License-Identifier: MIT */
/* Between smp.c and trampoline.S. Included by assembly, too. */
#ifndef TESTS_GUEST_HOSTILE_TRAMPOLINE_H
#define TESTS_GUEST_HOSTILE_TRAMPOLINE_H

#define HOSTILE_TRAMPOLINE  0x8000
#define HOSTILE_GDT_OFFSET  0xf00
#define HOSTILE_STACK_BYTES 8192

#endif
