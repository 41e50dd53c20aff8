/* SPDX-License-Identifier: MIT */
/* One 16-byte stub for each vector, which ends in irq_dispatch(vector, interrupted rip) at CPL 0. */
#include "rt/segments.h"

	.text
	.balign 16
	.globl irq_stubs
irq_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector == 8 || vector == 17 || vector >= 10 && vector <= 14
	/* the CPU has pushed an error code */
	.else
	pushq $0
	.endif
	pushq $vector
	jmp common
	.set vector, vector + 1
	.endr

common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov 72(%rsp), %rdi
	mov 88(%rsp), %rsi
	call irq_dispatch
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
