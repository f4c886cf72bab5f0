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
 * Guest stub. At its start a system call for the keeper's own use: the guest's filter allows calls from the stub's
 * address range.
 */
	.globl omfs_guest_stub_begin, omfs_guest_stub_end
	.balign 16
omfs_guest_stub_begin:
	syscall
	int3
	.balign 16
omfs_guest_stub_end:

	.section .note.GNU-stack,"",@progbits
