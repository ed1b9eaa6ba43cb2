/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest for AArch32 at EL1 (Documentation/arch/arm/booting: r0 = 0, r1 = ~0, r2 = FDT): prints one result on UART 0 and
 * powers off. Written as A32 instruction words, since the assembler of an AArch64 toolchain knows no others; it runs from
 * wherever it is loaded. guest/lib, of which nothing is used, is linked behind it.
 */
	.section .text.start, "ax"
	.globl	guest_main
guest_main:
	.word	0xe5923000	// 00 ldr   r3, [r2]
	.word	0xe3004dd0	// 04 movw  r4, #0x0dd0
	.word	0xe34e4dfe	// 08 movt  r4, #0xedfe		the FDT's magic, big-endian
	.word	0xe1530004	// 0c cmp   r3, r4
	.word	0x028f2000 + good - . - 8	// 10 addeq r2, pc, #...
	.word	0x128f2000 + bad - . - 8	// 14 addne r2, pc, #...
	.word	0xe3a01401	// 18 mov   r1, #0x01000000	UART 0
	.word	0xe4d20001	// 1c ldrb  r0, [r2], #1
	.word	0xe3500000	// 20 cmp   r0, #0
	.word	0x15c10000	// 24 strbne r0, [r1]
	.word	0x1afffffb	// 28 bne   1c
	.word	0xe3000008	// 2c movw  r0, #0x0008
	.word	0xe3480400	// 30 movt  r0, #0x8400		PSCI SYSTEM_OFF
	.word	0xe1400070	// 34 hvc   #0
	.word	0xeafffffe	// 38 b     38
good:	.asciz	"ok AArch32: r2 is the FDT\ndone 1\n"
bad:	.asciz	"not ok AArch32: r2 is the FDT\ndone 1\n"
