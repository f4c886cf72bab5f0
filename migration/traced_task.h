// TracedTask: one thread under PTRACE_SEIZE, and everything that is asked of it while it is stopped.
//
// ptrace requests work only from the thread that seized the task, so a TracedTask belongs to one thread.
// It does not detach by itself: what has to happen to the task at the end differs (resume, hollow out, kill) and is
// decided by its user.
#pragma once

#include <signal.h>
#include <sys/user.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "migration/remote_ptr.h"
#include "omfs/base/scoped_fd.h"

namespace omfs::migration {

// Kernel-internal results of an interrupted call (include/linux/errno.h); a tracer sees them in rax.
inline constexpr int64_t kRestartSys = -512;
inline constexpr int64_t kRestartNoIntr = -513;
inline constexpr int64_t kRestartNoHand = -514;
inline constexpr int64_t kRestartBlock = -516;

inline constexpr bool IsRestart(int64_t result) {
  return result == kRestartSys || result == kRestartNoIntr || result == kRestartNoHand || result == kRestartBlock;
}

// What a wait brought.
struct TaskStop {
  enum class Kind {
    kSignal,     // signal-delivery-stop: `signal` is about to be delivered
    kGroupStop,  // stopped by `signal` (SIGSTOP, SIGTSTP, ...)
    kInterrupt,  // stopped by PTRACE_INTERRUPT, or woken from a group stop
    kEvent,      // PTRACE_EVENT_* in `event`
    kExited,     // `status` is the exit code
    kKilled,     // by `signal`
  };
  Kind kind = Kind::kInterrupt;
  int signal = 0;
  int event = 0;
  int status = 0;
};

class TracedTask {
 public:
  // Seizes pid with options (PTRACE_O_*). Errors say why it cannot be traced.
  static absl::StatusOr<TracedTask> Seize(pid_t pid, int options);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  // Asks for a stop; the next Wait brings it (or an earlier event).
  absl::Status Interrupt();
  // Waits for the next stop or end of the task. block=false: nullopt-like NotFound when nothing happened.
  absl::StatusOr<TaskStop> Wait();
  absl::StatusOr<bool> TryWait(TaskStop* stop);
  // Interrupts and waits until the task is in an interrupt stop. Signals that come first are appended to `signals`
  // (they are not delivered: the caller must see to them). FailedPrecondition if the task ended meanwhile; `*ended`.
  absl::Status StopNow(std::vector<siginfo_t>* signals);

  absl::Status Continue(int signal = 0);
  absl::Status Listen();  // stay in the group stop, but report what ends it
  absl::Status Detach(int signal = 0);

  absl::StatusOr<user_regs_struct> GetRegs();
  absl::Status SetRegs(const user_regs_struct& regs);
  absl::StatusOr<std::vector<std::byte>> GetXstate();
  absl::Status SetXstate(std::span<const std::byte> xstate);
  absl::StatusOr<uint64_t> GetSigmask();
  absl::Status SetSigmask(uint64_t mask);
  absl::StatusOr<siginfo_t> GetSiginfo();
  absl::Status SetSiginfo(const siginfo_t& info);
  // Queued signals, private ones first; they stay queued.
  absl::StatusOr<std::vector<siginfo_t>> PeekPending();

  struct RseqConfig {
    uint64_t area = 0;
    uint32_t size = 0;
    uint32_t signature = 0;
    uint32_t flags = 0;
  };
  // area = 0 when none is registered.
  absl::StatusOr<RseqConfig> GetRseq();

  // After an execve of the task: its memory is another one.
  absl::Status ReopenMemory();

  // Memory, through /proc/PID/mem: ignores page protection of private mappings. All or error.
  absl::Status Read(RemotePtr from, std::span<std::byte> to);
  absl::Status Write(RemotePtr to, std::span<const std::byte> from);

  // Executes one system call in the stopped task with the `syscall` instruction at `site`, and puts the registers
  // back. The result is rax (negative errno as the kernel gives it). The task must be stopped.
  absl::StatusOr<int64_t> Syscall(RemotePtr site, long nr, std::span<const uint64_t> args);

 private:
  TracedTask(pid_t pid, ScopedFd pidfd, ScopedFd mem)
      : pid_(pid), pidfd_(std::move(pidfd)), mem_(std::move(mem)) {}
  static TaskStop Decode(int status);

  pid_t pid_;
  ScopedFd pidfd_;
  ScopedFd mem_;
};

}  // namespace omfs::migration
