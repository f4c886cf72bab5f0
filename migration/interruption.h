// What a signal does to a system call that the program has made but that nobody has begun to execute.
//
// While a process is away there is time between its making a call and somebody's executing it: the keeper has not received the
// notification, the deputy has not seen the request, or a move is made of the call. A signal that comes then may count as having
// come before the call, which is made after the handler; never may it end a call with EINTR that no signal can end natively (as
// stat), nor, for a call that waits and is never restarted (as poll), be lost: the program would wait for what has been.
//
// A call that is made again because a move or a signal without handler has interrupted it is different: it had begun. It ends as the
// kernel that interrupted it has said (Keeper::interrupted_).
#pragma once

#include "migration/syscall_table.h"

namespace omfs::migration {

// The kernel's restart code (traced_task.h) for a call that was not begun.
int64_t EndOfUnbegunCall(uint64_t nr, const SyscallArgs& args);

}  // namespace omfs::migration
