#include "migration/keeper.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "migration/capture.h"
#include "migration/descriptors.h"
#include "migration/keeper_internal.h"
#include "migration/memory_transfer.h"
#include "omfs/base/log.h"
#include "omfs/net/frame.h"
#include "proto/local.pb.h"

namespace omfs::migration {
namespace {

// A signal that DeliverSignal has sent. The sender of one that comes from outside the guest's pid namespace is 0 there.
bool SentByKeeper(const siginfo_t& info) {
  return info.si_code == SI_TKILL && (info.si_pid == 0 || info.si_pid == getpid());
}

}  // namespace

Keeper::Keeper(const Config& config, std::unique_ptr<Link> link, ScopedFd channel)
    : config_(config), link_(std::move(link)), channel_(std::move(channel)) {}

Keeper::~Keeper() {
  if (!builder_ || !builder_->started()) return;
  // The guest first: the init of its pid namespace cannot end while it is not reaped.
  kill(builder_->task().pid(), SIGKILL);
  while (!guest_reaped_) {
    auto stop = builder_->task().Wait();
    if (!stop.ok()) break;
    guest_reaped_ = stop->kind == TaskStop::Kind::kExited || stop->kind == TaskStop::Kind::kKilled;
  }
}

absl::Status Keeper::Run() {
  const absl::Status built = Build();
  if (!built.ok()) {
    LinkMessage m;
    m.mutable_failed()->set_text(Text(built));
    (void)link_->SendMessage(m);
    return built;
  }
  const absl::Status s = Loop();
  SendCounters();
  return s;
}

absl::Status Keeper::Build() {
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, nullptr);
  signal_fd_.reset(signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK));

  OMFS_ASSIGN_OR_RETURN(const Frame first, link_->Receive());
  OMFS_ASSIGN_OR_RETURN(LinkMessage m, ParseMessage(first));
  if (!m.has_image()) return Internal("expected an image");
  image_ = std::move(*m.mutable_image());
  if (config_.root_squash && image_.credentials().euid() == 0) {
    return FailedPrecondition("root_squash: no guests of root on this node");
  }
  builder_ = std::make_unique<GuestBuilder>(config_, image_);
  OMFS_RETURN_IF_ERROR(builder_->Begin());
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const Frame f, link_->Receive());
    if (f.type != FrameType::kMessage) {
      OMFS_RETURN_IF_ERROR(builder_->Apply(f));
      continue;
    }
    OMFS_ASSIGN_OR_RETURN(const LinkMessage end, ParseMessage(f));
    if (end.has_pages_end()) break;
    return Internal("unexpected message in an image");
  }
  OMFS_RETURN_IF_ERROR(builder_->Finish());
  listener_ = builder_->TakeListener();
  // Wake-ups stay on the CPU where they happen (Linux 6.6); older kernels do without.
  constexpr unsigned long kSetFlags = _IOW('!', 4, uint64_t);
  ioctl(listener_.get(), kSetFlags, 1UL);
  memory_ = std::make_unique<ProcessMemory>(builder_->task().pid());
  for (const Descriptor& d : image_.descriptors()) {
    if (d.kind() == Descriptor::kHome) home_.insert(d.number());
  }
  for (const Vma& v : image_.vmas()) {
    const bool library = v.file() != 0 && v.start() >= GuestStub::kLibraries;
    if (library && (library_floor_ == 0 || v.start() < library_floor_)) library_floor_ = v.start();
  }
  if (image_.registers().size() == sizeof(user_regs_struct)) {
    user_regs_struct regs;
    memcpy(&regs, image_.registers().data(), sizeof regs);
    const auto code = static_cast<int64_t>(regs.rax);
    if (static_cast<int64_t>(regs.orig_rax) >= 0 && IsRestart(code)) interrupted_ = {regs.orig_rax, code};
  }
  cwd_here_ = image_.cwd_on_mfs();
  restart_at_home_ = image_.restart_at_home();
  paths_ = std::make_unique<dfsa::PathRules>(config_.mount_point, config_.node,
                                             NodeId(static_cast<uint16_t>(image_.home())));
  if (!image_.no_dfsa()) {
    for (const NodeEntry& n : config_.nodes) {
      const std::string root = n.id == config_.node
                                   ? config_.export_path
                                   : fmt::format("{}/{}", config_.mount_point, n.id.value);
      ScopedFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (fd) paths_->AddNode(n.id, std::move(fd));
    }
  }
  LinkMessage ready;
  ready.mutable_ready();
  OMFS_RETURN_IF_ERROR(link_->SendMessage(ready));
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const Frame f, link_->Receive());
    OMFS_ASSIGN_OR_RETURN(const LinkMessage go, ParseMessage(f));
    if (go.has_go()) break;
    if (!go.has_signal()) return Internal("expected the order to run");
    OMFS_RETURN_IF_ERROR(OnMessage(go));
  }
  return builder_->task().Continue(0);
}

