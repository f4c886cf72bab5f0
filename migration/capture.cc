#include "migration/capture.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "migration/process_maps.h"
#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

constexpr uint16_t kSyscallInstruction = 0x050f;

struct KernelSigaction {
  uint64_t handler, flags, restorer, mask;
};

template <typename T>
std::span<std::byte> BytesOf(T* v) {
  return std::as_writable_bytes(std::span<T, 1>(v, 1));
}

absl::StatusOr<std::string> ReadProc(pid_t pid, const char* name) {
  const std::string path = fmt::format("/proc/{}/{}", pid, name);
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoStatus(ESRCH, path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

absl::Status CaptureCredentials(pid_t pid, Image* image) {
  OMFS_ASSIGN_OR_RETURN(const std::string status, ReadProc(pid, "status"));
  std::istringstream in(status);
  Credentials* c = image->mutable_credentials();
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "Uid:") {
      uint32_t r, e, s, f;
      words >> r >> e >> s >> f;
      c->set_ruid(r), c->set_euid(e), c->set_suid(s), c->set_fsuid(f);
    } else if (key == "Gid:") {
      uint32_t r, e, s, f;
      words >> r >> e >> s >> f;
      c->set_rgid(r), c->set_egid(e), c->set_sgid(s), c->set_fsgid(f);
    } else if (key == "Groups:") {
      for (uint32_t g; words >> g;) c->add_groups(g);
    } else if (key == "Umask:") {
      uint32_t mask = 0;
      words >> std::oct >> mask;
      c->set_umask(mask);
    }
  }
  return absl::OkStatus();
}

// Addresses of struct prctl_mm_map in its order: start_code end_code start_data end_data start_brk brk start_stack
// arg_start arg_end env_start env_end.
absl::Status CaptureLayout(TracedTask& task, RemotePtr site, Image* image) {
  OMFS_ASSIGN_OR_RETURN(const std::string stat, ReadProc(task.pid(), "stat"));
  const auto paren = stat.rfind(')');
  if (paren == stat.npos) return Internal("/proc/{}/stat cannot be read", task.pid());
  std::istringstream words(stat.substr(paren + 2));
  std::vector<uint64_t> field(3, 0);  // field[n] is field n of proc(5)
  for (std::string w; words >> w;) field.push_back(strtoull(w.c_str(), nullptr, 10));
  if (field.size() < 52) return Internal("/proc/{}/stat is too short", task.pid());
  OMFS_ASSIGN_OR_RETURN(const int64_t brk, task.Syscall(site, SYS_brk, {}));
  const uint64_t layout[11] = {field[26], field[27], field[45], field[46],
                               field[47], static_cast<uint64_t>(brk),
                               field[28], field[48], field[49], field[50], field[51]};
  image->set_mm_layout(layout, sizeof layout);
  image->set_nice(static_cast<int32_t>(static_cast<int64_t>(field[19])));
  OMFS_ASSIGN_OR_RETURN(*image->mutable_auxv(), ReadProc(task.pid(), "auxv"));
  OMFS_ASSIGN_OR_RETURN(std::string comm, ReadProc(task.pid(), "comm"));
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  image->set_comm(comm);
  OMFS_ASSIGN_OR_RETURN(const std::string personality, ReadProc(task.pid(), "personality"));
  image->set_personality(strtoul(personality.c_str(), nullptr, 16));
  return absl::OkStatus();
}

absl::Status CaptureSignals(TracedTask& task, RemotePtr site, RemotePtr scratch, Image* image) {
  OMFS_ASSIGN_OR_RETURN(const uint64_t mask, task.GetSigmask());
  image->set_signal_mask(mask);
  OMFS_ASSIGN_OR_RETURN(const std::string status, ReadProc(task.pid(), "status"));
  uint64_t special = 0;  // signals with a handler or ignored; the rest have the default action
  std::istringstream in(status);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("SigIgn:") || line.starts_with("SigCgt:")) {
      special |= strtoull(line.c_str() + 8, nullptr, 16);
    }
  }
  for (int sig = 1; sig <= 64; ++sig) {
    if ((special >> (sig - 1) & 1) == 0) continue;
    const uint64_t args[] = {static_cast<uint64_t>(sig), 0, scratch.value, 8};
    OMFS_ASSIGN_OR_RETURN(const int64_t rc, task.Syscall(site, SYS_rt_sigaction, args));
    if (rc != 0) return ErrnoStatus(static_cast<int>(-rc), "rt_sigaction in the process");
    KernelSigaction action;
    OMFS_RETURN_IF_ERROR(task.Read(scratch, BytesOf(&action)));
    SignalAction* a = image->add_actions();
    a->set_signal(sig);
    a->set_action(&action, sizeof action);
  }
  const uint64_t stack_args[] = {0, scratch.value};
  OMFS_ASSIGN_OR_RETURN(const int64_t rc, task.Syscall(site, SYS_sigaltstack, stack_args));
  if (rc != 0) return ErrnoStatus(static_cast<int>(-rc), "sigaltstack in the process");
  stack_t alternate{};
  OMFS_RETURN_IF_ERROR(task.Read(scratch, BytesOf(&alternate)));
  image->set_alternate_stack(&alternate, sizeof alternate);
  OMFS_ASSIGN_OR_RETURN(const auto pending, task.PeekPending());
  for (const siginfo_t& info : pending) image->add_pending(&info, sizeof info);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RemotePtr> FindSyscallSite(TracedTask& task) {
  OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(task.pid()));
  for (const Mapping& m : maps) {
    if (m.path != "[vdso]") continue;
    std::vector<std::byte> code(m.size());
    OMFS_RETURN_IF_ERROR(task.Read(RemotePtr(m.start), code));
    for (size_t i = 0; i + 1 < code.size(); ++i) {
      if (code[i] == std::byte{0x0f} && code[i + 1] == std::byte{0x05}) return RemotePtr(m.start + i);
    }
  }
  return FailedPrecondition("process {} has no vDSO", task.pid());
}

