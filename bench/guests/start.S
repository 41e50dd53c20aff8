/* SPDX-License-Identifier: MIT */
/*
 * The guest of startup.sh: prints one byte on the first serial port with its third instruction, asks for a reset
 * with its fifth, and has nothing else. It runs unchanged at CPL 0 in long mode under every monitor that loads an ELF
 * file; bench/floor.c, which starts its vCPU in real mode, has the same five instructions.
 */
	.text
	.code64
	.globl _start
_start:
	mov $0x3f8, %dx
	mov $'@', %al
	out %al, %dx
	mov $0xfe, %al /* the keyboard controller's reset command */
	out %al, $0x64
0:	hlt
	jmp 0b
	.section .note.GNU-stack, "", @progbits
