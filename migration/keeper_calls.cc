// The keeper's system calls: where each one runs, and the handlers of those that touch both sides.

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "migration/capture.h"
#include "migration/keeper.h"
#include "migration/keeper_internal.h"
#include "migration/syscall_filter.h"
#include "migration/syscall_table_requests.h"
#include "omfs/base/log.h"

namespace omfs::migration {
namespace {

// Files of /proc that tell about the process's own memory and threads, which are not at home.
bool TellsOfTheProcess(const std::string& path, pid_t pid) {
  for (const std::string& self : {std::string("/proc/self/"), std::string("/proc/thread-self/"),
                                  fmt::format("/proc/{}/", pid)}) {
    if (!path.starts_with(self)) continue;
    const std::string rest = path.substr(self.size());
    for (const char* same : {"exe", "cmdline", "environ", "comm", "cgroup", "mountinfo", "mounts", "limits", "fd/", "cwd",
                             "root", "ns/", "loginuid"}) {
      if (rest == same || (rest.starts_with(same) && std::strchr(same, '/') != nullptr)) return false;
    }
    return true;
  }
  return false;
}

bool MakesNamelessFile(const SyscallSpec& spec, const SyscallArgs& args, GuestMemory& memory) {
  uint64_t flags = 0;
  if (spec.nr == SYS_open) flags = args[1];
  if (spec.nr == SYS_openat) flags = args[2];
  if (spec.nr == SYS_openat2) (void)memory.Read(args[2], std::span(reinterpret_cast<uint8_t*>(&flags), sizeof flags));
  return (flags & O_TMPFILE) == O_TMPFILE;
}

std::string LinkTarget(const std::string& path) {
  char buffer[PATH_MAX + 1];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof buffer - 1);
  return n < 0 ? "" : std::string(buffer, n);
}

}  // namespace

absl::Status Keeper::Reply(uint64_t id, int64_t result) {
  seccomp_notif_resp r{};
  r.id = id;
  spdlog::trace("event=answer pid={} result={}", image_.pid(), result);
  // The kernel acts on these only on its way to a signal; without one the program would see them.
  if (IsRestart(result)) {
    interrupted_ = {received_nr_, result};
    OMFS_RETURN_IF_ERROR(builder_->task().Interrupt());
  } else {
    interrupted_.reset();
  }
  // A negative result is given in `error`; the kernel takes it as it stands.
  if (result < 0 && result > -4096) {
    r.error = static_cast<int32_t>(result);
  } else {
    r.val = result;
  }
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &r) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "answering the guest");
  }
  return absl::OkStatus();
}

absl::Status Keeper::Continue(uint64_t id) {
  seccomp_notif_resp r{};
  r.id = id;
  r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  interrupted_.reset();
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &r) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "continuing the guest");
  }
  return absl::OkStatus();
}

absl::Status Keeper::Recall(uint64_t id, const std::string& reason) {
  OMFS_RETURN_IF_ERROR(StopInCall(id, EndOfUnbegun(received_nr_, received_args_)));
  return SendHome(reason);
}

absl::StatusOr<int> Keeper::AddPlaceholder(uint64_t id, int at, bool close_on_exec) {
  seccomp_notif_addfd a{};
  a.id = id;
  a.srcfd = static_cast<uint32_t>(builder_->placeholder());
  if (at >= 0) {
    a.newfd = static_cast<uint32_t>(at);
    a.flags = SECCOMP_ADDFD_FLAG_SETFD;
  }
  a.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  const int fd = ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &a);
  return fd >= 0 ? fd : -errno;
}

