#include "migration/traced_task.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

// <linux/ptrace.h> clashes with <sys/ptrace.h>; glibc 2.36 does not name these.
constexpr int kGetRseqConfiguration = 0x420f;
struct KernelRseqConfiguration {
  uint64_t pointer;
  uint32_t size;
  uint32_t signature;
  uint32_t flags;
  uint32_t pad;
};

constexpr size_t kMaxXstate = 16 * 1024;

absl::Status PtraceError(const char* what, pid_t pid) {
  return ErrnoStatus(errno, fmt::format("{} of process {}", what, pid));
}

long Ptrace(int request, pid_t pid, uint64_t addr, const void* data) {
  return ptrace(static_cast<__ptrace_request>(request), pid, addr, data);
}

}  // namespace

absl::StatusOr<TracedTask> TracedTask::Seize(pid_t pid, int options) {
  ScopedFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return ErrnoStatus(errno, fmt::format("process {}", pid));
  if (Ptrace(PTRACE_SEIZE, pid, 0, reinterpret_cast<void*>(static_cast<intptr_t>(options))) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot trace process {}{}", pid,
                                          errno == EPERM ? " (traced already?)" : ""));
  }
  ScopedFd mem(open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDWR | O_CLOEXEC));
  if (!mem) return ErrnoStatus(errno, fmt::format("/proc/{}/mem", pid));
  return TracedTask(pid, std::move(pidfd), std::move(mem));
}

absl::Status TracedTask::Interrupt() {
  if (Ptrace(PTRACE_INTERRUPT, pid_, 0, nullptr) != 0) return PtraceError("interrupt", pid_);
  return absl::OkStatus();
}

TaskStop TracedTask::Decode(int status) {
  TaskStop s;
  if (WIFEXITED(status)) {
    s.kind = TaskStop::Kind::kExited;
    s.status = WEXITSTATUS(status);
  } else if (WIFSIGNALED(status)) {
    s.kind = TaskStop::Kind::kKilled;
    s.signal = WTERMSIG(status);
  } else {
    s.signal = WSTOPSIG(status);
    s.event = status >> 16;
    if (s.event == PTRACE_EVENT_STOP) {
      s.kind = s.signal == SIGTRAP ? TaskStop::Kind::kInterrupt : TaskStop::Kind::kGroupStop;
    } else if (s.event != 0) {
      s.kind = TaskStop::Kind::kEvent;
    } else {
      s.kind = TaskStop::Kind::kSignal;
    }
  }
  return s;
}

absl::StatusOr<TaskStop> TracedTask::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, __WALL) < 0) {
    if (errno != EINTR) return PtraceError("wait", pid_);
  }
  return Decode(status);
}

absl::StatusOr<bool> TracedTask::TryWait(TaskStop* stop) {
  int status = 0;
  for (;;) {
    const pid_t p = waitpid(pid_, &status, __WALL | WNOHANG);
    if (p == 0) return false;
    if (p == pid_) break;
    if (errno != EINTR) return PtraceError("wait", pid_);
  }
  *stop = Decode(status);
  return true;
}

absl::Status TracedTask::StopNow(std::vector<siginfo_t>* signals) {
  OMFS_RETURN_IF_ERROR(Interrupt());
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const TaskStop stop, Wait());
    switch (stop.kind) {
      case TaskStop::Kind::kInterrupt:
      case TaskStop::Kind::kGroupStop:
        return absl::OkStatus();
      case TaskStop::Kind::kSignal: {
        OMFS_ASSIGN_OR_RETURN(const siginfo_t info, GetSiginfo());
        signals->push_back(info);
        OMFS_RETURN_IF_ERROR(Continue(0));
        break;
      }
      case TaskStop::Kind::kEvent:
        OMFS_RETURN_IF_ERROR(Continue(0));
        break;
      case TaskStop::Kind::kExited:
      case TaskStop::Kind::kKilled:
        return FailedPrecondition("process {} has ended", pid_);
    }
  }
}

absl::Status TracedTask::Continue(int signal) {
  if (Ptrace(PTRACE_CONT, pid_, 0, reinterpret_cast<void*>(static_cast<intptr_t>(signal))) != 0) {
    return PtraceError("continuing", pid_);
  }
  return absl::OkStatus();
}

absl::Status TracedTask::Listen() {
  if (Ptrace(PTRACE_LISTEN, pid_, 0, nullptr) != 0) return PtraceError("listening", pid_);
  return absl::OkStatus();
}

absl::Status TracedTask::Detach(int signal) {
  if (Ptrace(PTRACE_DETACH, pid_, 0, reinterpret_cast<void*>(static_cast<intptr_t>(signal))) != 0) {
    return PtraceError("detaching", pid_);
  }
  return absl::OkStatus();
}

absl::StatusOr<user_regs_struct> TracedTask::GetRegs() {
  user_regs_struct regs{};
  if (Ptrace(PTRACE_GETREGS, pid_, 0, &regs) != 0) return PtraceError("registers", pid_);
  return regs;
}

