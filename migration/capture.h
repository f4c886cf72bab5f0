// Reading a stopped process's state into an Image (everything but mappings, memory and descriptors), and deciding what
// an interrupted system call means for the place where the process goes on.
#pragma once

#include "migration/remote_ptr.h"
#include "migration/syscall_table.h"
#include "migration/traced_task.h"
#include "proto/migration.pb.h"

namespace omfs::migration {

// If the task stands in a restartable sequence, moves it to the sequence's abort handler, as the kernel does when it
// preempts one. Must be called before anything else is executed in the task, since that clears rseq_cs.
absl::Status LeaveRestartableSequence(TracedTask& task);

// Fills registers, xstate, signal state, rseq, lists, limits, credentials, layout. site: a `syscall` instruction in
// the task; scratch: 4 KiB of its memory that may be overwritten.
absl::Status CaptureState(TracedTask& task, RemotePtr site, RemotePtr scratch, Image* image);

// Turns registers of a task stopped inside a system call into registers with which the call is issued anew.
//
// The kernel leaves -ERESTARTSYS/-NOINTR/-NOHAND in rax and would itself back up to the instruction. A call with a
// restart block (-516: sleeps and waits with a relative timeout) cannot take its block along: sleeps go on with the
// remaining time where the caller gave room for it; without room they become restart_syscall, which is always for the home
// process to execute (see keeper.h); the others start over, so that they last at least as long as asked.
void RestartInterruptedCall(user_regs_struct* regs);

// Whether the call is a relative sleep without a place for the remaining time.
bool SleepsWithoutTrace(uint64_t nr, const SyscallArgs& args);

// A `syscall` instruction in the task's vDSO.
absl::StatusOr<RemotePtr> FindSyscallSite(TracedTask& task);

}  // namespace omfs::migration