absl::StatusOr<bool> Keeper::TakeFastPath(const seccomp_notif& n) {
  const uint64_t site = n.data.instruction_pointer - 2;
  const uint64_t stub = builder_->stub();
  if (!GuestStub::FastCall(static_cast<uint64_t>(n.data.nr)) || !GuestStub::Reaches(stub, site) ||
      image_.sites_size() >= static_cast<int>(GuestStub::kMaxSites) || (site >= stub && site < stub + GuestStub::kSize)) {
    return false;
  }
  uint8_t bytes[GuestStub::kSiteSize];
  spdlog::trace("event=fast_path_candidate pid={} site={:#x} stub={:#x}", image_.pid(), site, stub);
  if (!memory_->Read(site, bytes).ok() || !GuestStub::Patchable(std::as_bytes(std::span(bytes)))) return false;
  OMFS_RETURN_IF_ERROR(StopInCall(n.id, kRestartNoIntr));
  if (done_) return true;
  image_.add_sites(site);
  TracedTask& task = builder_->task();
  const std::vector<uint64_t> sites(image_.sites().begin(), image_.sites().end());
  OMFS_RETURN_IF_ERROR(task.Write(RemotePtr(stub), GuestStub::Code(stub, sites)));
  OMFS_RETURN_IF_ERROR(task.Write(RemotePtr(site), GuestStub::SiteJump(stub, sites.size() - 1, site)));
  OMFS_RETURN_IF_ERROR(LetGoOn());
  return true;
}

absl::Status Keeper::OnNotification() {
  seccomp_notif n{};
  if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &n) != 0) {
    if (errno == ENOENT || errno == EINTR) return absl::OkStatus();  // it was killed, or a signal came first
    return ErrnoStatus(errno, "receiving a notification");
  }
  return Handle(n);
}

absl::Status Keeper::Handle(const seccomp_notif& n) {
  Received(n);
  const SyscallArgs args = received_args_;
  const Decision decision = DecideNotified(n.data);
  const SyscallSpec* spec = FindSyscall(static_cast<uint64_t>(n.data.nr));
  spdlog::trace("event=call pid={} name={} class={} args={:#x},{:#x},{:#x},{:#x} ip={:#x}", image_.pid(),
                spec != nullptr ? spec->name : "?", ClassName(decision.cls), args[0], args[1], args[2], args[3],
                n.data.instruction_pointer);
  if (n.data.nr != SYS_restart_syscall) restart_at_home_ = false;
  if (decision.cls == SyscallClass::kRecall || spec == nullptr) {
    return Recall(n.id, fmt::format("{}: {}", spec != nullptr ? spec->name : "unknown call", decision.reason));
  }
  switch (decision.cls) {
    case SyscallClass::kLocal:
      return Continue(n.id);
    case SyscallClass::kBoth:
      return HandleBoth(n, *spec, args);
    case SyscallClass::kDfsa:
    case SyscallClass::kDeputy:
    case SyscallClass::kRecall:
      break;
  }
  std::string reason;
  switch (PlaceOf(*spec, args, &reason)) {
    case Place::kHere: {
      // Only the open that made a nameless file may give it a name, and a move opens it again.
      if (MakesNamelessFile(*spec, args, *memory_)) return Recall(n.id, fmt::format("{}: O_TMPFILE", spec->name));
      if (spec->nr == SYS_flock) return Recall(n.id, "flock: locks are held at home");
      ++local_calls_;
      OMFS_ASSIGN_OR_RETURN(const bool fast, TakeFastPath(n));
      return fast ? absl::OkStatus() : Continue(n.id);
    }
    case Place::kHome:
      if (!reason.empty()) return Recall(n.id, fmt::format("{}: {}", spec->name, reason));
      return ForwardAndReply(n, *spec, args);
    case Place::kMixed:
      break;
  }
  return Recall(n.id, fmt::format("{}: objects here and at home in one call", spec->name));
}

std::optional<std::string> Keeper::AbsolutePath(int dirfd, const std::string& path, bool* dir_is_home) {
  *dir_is_home = false;
  if (!path.empty() && path[0] == '/') return path;
  std::string base;
  if (dirfd == AT_FDCWD) {
    if (!cwd_here_) {
      *dir_is_home = true;
      return std::nullopt;
    }
    base = LinkTarget(fmt::format("/proc/{}/cwd", builder_->task().pid()));
  } else {
    if (home_.contains(dirfd)) {
      *dir_is_home = true;
      return std::nullopt;
    }
    base = LinkTarget(fmt::format("/proc/{}/fd/{}", builder_->task().pid(), dirfd));
  }
  if (base.empty() || base[0] != '/' || base.ends_with(" (deleted)")) return std::nullopt;
  return base + "/" + path;
}

