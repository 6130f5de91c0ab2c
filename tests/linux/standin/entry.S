/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>
#include <asm/frame.h>

/*
 * What hv_hypercall_pg points to. Hyper-V's convention: rcx control, rdx input, r8 output; only rax, rcx, rdx and r8 to r11
 * may change.
 */
SYM_FUNC_START(standin_hypercall_entry)
	FRAME_BEGIN
	push	%rdi
	push	%rsi
	mov	%rcx, %rdi
	mov	%rdx, %rsi
	mov	%r8, %rdx
	call	standin_hypercall
	pop	%rsi
	pop	%rdi
	FRAME_END
	RET
SYM_FUNC_END(standin_hypercall_entry)

/* Where calls of hv_is_hyperv_initialized() are sent. */
SYM_FUNC_START(standin_return_true)
	mov	$1, %eax
	RET
SYM_FUNC_END(standin_return_true)
