/* SPDX-License-Identifier: MIT */
/*
 * The guest of memory.sh: says on the first serial port that it runs, and halts with interrupts off, for good. It
 * needs no device, so every monitor that loads an ELF file can be asked what such a VM costs.
 */
	.text
	.code64
	.globl _start
_start:
	cli
	mov $0x3f8, %dx
	mov $'@', %al
	out %al, %dx
0:	hlt
	jmp 0b
	.section .note.GNU-stack, "", @progbits