Keeper::Place Keeper::PlaceOf(const SyscallSpec& spec, const SyscallArgs& args, std::string* recall_reason) {
  size_t here = 0, home = 0;
  bool only_reachable_here = false;
  for (size_t i = 0; i < args.size(); ++i) {
    if (spec.args[i].kind != ArgKind::kFd) continue;
    home_.contains(static_cast<int>(args[i])) ? ++home : ++here;
  }
  for (const PathArg& p : PathsOf(spec, args)) {
    const uint64_t address = args[p.path_arg];
    const int dirfd = p.dirfd_arg >= 0 ? static_cast<int>(args[p.dirfd_arg]) : AT_FDCWD;
    auto text = address != 0 ? memory_->ReadString(address, PATH_MAX) : ErrnoOr<std::string>(std::string());
    if (!text.ok() || text->size() >= PATH_MAX) {
      // The kernel will refuse it; the home's is as good as this one.
      ++home;
      continue;
    }
    if (text->empty() && dirfd != AT_FDCWD) {  // the descriptor itself
      home_.contains(dirfd) ? ++home : ++here;
      continue;
    }
    bool dir_is_home = false;
    const auto absolute = AbsolutePath(dirfd, *text, &dir_is_home);
    if (absolute && paths_->RunsHere(*absolute, p.follow)) {
      ++here;
      continue;
    }
    if (absolute && TellsOfTheProcess(*absolute, image_.pid())) *recall_reason = fmt::format("of {}", *absolute);
    ++home;
    // Relative to a directory that is open only here, but leading out of /mfs.
    if (!dir_is_home && dirfd != AT_FDCWD && (*text)[0] != '/') only_reachable_here = true;
  }
  if (spec.name == "poll" || spec.name == "ppoll" || spec.name == "select" || spec.name == "pselect6") {
    auto gathered = Gather(spec, args, *memory_);
    if (gathered.ok() && std::holds_alternative<Gathered>(*gathered)) {
      for (const int fd : DescriptorsOf(std::get<Gathered>(*gathered).call)) {
        home_.contains(fd) ? ++home : ++here;
      }
    }
  }
  if (home > 0 && only_reachable_here) return Place::kMixed;
  if (here > 0 && home > 0) return Place::kMixed;
  if (here > 0) return Place::kHere;
  return Place::kHome;
}

// ---- forwarding ----

