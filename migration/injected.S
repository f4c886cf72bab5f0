/*
 * Code that runs inside a process that is away: no libc, no stack, position-independent, no relocations. It is copied
 * into the process, never executed in the program that contains it.
 *
 * Deputy blob: the home process after its memory has left. r15 holds the address of its call slot
 * (struct CallSlot, migration/deputy_blob.h): it waits for a request, executes the six-word system call, posts the
 * result. A call that the agent has given up waiting for (state SLOW) ends in a breakpoint, which the agent, being the
 * tracer, sees as a stop: so it can wait for it together with everything else.
 */
	.text

	.globl omfs_deputy_blob_begin, omfs_deputy_blob_end
	.globl omfs_deputy_blob_load, omfs_deputy_blob_call, omfs_deputy_blob_called
	.balign 16
omfs_deputy_blob_begin:
0:	movl	(%r15), %edx
	cmpl	$1, %edx		/* REQUEST */
	je	omfs_deputy_blob_load
	cmpl	$3, %edx		/* SLOW, set before we even woke up */
	je	omfs_deputy_blob_load
	movl	$202, %eax		/* futex(&slot->state, FUTEX_WAIT, state, no timeout) */
	movq	%r15, %rdi
	xorl	%esi, %esi
	xorl	%r10d, %r10d
	syscall
	jmp	0b
omfs_deputy_blob_load:
	movq	8(%r15), %rax
	movq	16(%r15), %rdi
	movq	24(%r15), %rsi
	movq	32(%r15), %rdx
	movq	40(%r15), %r10
	movq	48(%r15), %r8
	movq	56(%r15), %r9
omfs_deputy_blob_call:
	syscall
omfs_deputy_blob_called:
	movq	%rax, 64(%r15)
	movl	$2, %eax		/* DONE */
	xchgl	%eax, (%r15)
	cmpl	$3, %eax
	je	1f
	movl	$202, %eax		/* futex(&slot->state, FUTEX_WAKE, 1) */
	movq	%r15, %rdi
	movl	$1, %esi
	movl	$1, %edx
	syscall
	jmp	0b
1:	int3
	jmp	0b
omfs_deputy_blob_end:

/*
 * Guest stub, first page: the only addresses from which the guest's filter lets every call pass. At its start a system call
 * for the keeper's own use. Then the common part of the fast path (guest_stub.h): entered by a call from a trampoline with
 * the registers of a system call, returns its result in rax; rcx and r11 are lost as with a system call.
 */
	.globl omfs_guest_stub_begin, omfs_guest_stub_end, omfs_guest_stub_fast
	.balign 16
omfs_guest_stub_begin:
	syscall
	int3
	.balign 16
omfs_guest_stub_fast:
	cmpq	$20, %rax
	ja	9f
	movl	$0x1e010b, %r11d	/* read 0, write 1, close 3, lseek 8, pread 17, pwrite 18, readv 19, writev 20 */
	btl	%eax, %r11d
	jnc	9f
	cmpl	$3, %eax
	je	2f
	pushq	%rax
	syscall
	cmpq	$-9, %rax		/* EBADF: no file of this node, or not open for this */
	je	1f
	cmpq	$-29, %rax		/* ESPIPE: lseek of a placeholder */
	je	1f
	leaq	8(%rsp), %rsp
	ret
1:	popq	%rax
	jmp	9f
2:	pushq	%rsi			/* close: a placeholder must not be closed here; lseek tells it from a file */
	pushq	%rdx
	movl	$8, %eax
	xorl	%esi, %esi
	movl	$1, %edx
	syscall
	popq	%rdx
	popq	%rsi
	cmpq	$-9, %rax
	je	3f
	cmpq	$-29, %rax
	je	3f
	movl	$3, %eax
	syscall
	ret
3:	movl	$3, %eax
9:	jmp	omfs_guest_stub_begin + 4096	/* the trapping call: first thing in the second page */
	.balign 16
omfs_guest_stub_end:

/* What the second page begins with: a call that the filter does not let pass. */
	.globl omfs_guest_trap_begin, omfs_guest_trap_end
	.balign 16
omfs_guest_trap_begin:
	syscall
	ret
	.balign 16
omfs_guest_trap_end:

	.section .note.GNU-stack,"",@progbits