absl::Status LeaveRestartableSequence(TracedTask& task) {
  OMFS_ASSIGN_OR_RETURN(const auto rseq, task.GetRseq());
  if (rseq.area == 0) return absl::OkStatus();
  uint64_t sequence = 0;  // struct rseq: cpu_id_start, cpu_id, rseq_cs
  OMFS_RETURN_IF_ERROR(task.Read(RemotePtr(rseq.area + 8), BytesOf(&sequence)));
  if (sequence == 0) return absl::OkStatus();
  struct {
    uint32_t version, flags;
    uint64_t start_ip, post_commit_offset, abort_ip;
  } cs;
  OMFS_RETURN_IF_ERROR(task.Read(RemotePtr(sequence), BytesOf(&cs)));
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
  if (regs.rip - cs.start_ip < cs.post_commit_offset) {
    regs.rip = cs.abort_ip;
    OMFS_RETURN_IF_ERROR(task.SetRegs(regs));
  }
  return absl::OkStatus();
}

absl::Status CaptureState(TracedTask& task, RemotePtr site, RemotePtr scratch, Image* image) {
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
  image->set_restart_at_home(MakePortable(&regs));
  image->set_registers(&regs, sizeof regs);
  // Or it was about to be restarted, the registers set back to the instruction.
  uint16_t instruction = 0;
  if (regs.rax == SYS_restart_syscall && task.Read(RemotePtr(regs.rip), BytesOf(&instruction)).ok() &&
      instruction == kSyscallInstruction) {
    image->set_restart_at_home(true);
  }
  OMFS_ASSIGN_OR_RETURN(const auto xstate, task.GetXstate());
  image->set_xstate(xstate.data(), xstate.size());
  OMFS_ASSIGN_OR_RETURN(const auto rseq, task.GetRseq());
  image->set_rseq_area(rseq.area);
  image->set_rseq_size(rseq.size);
  image->set_rseq_signature(rseq.signature);
  uint64_t robust = 0;
  size_t robust_size = 0;
  if (syscall(SYS_get_robust_list, task.pid(), &robust, &robust_size) == 0) {
    image->set_robust_list(robust);
    image->set_robust_list_size(robust_size);
  }
  const uint64_t tid_args[] = {PR_GET_TID_ADDRESS, scratch.value};
  OMFS_ASSIGN_OR_RETURN(const int64_t rc, task.Syscall(site, SYS_prctl, tid_args));
  if (rc == 0) {
    uint64_t address = 0;
    OMFS_RETURN_IF_ERROR(task.Read(scratch, BytesOf(&address)));
    image->set_tid_address(address);
  }
  OMFS_RETURN_IF_ERROR(CaptureSignals(task, site, scratch, image));
  OMFS_RETURN_IF_ERROR(CaptureLayout(task, site, image));
  OMFS_RETURN_IF_ERROR(CaptureCredentials(task.pid(), image));
  for (uint32_t r = 0; r < RLIM_NLIMITS; ++r) {
    // Asked by the process itself: of others' limits one must be root with CAP_SYS_RESOURCE to hear.
    rlimit limit{};
    const uint64_t limit_args[] = {0, r, 0, scratch.value};
    OMFS_ASSIGN_OR_RETURN(const int64_t got, task.Syscall(site, SYS_prlimit64, limit_args));
    if (got != 0) return ErrnoStatus(static_cast<int>(-got), "prlimit in the process");
    OMFS_RETURN_IF_ERROR(task.Read(scratch, BytesOf(&limit)));
    Limit* l = image->add_limits();
    l->set_resource(r);
    l->set_soft(limit.rlim_cur);
    l->set_hard(limit.rlim_max);
  }
  image->set_pid(task.pid());
  return absl::OkStatus();
}

bool SleepsWithoutTrace(uint64_t nr, const SyscallArgs& args) {
  if (nr == SYS_nanosleep) return args[1] == 0;
  return nr == SYS_clock_nanosleep && (args[1] & TIMER_ABSTIME) == 0 && args[3] == 0;
}

bool MakePortable(user_regs_struct* regs) {
  const auto result = static_cast<int64_t>(regs->rax);
  const bool in_call = static_cast<int64_t>(regs->orig_rax) >= 0;
  if (!in_call || (result != kRestartSys && result != kRestartNoIntr && result != kRestartNoHand &&
                   result != kRestartBlock)) {
    regs->orig_rax = static_cast<uint64_t>(-1);
    return false;
  }
  if (result != kRestartBlock) return false;
  const SyscallArgs args = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
  if (regs->orig_rax == SYS_restart_syscall || SleepsWithoutTrace(regs->orig_rax, args)) return true;
  if (regs->orig_rax == SYS_nanosleep) regs->rdi = regs->rsi;
  if (regs->orig_rax == SYS_clock_nanosleep) regs->rdx = regs->r10;
  regs->rax = static_cast<uint64_t>(kRestartNoHand);
  return false;
}

}  // namespace omfs::migration