absl::StatusOr<ForwardResult> Keeper::ForwardAndWait(const ForwardCall& call) {
  std::vector<uint8_t> bytes = Serialise(call);
  uint64_t number = next_call_++;
  const iovec parts[2] = {{&number, 8}, {bytes.data(), bytes.size()}};
  waiting_for_ = number;
  result_.reset();
  cancel_sent_ = false;
  OMFS_RETURN_IF_ERROR(link_->Send(FrameType::kCall, parts));
  while (!result_) {
    Frame f;
    OMFS_ASSIGN_OR_RETURN(const bool got, link_->TryReceive(&f));
    if (got) {
      if (f.type == FrameType::kResult) {
        uint64_t answered = 0;
        if (f.body.size() < 8) return absl::DataLossError("broken result frame");
        memcpy(&answered, f.body.data(), 8);
        if (answered != number) return absl::DataLossError("result of another call");
        OMFS_ASSIGN_OR_RETURN(
            result_, ParseResult(std::span(reinterpret_cast<const uint8_t*>(f.body.data()) + 8, f.body.size() - 8)));
        break;
      }
      OMFS_ASSIGN_OR_RETURN(const LinkMessage m, ParseMessage(f));
      OMFS_RETURN_IF_ERROR(OnMessage(m));
      if (done_) return FailedPrecondition("the deputy has ended");
      if (go_home_ && !cancel_sent_) {
        cancel_sent_ = true;
        LinkMessage cancel;
        cancel.mutable_cancel()->set_call(number);
        OMFS_RETURN_IF_ERROR(link_->SendMessage(cancel));
      }
      continue;
    }
    pollfd p[2] = {{link_->fd(), POLLIN, 0}, {signal_fd_.get(), POLLIN, 0}};
    if (poll(p, 2, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (p[1].revents != 0) {
      char drained[1024];
      while (read(signal_fd_.get(), drained, sizeof drained) > 0) {
      }
      OMFS_RETURN_IF_ERROR(OnGuestStop());
      if (done_) return FailedPrecondition("the guest has ended");
    }
  }
  waiting_for_.reset();
  return std::move(*result_);
}

absl::StatusOr<std::optional<int64_t>> Keeper::ForwardGuestCall(const seccomp_notif& n, const SyscallSpec& spec,
                                                                const SyscallArgs& args) {
  uint64_t skip = 0;
  for (;;) {
    auto gathered = Gather(spec, args, *memory_, skip);
    if (!gathered.ok()) return FailedPrecondition("the guest's memory is out of reach");
    if (const auto* recall = std::get_if<migration::Recall>(&*gathered)) {
      OMFS_RETURN_IF_ERROR(Recall(n.id, fmt::format("{}: {}", spec.name, recall->reason)));
      return std::optional<int64_t>();
    }
    const Gathered& g = std::get<Gathered>(*gathered);
    if (SignalWaits()) {
      return std::optional<int64_t>(skip > 0 ? static_cast<int64_t>(skip) : EndOfUnbegun(received_nr_, received_args_));
    }
    OMFS_ASSIGN_OR_RETURN(const ForwardResult result, ForwardAndWait(g.call));
    if (IsRestart(result.rax)) {
      if (skip > 0) return std::optional<int64_t>(skip);  // part of it is done: that is the result
      // Not begun this time, but before.
      if (result.rax == kRestartNoIntr && interrupted_) return std::optional<int64_t>(interrupted_->code);
      return std::optional<int64_t>(result.rax);
    }
    auto rax = Scatter(g, result, *memory_);
    if (!rax.ok()) return FailedPrecondition("the guest's memory is out of reach");
    // A cut read goes on only where the native one would have filled the buffer: pipes and terminals give what they have.
    bool fills = false;
    if (g.clamped && *rax == static_cast<int64_t>(g.transfer)) {
      OwnMemory memory(sizeof(struct stat) + 64);
      const uint64_t at = memory.Reserve(sizeof(struct stat));
      OMFS_ASSIGN_OR_RETURN(const ForwardResult stated, ForwardOwn(SYS_fstat, {args[0], at}, memory));
      struct stat st {};
      memcpy(&st, memory.At(at), sizeof st);
      fills = stated.rax == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
    }
    const auto next = NextSkip(g, skip, *rax, fills);
    if (!next) {
      if (*rax < 0 && skip > 0) return std::optional<int64_t>(skip);
      return std::optional<int64_t>(static_cast<int64_t>(skip) + *rax);
    }
    skip = *next;
  }
}

absl::Status Keeper::ForwardAndReply(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  if (spec.has(kNewFdPair)) return Recall(n.id, fmt::format("{}: two descriptors at once", spec.name));
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  if (!ReturnsNewFd(spec, args) || *rax < 0) return Reply(n.id, *rax);
  // Whether the new descriptor closes on exec is asked of the object itself.
  OMFS_ASSIGN_OR_RETURN(const int64_t flags, ForwardPlain(SYS_fcntl, {static_cast<uint64_t>(*rax), F_GETFD}));
  return AdoptHomeDescriptor(n, static_cast<int>(*rax), (flags & FD_CLOEXEC) != 0);
}

absl::StatusOr<ForwardResult> Keeper::ForwardOwn(uint64_t nr, const SyscallArgs& args, GuestMemory& memory) {
  const SyscallSpec* spec = FindSyscall(nr);
  auto gathered = Gather(*spec, args, memory);
  if (!gathered.ok() || !std::holds_alternative<Gathered>(*gathered)) {
    return Internal("{} cannot be forwarded", spec->name);
  }
  const Gathered& g = std::get<Gathered>(*gathered);
  ForwardResult result;
  do {  // a signal or a move may have cancelled it; what the keeper needs to know it needs all the same
    OMFS_ASSIGN_OR_RETURN(result, ForwardAndWait(g.call));
  } while (IsRestart(result.rax));
  auto rax = Scatter(g, result, memory);
  if (!rax.ok()) return Internal("{} cannot be forwarded", spec->name);
  result.rax = *rax;
  return result;
}

absl::StatusOr<int64_t> Keeper::ForwardPlain(uint64_t nr, const SyscallArgs& args) {
  OwnMemory none(16);
  OMFS_ASSIGN_OR_RETURN(const ForwardResult r, ForwardOwn(nr, args, none));
  return r.rax;
}

absl::Status Keeper::AdoptHomeDescriptor(const seccomp_notif& n, int made, bool close_on_exec) {
  OMFS_ASSIGN_OR_RETURN(const int number, AddPlaceholder(n.id, -1, close_on_exec));
  const auto fd = static_cast<uint64_t>(made);
  if (number < 0) {
    OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_close, {fd}).status());
    return Reply(n.id, number);
  }
  home_.insert(number);
  if (number != made) {
    OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_dup3, {fd, static_cast<uint64_t>(number),
                                                 close_on_exec ? static_cast<uint64_t>(O_CLOEXEC) : 0})
                             .status());
    OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_close, {fd}).status());
  }
  return Reply(n.id, number);
}

