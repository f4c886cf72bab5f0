#include "migration/interruption.h"

#include <sys/syscall.h>

#include "migration/traced_task.h"

namespace omfs::migration {

int64_t EndOfUnbegunCall(uint64_t nr, const SyscallArgs& args) {
  switch (nr) {
    // signal(7): "never restarted after being interrupted by a signal handler, regardless of the use of SA_RESTART". Not the
    // sleeps: they would have to say how much time remains.
    case SYS_pause:
    case SYS_poll:
    case SYS_select:
    case SYS_epoll_wait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_msgrcv:
    case SYS_msgsnd:
    case SYS_restart_syscall:  // of a call that has begun
      return kRestartNoHand;
    // With a signal mask of their own, the signal may be one that they keep off.
    case SYS_ppoll:
      return args[3] == 0 ? kRestartNoHand : kRestartNoIntr;
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2:
      return args[4] == 0 ? kRestartNoHand : kRestartNoIntr;
    case SYS_pselect6:
      return args[5] == 0 ? kRestartNoHand : kRestartNoIntr;
    default:
      return kRestartNoIntr;
  }
}

}  // namespace omfs::migration