absl::Status TracedTask::SetRegs(const user_regs_struct& regs) {
  if (Ptrace(PTRACE_SETREGS, pid_, 0, &regs) != 0) return PtraceError("setting registers", pid_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::byte>> TracedTask::GetXstate() {
  std::vector<std::byte> data(kMaxXstate);
  iovec v{data.data(), data.size()};
  if (Ptrace(PTRACE_GETREGSET, pid_, NT_X86_XSTATE, &v) != 0) return PtraceError("xstate", pid_);
  data.resize(v.iov_len);
  return data;
}

absl::Status TracedTask::SetXstate(std::span<const std::byte> xstate) {
  iovec v{const_cast<std::byte*>(xstate.data()), xstate.size()};
  if (Ptrace(PTRACE_SETREGSET, pid_, NT_X86_XSTATE, &v) != 0) return PtraceError("setting xstate", pid_);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> TracedTask::GetSigmask() {
  uint64_t mask = 0;
  if (Ptrace(PTRACE_GETSIGMASK, pid_, sizeof mask, &mask) != 0) return PtraceError("signal mask", pid_);
  return mask;
}

absl::Status TracedTask::SetSigmask(uint64_t mask) {
  if (Ptrace(PTRACE_SETSIGMASK, pid_, sizeof mask, &mask) != 0) {
    return PtraceError("setting signal mask", pid_);
  }
  return absl::OkStatus();
}

absl::StatusOr<siginfo_t> TracedTask::GetSiginfo() {
  siginfo_t info{};
  if (Ptrace(PTRACE_GETSIGINFO, pid_, 0, &info) != 0) return PtraceError("siginfo", pid_);
  return info;
}

absl::Status TracedTask::SetSiginfo(const siginfo_t& info) {
  if (Ptrace(PTRACE_SETSIGINFO, pid_, 0, &info) != 0) return PtraceError("setting siginfo", pid_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<siginfo_t>> TracedTask::PeekPending() {
  std::vector<siginfo_t> all;
  for (uint32_t shared : {0U, static_cast<uint32_t>(PTRACE_PEEKSIGINFO_SHARED)}) {
    for (uint64_t offset = 0;; ++offset) {
      siginfo_t info{};
      struct {
        uint64_t off;
        uint32_t flags;
        int32_t nr;
      } args{offset, shared, 1};
      const long n = ptrace(PTRACE_PEEKSIGINFO, pid_, &args, &info);
      if (n < 0) return PtraceError("pending signals", pid_);
      if (n == 0) break;
      all.push_back(info);
    }
  }
  return all;
}

absl::StatusOr<TracedTask::RseqConfig> TracedTask::GetRseq() {
  KernelRseqConfiguration c{};
  if (Ptrace(kGetRseqConfiguration, pid_, sizeof c, &c) < 0) {
    if (errno == EINVAL || errno == EIO) return RseqConfig{};
    return PtraceError("rseq", pid_);
  }
  return RseqConfig{c.pointer, c.size, c.signature, c.flags};
}

absl::Status TracedTask::ReopenMemory() {
  const std::string path = fmt::format("/proc/{}/mem", pid_);
  mem_.reset(open(path.c_str(), O_RDWR | O_CLOEXEC));
  return mem_ ? absl::OkStatus() : ErrnoStatus(errno, path);
}

absl::Status TracedTask::Read(RemotePtr from, std::span<std::byte> to) {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t n = pread(mem_.get(), to.data() + done, to.size() - done, from.value + done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return ErrnoStatus(n < 0 ? errno : EIO, fmt::format("reading process {} at {:#x}", pid_, from.value + done));
    }
    done += n;
  }
  return absl::OkStatus();
}

absl::Status TracedTask::Write(RemotePtr to, std::span<const std::byte> from) {
  size_t done = 0;
  while (done < from.size()) {
    const ssize_t n = pwrite(mem_.get(), from.data() + done, from.size() - done, to.value + done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return ErrnoStatus(n < 0 ? errno : EIO, fmt::format("writing process {} at {:#x}", pid_, to.value + done));
    }
    done += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> TracedTask::Syscall(RemotePtr site, long nr, std::span<const uint64_t> args) {
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct saved, GetRegs());
  user_regs_struct r = saved;
  const auto arg = [&](size_t i) { return i < args.size() ? args[i] : 0; };
  r.rip = site.value;
  r.rax = nr;
  // Not a restartable call in the kernel's eyes: it must not rewind rip on the way out of this stop.
  r.orig_rax = static_cast<uint64_t>(-1);
  r.rdi = arg(0);
  r.rsi = arg(1);
  r.rdx = arg(2);
  r.r10 = arg(3);
  r.r8 = arg(4);
  r.r9 = arg(5);
  OMFS_RETURN_IF_ERROR(SetRegs(r));
  // Other signals stay pending meanwhile, so that the only stop is the step's own. SIGTRAP must stay open: the
  // kernel resets the disposition of a blocked signal that it forces.
  OMFS_ASSIGN_OR_RETURN(const uint64_t mask, GetSigmask());
  OMFS_RETURN_IF_ERROR(SetSigmask(~(uint64_t{1} << (SIGTRAP - 1))));
  if (Ptrace(PTRACE_SINGLESTEP, pid_, 0, nullptr) != 0) return PtraceError("step", pid_);
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const TaskStop stop, Wait());
    if (stop.kind == TaskStop::Kind::kSignal && stop.signal == SIGTRAP) break;
    if (stop.kind == TaskStop::Kind::kExited || stop.kind == TaskStop::Kind::kKilled) {
      return FailedPrecondition("process {} has ended", pid_);
    }
    if (stop.kind == TaskStop::Kind::kSignal) {
      // Only faults get here: the code at the site, or its stack, is not what it should be.
      return Internal("process {} got signal {} in a system call of the agent's", pid_, stop.signal);
    }
    // A group stop or an interrupt that was due: step on.
    if (Ptrace(PTRACE_SINGLESTEP, pid_, 0, nullptr) != 0) return PtraceError("step", pid_);
  }
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct after, GetRegs());
  OMFS_RETURN_IF_ERROR(SetRegs(saved));
  OMFS_RETURN_IF_ERROR(SetSigmask(mask));
  return static_cast<int64_t>(after.rax);
}

}  // namespace omfs::migration