// ---- calls that touch both sides ----

absl::Status Keeper::HandleBoth(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  switch (spec.nr) {
    case SYS_close:
      return HandleClose(n, args);
    case SYS_close_range:
      return HandleCloseRange(n, args);
    case SYS_dup:
      return HandleDup(n, spec, args);
    case SYS_dup2:
    case SYS_dup3:
      return HandleDup2(n, spec, args);
    case SYS_fcntl:
      return HandleFcntl(n, spec, args);
    case SYS_chdir:
      return HandleChdir(n, spec, args);
    case SYS_fchdir:
      return HandleFchdir(n, spec, args);
    case SYS_getcwd:
      return HandleGetcwd(n, spec, args);
    case SYS_umask:
      return HandleUmask(n, spec, args);
    case SYS_rt_sigaction:
      return HandleSigaction(n, args);
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return HandleSleep(n, spec, args);
    case SYS_restart_syscall:
      return restart_at_home_ ? ForwardSleep(n, spec, args) : Continue(n.id);
    case SYS_exit:
    case SYS_exit_group:
      return HandleExit(n, args);
    case SYS_prctl:
      return HandlePrctl(n, spec, args);
    case SYS_mmap:
      return HandleMmap(n, args);
    default:
      return Recall(n.id, fmt::format("{}: {}", spec.name, spec.note));
  }
}

absl::Status Keeper::HandleClose(const seccomp_notif& n, const SyscallArgs& args) {
  const int fd = static_cast<int>(args[0]);
  if (!home_.contains(fd)) {
    ++local_calls_;
    OMFS_ASSIGN_OR_RETURN(const bool fast, TakeFastPath(n));
    return fast ? absl::OkStatus() : Continue(n.id);
  }
  // The descriptor is gone after close, whatever it returns; an error of the home's close is the result.
  OMFS_ASSIGN_OR_RETURN(const int64_t rax, ForwardPlain(SYS_close, {args[0]}));
  home_.erase(fd);
  if (rax == 0) return Continue(n.id);
  OMFS_RETURN_IF_ERROR(StopInCall(n.id, kRestartNoIntr));
  RemoteCalls calls(&builder_->task(), builder_->site());
  OMFS_RETURN_IF_ERROR(calls.Raw(SYS_close, {args[0]}).status());
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, builder_->task().GetRegs());
  regs.rax = static_cast<uint64_t>(rax);
  regs.orig_rax = static_cast<uint64_t>(-1);
  OMFS_RETURN_IF_ERROR(builder_->task().SetRegs(regs));
  return LetGoOn();
}

absl::Status Keeper::HandleCloseRange(const seccomp_notif& n, const SyscallArgs& args) {
  const auto first = static_cast<uint32_t>(args[0]), last = static_cast<uint32_t>(args[1]);
  const auto flags = static_cast<uint32_t>(args[2]);
  if (first <= last && flags == 0) {
    const std::set<int> numbers = home_;
    for (const int fd : numbers) {
      if (static_cast<uint32_t>(fd) < first || static_cast<uint32_t>(fd) > last) continue;
      OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_close, {static_cast<uint64_t>(fd)}).status());
      home_.erase(fd);
    }
  } else if ((flags & ~static_cast<uint32_t>(CLOSE_RANGE_CLOEXEC)) != 0) {
    return Recall(n.id, "close_range: flags");
  }
  return Continue(n.id);
}

