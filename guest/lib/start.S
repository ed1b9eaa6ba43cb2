/* SPDX-License-Identifier: GPL-2.0-only */
/* Entry points and exception vectors of the bare-metal guests. */

	.section .text.start, "ax"
	.globl	_start
_start:
	mov	x19, x0				// the device tree
	adrp	x0, stack_top
	add	sp, x0, :lo12:stack_top
	adrp	x0, bss_start
	add	x0, x0, :lo12:bss_start
	adrp	x1, bss_end
	add	x1, x1, :lo12:bss_end
1:	cmp	x0, x1
	b.hs	2f
	str	xzr, [x0], #8
	b	1b
2:	bl	set_vectors
	bl	uart_init
	mov	x0, x19
	bl	guest_main
	bl	done

	.weak	guest_secondary
	.globl	secondary_start
secondary_start:
	mov	sp, x0
	bl	set_vectors
	bl	guest_secondary
3:	wfi
	b	3b

set_vectors:
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	isb
	ret

/*
 * An exception's frame: x0-x18, x30, ELR, SPSR; the compiler keeps the other registers. exception() is given the
 * vector's number and the frame.
 */
	.macro	each_pair instruction
	\instruction	x2, x3, [sp, #16]
	\instruction	x4, x5, [sp, #32]
	\instruction	x6, x7, [sp, #48]
	\instruction	x8, x9, [sp, #64]
	\instruction	x10, x11, [sp, #80]
	\instruction	x12, x13, [sp, #96]
	\instruction	x14, x15, [sp, #112]
	\instruction	x16, x17, [sp, #128]
	\instruction	x18, x30, [sp, #144]
	.endm

	.balign	0x800
vectors:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.balign	0x80
	sub	sp, sp, #176
	stp	x0, x1, [sp]
	mov	x0, #\number
	b	take_exception
	.endr

take_exception:
	each_pair stp
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	stp	x1, x2, [sp, #160]
	mov	x1, sp
	bl	exception
	ldp	x1, x2, [sp, #160]
	msr	elr_el1, x1
	msr	spsr_el1, x2
	each_pair ldp
	ldp	x0, x1, [sp]
	add	sp, sp, #176
	eret
