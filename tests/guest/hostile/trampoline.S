/* SPDX-License-Identifier: MIT */
/* From real mode, at HOSTILE_TRAMPOLINE, to smp_main(cpu) in long mode. The page tables and the GDT are the boot processor's; the
 * GDT's place is in the page, where real mode reaches it. No processor has a TSS: none takes an interrupt. */
#include "hostile/trampoline.h"
#include "rt/segments.h"

#define CR4_PAE  0x20
#define EFER     0xc0000080
#define EFER_LME 0x100
#define CR0_PG_PE 0x80000001
#define LAPIC_ID 0xfee00020

	.text
	.globl smp_trampoline, smp_trampoline_end
	.code16
smp_trampoline:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl HOSTILE_GDT_OFFSET
	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG_PE, %eax
	mov %eax, %cr0
	ljmpl $SELECTOR_CODE0, $smp_long
smp_trampoline_end:

	.code64
smp_long:
	mov $SELECTOR_DATA0, %eax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $LAPIC_ID, %edi
	mov (%rdi), %edi
	shr $24, %edi
	lea 1(%rdi), %rsp
	imul $HOSTILE_STACK_BYTES, %rsp, %rsp
	add $smp_stacks, %rsp
	call smp_main
1:	hlt
	jmp 1b
	.section .note.GNU-stack, "", @progbits