absl::Status Keeper::Loop() {
  while (!done_) {
    Frame f;
    OMFS_ASSIGN_OR_RETURN(const bool got, link_->TryReceive(&f));
    if (got) {
      OMFS_ASSIGN_OR_RETURN(const LinkMessage m, ParseMessage(f));
      OMFS_RETURN_IF_ERROR(OnMessage(m));
      continue;
    }
    if (go_home_) {
      OMFS_RETURN_IF_ERROR(Freeze());
      if (done_) break;
      return SendHome("");
    }
    pollfd p[3] = {{listener_.get(), POLLIN, 0}, {link_->fd(), POLLIN, 0}, {signal_fd_.get(), POLLIN, 0}};
    if (poll(p, 3, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (p[2].revents != 0) {
      signalfd_siginfo drained[8];
      while (read(signal_fd_.get(), drained, sizeof drained) > 0) {
      }
      OMFS_RETURN_IF_ERROR(OnGuestStop());
    }
    if (!done_ && (p[0].revents & POLLIN) != 0) OMFS_RETURN_IF_ERROR(OnNotification());
  }
  return absl::OkStatus();
}

absl::Status Keeper::OnMessage(const LinkMessage& m) {
  if (m.has_signal()) {
    siginfo_t info{};
    memcpy(&info, m.signal().siginfo().data(), std::min(m.signal().siginfo().size(), sizeof info));
    return DeliverSignal(info);
  }
  if (m.has_go_home()) {
    go_home_ = true;
    return absl::OkStatus();
  }
  if (m.has_exited()) {
    kill(builder_->task().pid(), SIGKILL);
    done_ = true;
    return absl::OkStatus();
  }
  return absl::DataLossError("unexpected message from home");
}

Keeper::SignalState Keeper::ReadSignalState() const {
  SignalState state;
  std::ifstream in(fmt::format("/proc/{}/status", builder_->task().pid()));
  for (std::string line; std::getline(in, line);) {
    const auto value = [&] { return strtoull(line.c_str() + 7, nullptr, 16); };
    if (line.starts_with("SigPnd:") || line.starts_with("ShdPnd:")) state.pending |= value();
    if (line.starts_with("SigBlk:")) state.blocked = value();
    if (line.starts_with("SigIgn:")) state.ignored = value();
    if (line.starts_with("SigCgt:")) state.caught = value();
  }
  return state;
}

bool Keeper::SignalState::Handles(int signal) const {
  const uint64_t bit = 1ULL << (signal - 1);
  if ((blocked & bit) != 0) return false;
  if ((caught & bit) != 0) return true;
  if ((ignored & bit) != 0) return false;
  return signal != SIGCHLD && signal != SIGURG && signal != SIGWINCH && signal != SIGCONT;
}

bool Keeper::SignalWaits() {
  if (signals_.empty()) return false;
  const SignalState state = ReadSignalState();
  // Those that came while one of their kind was pending are one with it.
  std::erase_if(signals_, [&](const siginfo_t& s) { return (state.pending >> (s.si_signo - 1) & 1) == 0; });
  return std::ranges::any_of(signals_, [&](const siginfo_t& s) { return state.Handles(s.si_signo); });
}

bool Keeper::HasHandler(int signal) const { return (ReadSignalState().caught >> (signal - 1) & 1) != 0; }

absl::Status Keeper::DeliverSignal(const siginfo_t& info) {
  if (info.si_signo < 1 || info.si_signo > 64) return absl::OkStatus();
  const pid_t pid = builder_->task().pid();
  ++signals_received_;
  signals_.push_back(info);
  if (syscall(SYS_tgkill, pid, pid, info.si_signo) != 0 && errno != ESRCH) return ErrnoStatus(errno, "tgkill");
  if (waiting_for_ && !cancel_sent_ && ReadSignalState().Handles(info.si_signo)) {
    cancel_sent_ = true;
    LinkMessage m;
    m.mutable_cancel()->set_call(*waiting_for_);
    return link_->SendMessage(m);
  }
  return absl::OkStatus();
}

absl::Status Keeper::OnGuestStop() {
  TaskStop stop;
  for (;;) {
    if (done_) return absl::OkStatus();
    OMFS_ASSIGN_OR_RETURN(const bool any, builder_->task().TryWait(&stop));
    if (!any) return absl::OkStatus();
    OMFS_RETURN_IF_ERROR(OnGuestStopEvent(stop));
  }
}

absl::Status Keeper::OnGuestStopEvent(const TaskStop& stop) {
  TracedTask& task = builder_->task();
  LinkMessage m;
  switch (stop.kind) {
    case TaskStop::Kind::kExited:
      // Only the keeper lets it exit, after its deputy has.
      done_ = guest_reaped_ = true;
      return absl::OkStatus();
    case TaskStop::Kind::kKilled:
      done_ = guest_reaped_ = true;
      m.mutable_died()->set_signal(stop.signal);
      return link_->SendMessage(m);
    case TaskStop::Kind::kGroupStop:
      OMFS_RETURN_IF_ERROR(TellStopped(stop.signal));
      return task.Listen();
    case TaskStop::Kind::kInterrupt:
      stopped_ = false;
      return task.Continue(0);
    case TaskStop::Kind::kEvent:
      return task.Continue(0);
    case TaskStop::Kind::kSignal:
      stopped_ = false;
      break;
  }
  // The sender at home is the signal's sender, not this process.
  const auto original = std::find_if(signals_.begin(), signals_.end(),
                                     [&](const siginfo_t& s) { return s.si_signo == stop.signal; });
  if (original != signals_.end()) {
    OMFS_ASSIGN_OR_RETURN(const siginfo_t seen, task.GetSiginfo());
    if (SentByKeeper(seen)) OMFS_RETURN_IF_ERROR(task.SetSiginfo(*original));
    signals_.erase(original);
  }
  OMFS_RETURN_IF_ERROR(CorrectUnbegun());
  // A handler ends the interrupted call; without one the guest's kernel restarts it, and its number is seen no more.
  if (HasHandler(stop.signal)) {
    restart_at_home_ = false;
    interrupted_.reset();
  } else {
    OMFS_ASSIGN_OR_RETURN(const user_regs_struct regs, task.GetRegs());
    if (static_cast<int64_t>(regs.rax) == kRestartBlock && regs.orig_rax != SYS_restart_syscall) {
      restarted_call_ = regs.orig_rax;
    }
  }
  return task.Continue(stop.signal);
}

absl::Status Keeper::TellStopped(int signal) {
  if (stopped_) return absl::OkStatus();
  stopped_ = true;
  LinkMessage m;
  m.mutable_stopped()->set_signal(signal);
  return link_->SendMessage(m);
}

absl::Status Keeper::LetGoOn() { return stopped_ ? builder_->task().Listen() : builder_->task().Continue(0); }

absl::Status Keeper::StopInCall(uint64_t id, int64_t code) {
  TracedTask& task = builder_->task();
  OMFS_RETURN_IF_ERROR(task.Interrupt());
  OMFS_RETURN_IF_ERROR(Reply(id, code));
  // Signals wait: a handler that began now would have the registers that the caller is about to set.
  std::vector<siginfo_t> waiting;
  for (bool stopped = false; !stopped;) {
    OMFS_ASSIGN_OR_RETURN(const TaskStop stop, task.Wait());
    switch (stop.kind) {
      case TaskStop::Kind::kInterrupt:
        stopped = true;
        break;
      case TaskStop::Kind::kGroupStop:
        OMFS_RETURN_IF_ERROR(TellStopped(stop.signal));
        stopped = true;
        break;
      case TaskStop::Kind::kSignal: {
        OMFS_ASSIGN_OR_RETURN(const siginfo_t info, task.GetSiginfo());
        waiting.push_back(info);
        OMFS_RETURN_IF_ERROR(task.Interrupt());
        OMFS_RETURN_IF_ERROR(task.Continue(0));
        break;
      }
      case TaskStop::Kind::kEvent:
        OMFS_RETURN_IF_ERROR(task.Continue(0));
        break;
      case TaskStop::Kind::kExited:
      case TaskStop::Kind::kKilled:
        OMFS_RETURN_IF_ERROR(OnGuestStopEvent(stop));
        return FailedPrecondition("the guest has ended");
    }
  }
  for (const siginfo_t& info : waiting) {
    if (!SentByKeeper(info)) signals_.push_front(info);
    if (syscall(SYS_tgkill, task.pid(), task.pid(), info.si_signo) != 0) return ErrnoStatus(errno, "tgkill");
  }
  return absl::OkStatus();
}

absl::Status Keeper::Freeze() {
  TracedTask& task = builder_->task();
  OMFS_RETURN_IF_ERROR(task.Interrupt());
  for (;;) {
    TaskStop stop;
    OMFS_ASSIGN_OR_RETURN(const bool any, task.TryWait(&stop));
    if (any) {
      if (stop.kind == TaskStop::Kind::kGroupStop) return TellStopped(stop.signal);
      if (stop.kind == TaskStop::Kind::kInterrupt) return absl::OkStatus();
      OMFS_RETURN_IF_ERROR(OnGuestStopEvent(stop));
      if (done_) return absl::OkStatus();
      OMFS_RETURN_IF_ERROR(task.Interrupt());
      continue;
    }
    // It may have just entered a call: have it issued again where the guest goes on.
    pollfd p[2] = {{listener_.get(), POLLIN, 0}, {signal_fd_.get(), POLLIN, 0}};
    if (poll(p, 2, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (p[1].revents != 0) {
      signalfd_siginfo drained[8];
      while (read(signal_fd_.get(), drained, sizeof drained) > 0) {
      }
    }
    if ((p[0].revents & POLLIN) != 0) {
      seccomp_notif n{};
      if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &n) == 0) {
        Received(n);
        OMFS_RETURN_IF_ERROR(Reply(n.id, EndOfUnbegun(received_nr_, received_args_)));
      }
    }
  }
}

void Keeper::SendCounters() {
  LinkMessage m;
  m.mutable_counters()->set_local(local_calls_);
  (void)link_->SendMessage(m);
}

absl::Status Keeper::SendHome(const std::string& reason) {
  SendCounters();
  LinkMessage recall;
  recall.mutable_returning()->set_reason(reason);
  OMFS_RETURN_IF_ERROR(link_->SendMessage(recall));
  TracedTask& task = builder_->task();
  OMFS_RETURN_IF_ERROR(CorrectUnbegun());
  Image image;
  const auto describe = [&]() -> absl::Status {
    OMFS_RETURN_IF_ERROR(DescribeGuestDescriptors(task.pid(), home_, config_, &image));
    OMFS_RETURN_IF_ERROR(LeaveRestartableSequence(task));
    if (!restart_at_home_) {
      OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
      if (regs.orig_rax == SYS_restart_syscall && restarted_call_ != 0) {
        regs.orig_rax = restarted_call_;
        regs.rax = static_cast<uint64_t>(kRestartBlock);  // as it first was: MakePortable knows what remains
        OMFS_RETURN_IF_ERROR(task.SetRegs(regs));
      }
    }
    OMFS_RETURN_IF_ERROR(CaptureState(task, builder_->site(), builder_->scratch(), &image));
    OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(task.pid()));
    return DescribeGuestMappings(maps, {{builder_->stub(), builder_->stub() + GuestStub::kSize}},
                                 GuestBuilder::kFilePrefix, image_, &image);
  };
  OMFS_RETURN_IF_ERROR(describe());
  image.set_signals_seen(signals_received_);
  image.set_stub(builder_->stub());
  *image.mutable_sites() = image_.sites();
  // Signals that wait in the guest were sent to it by this process; their senders are those at home.
  for (std::string& pending : *image.mutable_pending()) {
    siginfo_t info{};
    memcpy(&info, pending.data(), std::min(pending.size(), sizeof info));
    const auto original = std::find_if(signals_.begin(), signals_.end(),
                                       [&](const siginfo_t& s) { return s.si_signo == info.si_signo; });
    if (original == signals_.end() || !SentByKeeper(info)) continue;
    pending.assign(reinterpret_cast<const char*>(&*original), sizeof *original);
    signals_.erase(original);
  }
  LinkMessage m;
  *m.mutable_image() = image;
  OMFS_RETURN_IF_ERROR(link_->SendMessage(m));
  OMFS_RETURN_IF_ERROR(SendOwnPages(task, image, link_.get()));
  LinkMessage end;
  end.mutable_pages_end();
  OMFS_RETURN_IF_ERROR(link_->SendMessage(end));
  // Until home says Ready the guest is kept. Signals that come now are counted as not seen, and raised again there.
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const Frame f, link_->Receive());
    OMFS_ASSIGN_OR_RETURN(const LinkMessage answer, ParseMessage(f));
    if (answer.has_ready() || answer.has_exited()) break;
  }
  kill(task.pid(), SIGKILL);
  done_ = true;
  return absl::OkStatus();
}

}  // namespace omfs::migration
