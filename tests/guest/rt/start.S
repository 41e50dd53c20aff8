/* SPDX-License-Identifier: MIT */
/*
 * From the monitor's hand to guest_main(). The monitor starts a guest at CPL 0 in long mode with
 * supervisor pages; a KVM that emulates CPL 0 instruction by instruction is slow there and knows few
 * instructions, so this file does only what it must before it drops to CPL 3: tables made by the
 * assembler that give CPL 3 the first 4 GiB and every port.
 *
 * guest_main(zero page) runs at CPL 3 with 64 KiB of stack. A guest that has something to do at CPL 0
 * defines guest_main_cpl0(zero page), which is called before that. Interrupts are off, for good: STI
 * is not for CPL 3 on every host. A guest that takes some says GUEST_WITH_INTERRUPTS (irq.h).
 */
#include "rt/segments.h"

#define RFLAGS_IOPL3 0x3002 /* and interrupts off */

	.section .tables, "aw", @progbits
	.balign 4096
	.globl pml4
pml4:
	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:
	.quad pd_ram + 7, pd_ram + 0x1000 + 7, pd_ram + 0x2000 + 7, pd_devices + 7
	.fill 508, 8, 0
	.set page, 0
pd_ram: /* 2 MiB pages: present, writable, user */
	.rept 3 * 512
	.quad page + 0x87
	.set page, page + 0x200000
	.endr
pd_devices: /* the same, from 3 GiB on, uncached */
	.rept 512
	.quad page + 0x97
	.set page, page + 0x200000
	.endr
tss:
	.long 0
	.quad kernel_stack_end
	.fill 90, 1, 0
	.word io_bitmap - tss
io_bitmap: /* all ports, for a host that does not keep the I/O privilege level */
	.fill 8192, 1, 0
	.byte 0xff
tss_end:
	.balign 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SELECTOR_CODE0 */
	.quad 0x00cf93000000ffff /* SELECTOR_DATA0 */
	.quad 0x00affb000000ffff /* SELECTOR_CODE3 */
	.quad 0x00cff3000000ffff /* SELECTOR_DATA3 */
	.word tss_end - tss - 1, 0, 0x8900, 0 /* SELECTOR_TSS; its base is filled in below */
	.quad 0
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
idt_pointer:
	.word 256 * 16 - 1
	.quad irq_idt

	.section .text.start, "ax"
	.code64
	.globl guest_start
guest_start:
	mov $kernel_stack_end, %esp
	mov %rsi, %rbp
	mov $pml4, %eax
	mov %rax, %cr3
	lgdt gdt_pointer
	lidt idt_pointer
	mov $tss, %eax
	mov %ax, gdt + SELECTOR_TSS + 2
	shr $16, %eax
	mov %al, gdt + SELECTOR_TSS + 4
	mov $SELECTOR_TSS, %eax
	ltr %ax
	mov %rbp, %rdi
	call guest_main_cpl0
	pushq $SELECTOR_DATA3
	pushq $user_stack_end
	pushq guest_user_rflags
	pushq $SELECTOR_CODE3
	pushq $user_start
	iretq

user_start:
	mov %rbp, %rdi
	xor %ebp, %ebp
	call guest_main
	call guest_reset

	.weak guest_main_cpl0
guest_main_cpl0:
	ret

	.section .rodata
	.weak guest_user_rflags
guest_user_rflags:
	.quad RFLAGS_IOPL3

	.bss
	.balign 16
	.fill 8192
	.globl kernel_stack_end
kernel_stack_end:
	.fill 65536
user_stack_end:
	.section .note.GNU-stack, "", @progbits
