// The keeper and calls of the guest that nobody has begun (interruption.h).

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "migration/interruption.h"
#include "migration/keeper.h"
#include "migration/keeper_internal.h"
#include "migration/syscall_filter.h"

namespace omfs::migration {

void Keeper::Received(const seccomp_notif& n) {
  received_nr_ = static_cast<uint64_t>(n.data.nr);
  std::copy(std::begin(n.data.args), std::end(n.data.args), received_args_.begin());
  if (interrupted_ && interrupted_->nr != received_nr_) interrupted_.reset();
}

int64_t Keeper::EndOfUnbegun(uint64_t nr, const SyscallArgs& args) const {
  if (interrupted_ && interrupted_->nr == nr) return interrupted_->code;
  return EndOfUnbegunCall(nr, args);
}

bool Keeper::InterruptibleHere(const SyscallSpec& spec, const SyscallArgs& args) {
  std::string unused;
  if (PlaceOf(spec, args, &unused) != Place::kHere) return false;
  const auto may_wait = [](const std::string& path) {
    struct stat st {};
    return stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
  };
  const std::string proc = fmt::format("/proc/{}", builder_->task().pid());
  for (size_t i = 0; i < args.size(); ++i) {
    if (spec.args[i].kind == ArgKind::kFd && may_wait(fmt::format("{}/fd/{}", proc, static_cast<int>(args[i])))) {
      return true;
    }
  }
  for (const PathArg& p : PathsOf(spec, args)) {
    const auto text = memory_->ReadString(args[p.path_arg], PATH_MAX);
    bool dir_is_home = false;
    const auto path = text.ok() ? AbsolutePath(p.dirfd_arg >= 0 ? static_cast<int>(args[p.dirfd_arg]) : AT_FDCWD, *text,
                                               &dir_is_home)
                                : std::nullopt;
    if (path && may_wait(proc + "/root" + *path)) return true;
  }
  return false;
}

absl::Status Keeper::CorrectUnbegun() {
  TracedTask& task = builder_->task();
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
  // The kernel gives this to a caller whose notification was not received, whatever the call.
  if (static_cast<int64_t>(regs.rax) != kRestartSys || static_cast<int64_t>(regs.orig_rax) < 0) return absl::OkStatus();
  if (regs.rip > builder_->stub() && regs.rip <= builder_->stub() + kPageSize) return absl::OkStatus();  // never notified
  seccomp_data data{};
  data.nr = static_cast<int>(regs.orig_rax);
  data.arch = AUDIT_ARCH_X86_64;
  const SyscallArgs args = {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9};
  std::copy(args.begin(), args.end(), std::begin(data.args));
  const SyscallSpec* spec = FindSyscall(regs.orig_rax);
  const SyscallClass cls = DecideNotified(data).cls;
  if (cls == SyscallClass::kLocal && regs.orig_rax != SYS_restart_syscall) return absl::OkStatus();
  // Let go on by the keeper, it was received: this is the result of the call itself, a file's that can make wait.
  if (spec != nullptr && cls != SyscallClass::kRecall && InterruptibleHere(*spec, args)) return absl::OkStatus();
  regs.rax = static_cast<uint64_t>(EndOfUnbegun(regs.orig_rax, args));
  return task.SetRegs(regs);
}

}  // namespace omfs::migration
