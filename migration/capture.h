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

// Makes registers of a task stopped inside a system call such that the kernel where the task goes on can finish what the
// kernel here has begun: -ERESTARTSYS and its relatives stay in rax, with the number in orig_rax. A task that is resumed from a
// stop with them is on its way to a signal: if one with a handler waits, the call fails or starts over as it would have
// here, else it is issued again.
//
// A call with a restart block (-516: sleeps and waits with a relative timeout) cannot take its block along. A sleep with room for the
// remaining time goes on with that; one without stays as it is and becomes restart_syscall, which is always for the home
// process to execute (see keeper.h): true. The others start over, so that they last at least as long as asked.
bool MakePortable(user_regs_struct* regs);

// Whether the call is a relative sleep without a place for the remaining time.
bool SleepsWithoutTrace(uint64_t nr, const SyscallArgs& args);

// A `syscall` instruction in the task's vDSO.
absl::StatusOr<RemotePtr> FindSyscallSite(TracedTask& task);

}  // namespace omfs::migration