absl::Status Keeper::HandleDup(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  if (!home_.contains(static_cast<int>(args[0]))) return Continue(n.id);
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  if (*rax < 0) return Reply(n.id, *rax);
  return AdoptHomeDescriptor(n, static_cast<int>(*rax), false);
}

absl::Status Keeper::HandleDup2(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  const int from = static_cast<int>(args[0]), to = static_cast<int>(args[1]);
  if (from == to) return Continue(n.id);  // an error or nothing; the tables agree about it
  if (!home_.contains(from)) {
    if (home_.contains(to)) {
      // Only if the call will succeed may the old descriptor go; a valid `from` is all it needs beyond a valid `to`.
      const std::string path = fmt::format("/proc/{}/fd/{}", builder_->task().pid(), from);
      if (faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
          (spec.nr == SYS_dup2 || (args[2] & ~static_cast<uint64_t>(O_CLOEXEC)) == 0)) {
        OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_close, {args[1]}).status());
        home_.erase(to);
      }
    }
    return Continue(n.id);
  }
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  if (*rax < 0) return Reply(n.id, *rax);
  const bool close_on_exec = spec.nr == SYS_dup3 && (args[2] & O_CLOEXEC) != 0;
  OMFS_ASSIGN_OR_RETURN(const int placed, AddPlaceholder(n.id, to, close_on_exec));
  if (placed < 0) return Reply(n.id, placed);
  home_.insert(to);
  return Reply(n.id, *rax);
}

absl::Status Keeper::HandleFcntl(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  const int fd = static_cast<int>(args[0]), command = static_cast<int>(args[1]);
  if (!home_.contains(fd)) {
    // A lock is of the open file, which a move home would close.
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) {
      return Recall(n.id, "fcntl: locks are held at home");
    }
    ++local_calls_;
    return Continue(n.id);
  }
  // The placeholder carries the close-on-exec flag; at home it is set again on return.
  if (command == F_GETFD || command == F_SETFD) return Continue(n.id);
  if (command != F_DUPFD && command != F_DUPFD_CLOEXEC) return ForwardAndReply(n, spec, args);
  // The number comes from the guest's table, which knows both kinds of descriptors.
  int number = static_cast<int>(args[2]);
  if (number < 0) return ForwardAndReply(n, spec, args);
  const auto taken = [&](int fd) {
    const std::string path = fmt::format("/proc/{}/fd/{}", builder_->task().pid(), fd);
    return faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  };
  while (taken(number)) ++number;
  SyscallArgs exact = args;
  exact[2] = static_cast<uint64_t>(number);
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, exact));
  if (!rax) return absl::OkStatus();
  if (*rax < 0) return Reply(n.id, *rax);
  if (*rax != number) {
    OMFS_RETURN_IF_ERROR(ForwardPlain(SYS_close, {static_cast<uint64_t>(*rax)}).status());
    return Internal("descriptor {} is in use at home only", number);
  }
  OMFS_ASSIGN_OR_RETURN(const int placed, AddPlaceholder(n.id, number, command == F_DUPFD_CLOEXEC));
  if (placed < 0) return Reply(n.id, placed);
  home_.insert(number);
  return Reply(n.id, number);
}

absl::Status Keeper::HandleChdir(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  auto text = memory_->ReadString(args[0], PATH_MAX);
  bool dir_is_home = false;
  bool here = false;
  if (text.ok()) {
    const auto absolute = AbsolutePath(AT_FDCWD, *text, &dir_is_home);
    here = absolute && paths_->RunsHere(*absolute, true);
  }
  // The deputy's directory follows, so that getcwd and a return home find it.
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  if (*rax != 0) return Reply(n.id, *rax);
  cwd_here_ = here;
  return here ? Continue(n.id) : Reply(n.id, 0);
}

absl::Status Keeper::HandleFchdir(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  const int fd = static_cast<int>(args[0]);
  if (home_.contains(fd)) {
    OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
    if (!rax) return absl::OkStatus();
    if (*rax == 0) cwd_here_ = false;
    return Reply(n.id, *rax);
  }
  const std::string path = LinkTarget(fmt::format("/proc/{}/fd/{}", builder_->task().pid(), fd));
  if (path.empty()) return Continue(n.id);  // EBADF
  if (path[0] != '/' || path.ends_with(" (deleted)")) return Recall(n.id, "fchdir: to a removed directory");
  OwnMemory memory(PATH_MAX + 64);
  const uint64_t at = memory.Put(path);
  OMFS_ASSIGN_OR_RETURN(const ForwardResult r, ForwardOwn(SYS_chdir, {at}, memory));
  if (r.rax != 0) return Recall(n.id, "fchdir: the home cannot follow");
  cwd_here_ = true;
  return Continue(n.id);
}

absl::Status Keeper::HandleGetcwd(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  if (!cwd_here_) return ForwardAndReply(n, spec, args);
  // Inside the guest's root the path of the directory is that below /mfs.
  const std::string path = LinkTarget(fmt::format("/proc/{}/cwd", builder_->task().pid()));
  if (path.ends_with(" (deleted)")) {
    struct stat st {};
    if (stat(fmt::format("/proc/{}/cwd", builder_->task().pid()).c_str(), &st) != 0 || st.st_nlink == 0) {
      return Reply(n.id, -ENOENT);
    }
  }
  if (!path.starts_with(config_.mount_point) || path.size() >= PATH_MAX) return Recall(n.id, "getcwd: no path below /mfs");
  const size_t size = path.size() + 1;
  if (args[1] < size) return Reply(n.id, -ERANGE);
  const Errno written = memory_->Write(args[0], std::span(reinterpret_cast<const uint8_t*>(path.c_str()), size));
  return Reply(n.id, written.value != 0 ? -EFAULT : static_cast<int64_t>(size));
}

absl::Status Keeper::HandleUmask(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  return IsRestart(*rax) ? Reply(n.id, *rax) : Continue(n.id);
}

absl::Status Keeper::HandleSigaction(const seccomp_notif& n, const SyscallArgs& args) {
  const int signal = static_cast<int>(args[0]);
  uint64_t handler = 0;
  if (args[1] != 0 && signal >= 1 && signal <= 64 &&
      memory_->Read(args[1], std::span(reinterpret_cast<uint8_t*>(&handler), 8)).ok()) {
    const bool ignored = handler == 1;
    if (ignored != ignored_.contains(signal)) {
      ignored ? (void)ignored_.insert(signal) : (void)ignored_.erase(signal);
      LinkMessage m;
      m.mutable_action()->set_signal(signal);
      m.mutable_action()->set_ignored(ignored);
      OMFS_RETURN_IF_ERROR(link_->SendMessage(m));
    }
  }
  return Continue(n.id);
}

absl::Status Keeper::HandleSleep(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  if (!SleepsWithoutTrace(spec.nr, args)) return Continue(n.id);
  return ForwardSleep(n, spec, args);
}

absl::Status Keeper::ForwardSleep(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
  if (!rax) return absl::OkStatus();
  restart_at_home_ = *rax == kRestartBlock || (spec.nr == SYS_restart_syscall && IsRestart(*rax));
  if (!IsRestart(*rax)) return Reply(n.id, *rax);
  // Never a kind that SA_RESTART would make start over after a handler.
  return Reply(n.id, restart_at_home_ ? kRestartBlock : kRestartNoHand);
}

absl::Status Keeper::HandleExit(const seccomp_notif& n, const SyscallArgs& args) {
  SendCounters();
  // The deputy exits with the real status; it never answers, its end does.
  auto exited = ForwardPlain(SYS_exit_group, {args[0]});
  if (done_) return absl::OkStatus();
  return exited.ok() ? Internal("the deputy did not exit") : exited.status();
}

absl::Status Keeper::HandlePrctl(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args) {
  const RequestSpec* option = FindPrctl(args[0]);
  if (option != nullptr && option->cls == SyscallClass::kBoth) {
    // Set at home for those who look there, and here for the guest's own kernel.
    OMFS_ASSIGN_OR_RETURN(const auto rax, ForwardGuestCall(n, spec, args));
    if (!rax) return absl::OkStatus();
    return *rax >= 0 ? Continue(n.id) : Reply(n.id, *rax);
  }
  if (option != nullptr && option->cls == SyscallClass::kLocal) return Continue(n.id);
  if (option != nullptr && option->cls == SyscallClass::kDeputy) return ForwardAndReply(n, spec, args);
  return Recall(n.id, fmt::format("prctl: option {}", args[0]));
}

}  // namespace omfs::migration
