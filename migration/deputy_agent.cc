#include "migration/deputy_agent.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "migration/capture.h"
#include "migration/descriptor_room.h"
#include "migration/descriptors.h"
#include "migration/guest_stub.h"
#include "migration/home_return.h"
#include "migration/marshal.h"
#include "migration/memory_transfer.h"
#include "omfs/base/log.h"
#include "omfs/net/frame.h"

namespace omfs::migration {
namespace {

// How long a forwarded call may take before its end is awaited by a stop instead of a futex.
constexpr int64_t kFastCallUs = 300;

int64_t Nanoseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

std::string FirstWord(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}

std::string CommandLine(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/cmdline", pid), std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  for (char& c : text) {
    if (c == '\0') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string StatusField(pid_t pid, const std::string& key) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) {
      const auto at = line.find_first_not_of(" \t", key.size());
      return at == line.npos ? "" : line.substr(at);
    }
  }
  return "";
}

// Memory of the stopped process that can be written and put back: of its stack, or any other it writes to.
absl::StatusOr<RemotePtr> FindScratch(const std::vector<Mapping>& maps, uint64_t stack_pointer) {
  constexpr uint64_t kSize = 64;
  const Mapping* found = nullptr;
  for (const Mapping& m : maps) {
    if (m.shared || m.special() || (m.prot & PROT_WRITE) == 0) continue;
    const bool stack = m.start <= stack_pointer && stack_pointer < m.end;
    if (found == nullptr || stack) found = &m;
    if (stack) return RemotePtr(std::min(stack_pointer & ~uint64_t{15}, m.end - kSize));
  }
  if (found == nullptr) return FailedPrecondition("it has no memory to write to");
  return RemotePtr(found->start);
}

int HighestDescriptor(const Image& image) {
  int highest = -1;
  for (const Descriptor& d : image.descriptors()) highest = std::max(highest, d.number());
  return highest;
}

}  // namespace

struct DeputyAgent::CallUnderWay::Placement {
  ForwardCall call;
  PlacedCall placed;
};

DeputyAgent::~DeputyAgent() = default;

void DeputyAgent::Report(bool finished, const absl::Status& result) {
  local::AgentEvent e;
  *e.mutable_process() = info_;
  uint64_t recalls = 0;
  for (const auto& [what, count] : recalls_) {
    auto* r = e.mutable_why()->add_recalls();
    r->set_what(what);
    r->set_count(count);
    recalls += count;
  }
  for (const auto& [what, count] : forwarded_) {
    auto* r = e.mutable_why()->add_forwarded();
    r->set_what(what);
    r->set_count(count);
  }
  e.mutable_process()->set_recalls(recalls);
  std::string text = fmt::format("process {} ({}) is {}", info_.pid(), info_.command(), info_.state());
  if (state_ == State::kAway) text = fmt::format("process {} ({}) runs on node {}", info_.pid(), info_.command(), info_.where());
  if (!recalls_.empty()) text += fmt::format("; came home: {}", recalls_.rbegin()->first);
  if (!result.ok()) text += fmt::format("; {}", Text(result));
  e.mutable_why()->set_text(text);
  if (finished) {
    e.set_finished_command(true);
    if (!result.ok()) {
      e.set_done_error(result.code() == absl::StatusCode::kFailedPrecondition ? EBUSY : EIO);
      e.set_done_text(Text(result));
    }
  }
  if (channel_) {
    if (!SendFrame(channel_.get(), e.SerializeAsString()).ok()) channel_.reset();
  }
}

absl::Status DeputyAgent::Run(pid_t pid, bool launch) {
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, nullptr);
  signal_fd_.reset(signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK));
  info_.set_pid(pid);
  info_.set_home(config_.node.value);
  info_.set_where(config_.node.value);
  info_.set_uid(static_cast<uint32_t>(strtoul(StatusField(pid, "Uid:").c_str(), nullptr, 10)));
  info_.set_command(CommandLine(pid));
  auto task = TracedTask::Seize(pid, launch ? PTRACE_O_TRACEEXEC : 0);
  if (!task.ok()) {
    info_.set_state("home");
    Report(true, task.status());
    return task.status();
  }
  task_.emplace(std::move(*task));
  state_ = launch ? State::kLaunching : State::kHome;
  info_.set_state(launch ? "starting" : "home");
  Report();
  return Loop();
}

absl::Status DeputyAgent::Loop() {
  while (state_ != State::kGone) {
    // Decrypted frames may wait without the socket being readable: drain first.
    if (link_) {
      Frame f;
      auto got = link_->TryReceive(&f);
      if (!got.ok() && die_signal_ != 0) {
        link_.reset();  // the guest has died, and this process is about to, of the same signal
        continue;
      }
      if (!got.ok()) {
        GiveUp(fmt::format("link to node {} lost: {}", info_.where(), Text(got.status())));
        continue;
      }
      if (*got) {
        if (absl::Status s = OnFrame(f); !s.ok()) GiveUp(Text(s));
        continue;
      }
    }
    pollfd p[3] = {{signal_fd_.get(), POLLIN, 0},
                   {link_ ? link_->fd() : -1, POLLIN, 0},
                   {channel_.get(), POLLIN, 0}};
    if (poll(p, 3, -1) < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (p[0].revents != 0) {
      signalfd_siginfo drained[8];
      while (read(signal_fd_.get(), drained, sizeof drained) > 0) {
      }
      if (absl::Status s = OnTaskStop(); !s.ok()) GiveUp(Text(s));
      continue;  // it may have read the command that the poll saw
    }
    if (p[2].revents != 0) {
      if (absl::Status s = OnCommand(); !s.ok()) GiveUp(Text(s));
    }
  }
  return absl::OkStatus();
}

absl::Status DeputyAgent::OnTaskStop() {
  TaskStop stop;
  for (;;) {
    if (state_ == State::kGone) return absl::OkStatus();
    OMFS_ASSIGN_OR_RETURN(const bool any, task_->TryWait(&stop));
    if (!any) return absl::OkStatus();
    switch (stop.kind) {
      case TaskStop::Kind::kExited:
      case TaskStop::Kind::kKilled:
        OnEnded(stop);
        return absl::OkStatus();
      case TaskStop::Kind::kSignal:
        OMFS_RETURN_IF_ERROR(OnSignalStop(stop));
        break;
      case TaskStop::Kind::kGroupStop:
        OMFS_RETURN_IF_ERROR(task_->Listen());
        break;
      case TaskStop::Kind::kInterrupt:
        OMFS_RETURN_IF_ERROR(task_->Continue(0));
        break;
      case TaskStop::Kind::kEvent: {
        // omfsd has sent the order before mosrun went on to execve: it is here, if perhaps not read yet.
        if (stop.event == PTRACE_EVENT_EXEC && state_ == State::kLaunching && !wanted_) {
          OMFS_RETURN_IF_ERROR(OnCommand());
        }
        if (stop.event != PTRACE_EVENT_EXEC || state_ != State::kLaunching || !wanted_) {
          OMFS_RETURN_IF_ERROR(task_->Continue(0));
          break;
        }
        // Out of execve itself, to the point before the program's first instruction.
        OMFS_RETURN_IF_ERROR(task_->Interrupt());
        OMFS_RETURN_IF_ERROR(task_->Continue(0));
        OMFS_RETURN_IF_ERROR(task_->StopNow(&held_));
        OMFS_RETURN_IF_ERROR(task_->ReopenMemory());
        info_.set_command(CommandLine(task_->pid()));
        const absl::Status moved = MoveOut(*wanted_);
        wanted_.reset();
        if (!moved.ok()) {
          spdlog::warn("event=move_failed pid={} reason={}", task_->pid(), Quoted(Text(moved)));
          Report(true, moved);
          if (state_ == State::kGone) return absl::OkStatus();
          return Release();
        }
        Report(true);
        break;
      }
    }
  }
}

absl::Status DeputyAgent::OnSignalStop(const TaskStop& stop) {
  if (state_ != State::kAway) return task_->Continue(stop.signal);
  OMFS_ASSIGN_OR_RETURN(const siginfo_t info, task_->GetSiginfo());
  if (stop.signal == SIGTRAP && call_ && info.si_code == SI_KERNEL) {
    // The breakpoint at the end of a slow call.
    const int64_t rax = blob_->TakeSlowResult();
    OMFS_RETURN_IF_ERROR(task_->Continue(0));
    return FinishCall(rax);
  }
  if (die_signal_ == stop.signal) return task_->Continue(stop.signal);
  if (stopped_by_guest_ && (stop.signal == SIGSTOP || stop.signal == SIGTSTP || stop.signal == SIGTTIN ||
                            stop.signal == SIGTTOU)) {
    stopped_by_guest_ = false;
    return task_->Continue(stop.signal);
  }
  ForwardSignal(info);
  return task_->Continue(0);
}

absl::Status DeputyAgent::Release() {
  for (const siginfo_t& s : held_) kill(task_->pid(), s.si_signo);
  held_.clear();
  state_ = State::kGone;  // of this agent: the process is on its own
  return task_->Detach();
}

void DeputyAgent::ForwardSignal(const siginfo_t& info) {
  LinkMessage m;
  m.mutable_signal()->set_siginfo(&info, sizeof info);
  ++signals_sent_;
  forwarded_signals_.push_back(info);
  if (forwarded_signals_.size() > 4096) forwarded_signals_.pop_front();
  (void)link_->SendMessage(m);  // a broken link shows when it is read
}

void DeputyAgent::OnEnded(const TaskStop& stop) {
  if (link_) {
    LinkMessage m;
    m.mutable_exited();
    (void)link_->SendMessage(m);
  }
  state_ = State::kGone;
  info_.set_state("gone");
  info_.set_where(0);
  const bool waiting = home_requested_ || wanted_.has_value();
  Report(waiting, waiting ? FailedPrecondition("process {} has ended", info_.pid()) : absl::OkStatus());
}

absl::Status DeputyAgent::OnCommand() {
  auto bytes = ReceiveFrame(channel_.get());
  if (!bytes.ok()) {
    // omfsd is gone. A process that is away goes on: it needs only its keeper.
    channel_.reset();
    if (state_ == State::kAway) return absl::OkStatus();
    state_ = State::kGone;
    return task_->Detach();
  }
  local::AgentCommand command;
  if (!command.ParseFromString(*bytes)) return Internal("broken command from omfsd");
  if (command.has_move_to()) {
    if (state_ == State::kLaunching) {
      wanted_ = command.move_to();
      return absl::OkStatus();
    }
    if (state_ != State::kHome) {
      Report(true, FailedPrecondition("process {} is not at home", info_.pid()));
      return absl::OkStatus();
    }
    absl::Status moved = StopForMove();
    if (moved.ok()) moved = MoveOut(command.move_to());
    if (!moved.ok()) {
      Report(true, moved);
      if (state_ == State::kGone) return absl::OkStatus();
      return Release();
    }
    Report(true);
  } else if (command.has_move_home()) {
    if (state_ != State::kAway) {
      Report(true);
      return absl::OkStatus();
    }
    home_requested_ = true;
    info_.set_state("returning");
    LinkMessage m;
    m.mutable_go_home();
    return link_->SendMessage(m);
  }
  return absl::OkStatus();
}

absl::Status DeputyAgent::StopForMove() {
  constexpr int kAttempts = 5;
  for (int i = 0; i < kAttempts; ++i) {
    // In restart_syscall the registers no longer tell which call goes on. A sleep can be continued from anywhere; others would
    // have to be made anew.
    const std::string waits_in = FirstWord(fmt::format("/proc/{}/wchan", task_->pid()));
    const bool sleeps = waits_in != "0" && !waits_in.empty() && waits_in.find("poll") == std::string::npos &&
                        waits_in.find("futex") == std::string::npos;
    OMFS_RETURN_IF_ERROR(task_->StopNow(&held_));
    OMFS_ASSIGN_OR_RETURN(const user_regs_struct regs, task_->GetRegs());
    if (regs.orig_rax != SYS_restart_syscall || static_cast<int64_t>(regs.rax) != kRestartBlock || sleeps) {
      return absl::OkStatus();
    }
    if (i + 1 == kAttempts) break;
    OMFS_RETURN_IF_ERROR(task_->Continue(0));
    usleep(1000);
  }
  return FailedPrecondition("it waits in a call that was interrupted before; try again when it goes on");
}

absl::Status DeputyAgent::CheckMovable() {
  const pid_t pid = task_->pid();
  if (StatusField(pid, "Threads:") != "1") return FailedPrecondition("it has several threads");
  if (StatusField(pid, "Seccomp:") != "0") return FailedPrecondition("it has a seccomp filter of its own");
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct regs, task_->GetRegs());
  if (regs.cs != 0x33) return FailedPrecondition("it is no 64-bit program");
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  const std::string text((std::istreambuf_iterator<char>(stat)), {});
  const auto paren = text.rfind(')');
  if (paren != text.npos && text.size() > paren + 2 && (text[paren + 2] == 'T')) {
    return FailedPrecondition("it is stopped");
  }
  return absl::OkStatus();
}

absl::Status DeputyAgent::MoveOut(const local::MoveTo& to) {
  info_.set_state("moving");
  OMFS_RETURN_IF_ERROR(CheckMovable());
  OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(task_->pid()));
  OMFS_ASSIGN_OR_RETURN(const RemotePtr site, FindSyscallSite(*task_));
  OMFS_ASSIGN_OR_RETURN(const uint64_t base, FindHole({&maps}, DeputyBlob::kSize));
  Image image;
  image.set_blob_start(base);
  image.set_blob_end(base + DeputyBlob::kSize);
  const GuestStub::Found stub = GuestStub::Find(*task_, maps);
  std::vector<OwnRange> own;
  if (stub.base != 0) {
    own.push_back({stub.base, stub.base + GuestStub::kCodeSize});
    image.set_stub(stub.base);
    image.mutable_sites()->Add(stub.sites.begin(), stub.sites.end());
  }
  OMFS_RETURN_IF_ERROR(DescribeMappings(maps, own, task_->pid(), &image));
  OMFS_RETURN_IF_ERROR(DescribeHomeDescriptors(task_->pid(), to.no_dfsa(), &image));
  image.set_no_dfsa(to.no_dfsa());
  image.set_home(config_.node.value);
  image.set_boot_id(FirstWord("/proc/sys/kernel/random/boot_id"));

  auto stream = TlsStream::Connect(tls_, to.address(), static_cast<uint16_t>(to.port()),
                                   NodeId(static_cast<uint16_t>(to.node())), 5000);
  if (!stream.ok()) return stream.status();
  auto link = std::make_unique<Link>(std::move(*stream));
  LinkMessage hello;
  hello.mutable_hello()->set_token(to.token());
  hello.mutable_hello()->set_home(config_.node.value);
  hello.mutable_hello()->set_pid(task_->pid());
  OMFS_RETURN_IF_ERROR(link->SendMessage(hello));

  RemoteCalls calls(&*task_, site);
  OMFS_RETURN_IF_ERROR(LeaveRestartableSequence(*task_));
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct regs, task_->GetRegs());
  OMFS_ASSIGN_OR_RETURN(const RemotePtr scratch, FindScratch(maps, regs.rsp));
  OMFS_ASSIGN_OR_RETURN(DescriptorRoom room, DescriptorRoom::Make(calls, scratch, HighestDescriptor(image)));
  auto blob = DeputyBlob::Install(calls, base);
  OMFS_RETURN_IF_ERROR(room.GiveBack(calls));
  OMFS_RETURN_IF_ERROR(blob.status());
  blob_.emplace(std::move(*blob));
  const auto send = [&]() -> absl::Status {
    OMFS_RETURN_IF_ERROR(CaptureState(*task_, site, blob_->data_base(), &image));
    if (image.vdso_start() != 0) {
      for (const Mapping& m : maps) {
        if (m.path != "[vdso]") continue;
        image.mutable_vdso()->resize(m.size());
        OMFS_RETURN_IF_ERROR(
            task_->Read(RemotePtr(m.start), std::as_writable_bytes(std::span(*image.mutable_vdso()))));
      }
    }
    image.set_monotonic_ns(Nanoseconds(CLOCK_MONOTONIC));
    image.set_boottime_ns(Nanoseconds(CLOCK_BOOTTIME));
    LinkMessage m;
    *m.mutable_image() = image;
    OMFS_RETURN_IF_ERROR(link->SendMessage(m));
    OMFS_RETURN_IF_ERROR(SendFiles(task_->pid(), maps, image, link.get()));
    OMFS_RETURN_IF_ERROR(SendOwnPages(*task_, image, link.get()));
    LinkMessage end;
    end.mutable_pages_end();
    OMFS_RETURN_IF_ERROR(link->SendMessage(end));
    OMFS_ASSIGN_OR_RETURN(const Frame f, link->Receive());
    OMFS_ASSIGN_OR_RETURN(const LinkMessage answer, ParseMessage(f));
    if (answer.has_failed()) return FailedPrecondition("node {}: {}", to.node(), answer.failed().text());
    if (!answer.has_ready()) return Internal("node {} answered out of turn", to.node());
    return absl::OkStatus();
  };
  if (absl::Status sent = send(); !sent.ok()) {
    RemoteCalls undo(&*task_, site);
    const absl::Status removed = blob_->Remove(undo);
    blob_.reset();
    info_.set_state("home");
    return removed.ok() ? sent : removed;
  }
  moved_files_.clear();
  for (const Descriptor& d : image.descriptors()) {
    if (d.kind() == Descriptor::kFile) moved_files_.push_back(d.number());
  }
  link_ = std::move(link);
  info_.set_where(to.node());
  info_.set_moves(info_.moves() + 1);
  return Commit();
}

absl::Status DeputyAgent::ForwardPending() {
  struct {
    uint64_t set;
    timespec no_time;
    siginfo_t info;
  } wait{};
  wait.set = ~(uint64_t{1} << (SIGTRAP - 1));
  const RemotePtr at = blob_->data_base();
  OMFS_RETURN_IF_ERROR(task_->Write(at, std::as_bytes(std::span(&wait, 1))));
  RemoteCalls calls(&*task_, blob_->syscall_site());
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const int64_t signal,
                          calls.Raw(SYS_rt_sigtimedwait, {at.value, at.value + offsetof(decltype(wait), info),
                                                          at.value + offsetof(decltype(wait), no_time), 8}));
    if (signal <= 0) return absl::OkStatus();  // EAGAIN: no more
    OMFS_RETURN_IF_ERROR(task_->Read(at, std::as_writable_bytes(std::span(&wait, 1))));
    ForwardSignal(wait.info);
  }
}

absl::Status DeputyAgent::Commit() {
  // What came during the move is there before the guest runs, and finds it in the call that it interrupts.
  for (const siginfo_t& s : held_) ForwardSignal(s);
  held_.clear();
  OMFS_RETURN_IF_ERROR(ForwardPending());
  LinkMessage go;
  go.mutable_go();
  if (absl::Status s = link_->SendMessage(go); !s.ok()) {
    GiveUp(fmt::format("link lost at the commit of a move: {}", Text(s)));
    return s;
  }
  state_ = State::kAway;
  info_.set_state("away");
  // Hollow: all memory but the arguments and environment (ps reads them) and the blob.
  OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(task_->pid()));
  RemoteCalls calls(&*task_, blob_->syscall_site());
  for (const Mapping& m : maps) {
    if (m.special() || m.shared || m.path == "[stack]") continue;
    OMFS_RETURN_IF_ERROR(calls.Raw(SYS_madvise, {m.start, m.size(), MADV_DONTNEED}).status());
  }
  // No core file of an empty process, whatever it will die of.
  const rlimit none{0, 0};
  prlimit(task_->pid(), RLIMIT_CORE, &none, nullptr);
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct regs, task_->GetRegs());
  OMFS_RETURN_IF_ERROR(task_->SetRegs(blob_->EntryRegisters(regs)));
  // Everything reaches the deputy, to be passed on: what is blocked waits in the guest.
  OMFS_RETURN_IF_ERROR(task_->SetSigmask(0));
  OMFS_RETURN_IF_ERROR(task_->Continue(0));
  // The guest has these files open now.
  for (const int fd : moved_files_) {
    OMFS_RETURN_IF_ERROR(DeputyCall(SYS_close, {static_cast<uint64_t>(fd)}).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DeputyAgent::DeputyCall(uint64_t nr, std::initializer_list<uint64_t> args) {
  uint64_t words[6] = {};
  std::copy(args.begin(), args.end(), words);
  blob_->Post(nr, words);
  for (int round = 0; round < 100; ++round) {
    if (auto result = blob_->WaitOrMarkSlow(100000)) return *result;
    // Slow: its breakpoint, or a signal on the way.
    for (;;) {
      OMFS_ASSIGN_OR_RETURN(const TaskStop stop, task_->Wait());
      if (stop.kind == TaskStop::Kind::kExited || stop.kind == TaskStop::Kind::kKilled) {
        OnEnded(stop);
        return FailedPrecondition("the process has ended");
      }
      if (stop.kind == TaskStop::Kind::kSignal && stop.signal == SIGTRAP) {
        OMFS_RETURN_IF_ERROR(task_->Continue(0));
        return blob_->TakeSlowResult();
      }
      if (stop.kind == TaskStop::Kind::kSignal) {
        OMFS_ASSIGN_OR_RETURN(const siginfo_t info, task_->GetSiginfo());
        ForwardSignal(info);
      }
      OMFS_RETURN_IF_ERROR(task_->Continue(0));
    }
  }
  return Internal("the deputy does not answer");
}

absl::Status DeputyAgent::OnFrame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kCall:
      return OnCall(frame);
    case FrameType::kMessage: {
      OMFS_ASSIGN_OR_RETURN(const LinkMessage m, ParseMessage(frame));
      return OnMessage(m);
    }
    default:
      return absl::DataLossError("unexpected frame from the keeper");
  }
}

absl::Status DeputyAgent::OnCall(const Frame& frame) {
  if (frame.body.size() < 8) return absl::DataLossError("broken call frame");
  if (call_) return absl::DataLossError("a second call while one is under way");
  CallUnderWay under_way;
  memcpy(&under_way.number, frame.body.data(), 8);
  const auto bytes = std::span(reinterpret_cast<const uint8_t*>(frame.body.data()) + 8, frame.body.size() - 8);
  OMFS_ASSIGN_OR_RETURN(ForwardCall call, ParseCall(bytes));
  const auto data = blob_->data();
  under_way.placement = std::make_shared<CallUnderWay::Placement>();
  OMFS_ASSIGN_OR_RETURN(under_way.placement->placed,
                        Place(call, blob_->data_base().value,
                              std::span(reinterpret_cast<uint8_t*>(data.data()), kDataAreaSize)));
  under_way.placement->call = std::move(call);
  const PlacedCall& placed = under_way.placement->placed;
  if (const SyscallSpec* spec = FindSyscall(placed.nr)) ++forwarded_[std::string(spec->name)];
  info_.set_forwarded(info_.forwarded() + 1);
  uint64_t words[6];
  std::copy(placed.words.begin(), placed.words.end(), words);
  call_ = std::move(under_way);
  blob_->Post(placed.nr, words);
  if (auto rax = blob_->WaitOrMarkSlow(kFastCallUs)) return FinishCall(*rax);
  return absl::OkStatus();
}

absl::Status DeputyAgent::FinishCall(int64_t rax) {
  CallUnderWay done = std::move(*call_);
  call_.reset();
  const auto data = blob_->data();
  const ForwardResult result =
      Collect(done.placement->call, done.placement->placed, rax,
              std::span(reinterpret_cast<const uint8_t*>(data.data()), kDataAreaSize));
  std::vector<uint8_t> bytes = Serialise(result);
  const iovec parts[2] = {{&done.number, 8}, {bytes.data(), bytes.size()}};
  return link_->Send(FrameType::kResult, parts);
}

absl::Status DeputyAgent::OnCancel(uint64_t number) {
  if (!call_ || call_->number != number) return absl::OkStatus();  // it has just ended
  std::vector<siginfo_t> signals;
  OMFS_RETURN_IF_ERROR(task_->Interrupt());
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const TaskStop stop, task_->Wait());
    if (stop.kind == TaskStop::Kind::kExited || stop.kind == TaskStop::Kind::kKilled) {
      OnEnded(stop);
      return absl::OkStatus();
    }
    if (stop.kind == TaskStop::Kind::kInterrupt || stop.kind == TaskStop::Kind::kGroupStop) break;
    // The call's own breakpoint, or another signal.
    OMFS_RETURN_IF_ERROR(OnSignalStop(stop));
  }
  if (call_ && call_->number == number) OMFS_RETURN_IF_ERROR(blob_->CancelCall(*task_).status());
  return task_->Continue(0);
}

absl::Status DeputyAgent::MirrorAction(const Action& action) {
  uint64_t kernel_action[4] = {action.ignored() ? 1ULL : 0ULL, 0, 0, 0};
  memcpy(blob_->data().data(), kernel_action, sizeof kernel_action);
  return DeputyCall(SYS_rt_sigaction,
                    {static_cast<uint64_t>(action.signal()), blob_->data_base().value, 0, 8})
      .status();
}

absl::Status DeputyAgent::DieBy(int signal) {
  die_signal_ = signal;
  if (signal == SIGKILL) {
    kill(task_->pid(), SIGKILL);
    return absl::OkStatus();
  }
  Action dfl;
  dfl.set_signal(signal);
  OMFS_RETURN_IF_ERROR(MirrorAction(dfl));
  if (syscall(SYS_tgkill, task_->pid(), task_->pid(), signal) != 0) return ErrnoStatus(errno, "tgkill");
  return absl::OkStatus();
}

absl::Status DeputyAgent::OnMessage(const LinkMessage& m) {
  if (m.has_cancel()) return OnCancel(m.cancel().call());
  if (m.has_action()) return MirrorAction(m.action());
  if (m.has_died()) return DieBy(m.died().signal());
  if (m.has_stopped()) {
    stopped_by_guest_ = true;
    if (syscall(SYS_tgkill, task_->pid(), task_->pid(), m.stopped().signal()) != 0) {
      return ErrnoStatus(errno, "tgkill");
    }
    return absl::OkStatus();
  }
  if (m.has_counters()) {
    info_.set_local(m.counters().local());
    Report();
    return absl::OkStatus();
  }
  if (m.has_returning()) {
    if (!m.returning().reason().empty()) {
      ++recalls_[m.returning().reason()];
      spdlog::info("event=recall pid={} reason={}", info_.pid(), Quoted(m.returning().reason()));
    }
    info_.set_state("returning");
    return absl::OkStatus();
  }
  if (m.has_image()) return TakeHome(m);
  if (m.has_failed()) return Internal("node {}: {}", info_.where(), m.failed().text());
  return absl::DataLossError("unexpected message from the keeper");
}

absl::Status DeputyAgent::TakeHome(const LinkMessage& first) {
  const Image& image = first.image();
  OMFS_RETURN_IF_ERROR(task_->StopNow(&held_));
  // Signals that were on their way to the guest when it left.
  const uint64_t unseen = std::min<uint64_t>(signals_sent_ - image.signals_seen(), forwarded_signals_.size());
  held_.insert(held_.begin(), forwarded_signals_.end() - static_cast<ptrdiff_t>(unseen), forwarded_signals_.end());
  RemoteCalls calls(&*task_, blob_->syscall_site());
  HomeReturn home(&calls, image, {blob_->base(), blob_->base() + DeputyBlob::kSize});
  OMFS_RETURN_IF_ERROR(home.Begin());
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const Frame f, link_->Receive());
    if (f.type != FrameType::kMessage) {
      OMFS_RETURN_IF_ERROR(home.Apply(f));
      continue;
    }
    OMFS_ASSIGN_OR_RETURN(const LinkMessage m, ParseMessage(f));
    if (m.has_pages_end()) break;
    return absl::DataLossError("unexpected message in an image");
  }
  OMFS_ASSIGN_OR_RETURN(DescriptorRoom room,
                        DescriptorRoom::Make(calls, blob_->data_base(), HighestDescriptor(image)));
  OMFS_RETURN_IF_ERROR(home.Finish(*blob_, config_.mount_point));
  OMFS_RETURN_IF_ERROR(room.GiveBack(calls));
  // From here the process is whole. The blob unmaps itself by way of the vDSO's own system call instruction.
  OMFS_ASSIGN_OR_RETURN(const RemotePtr site, FindSyscallSite(*task_));
  RemoteCalls last(&*task_, site);
  OMFS_RETURN_IF_ERROR(blob_->Remove(last));
  blob_.reset();
  for (const Limit& l : image.limits()) {
    if (l.resource() != RLIMIT_CORE) continue;
    const rlimit core{l.soft(), l.hard()};
    prlimit(task_->pid(), RLIMIT_CORE, &core, nullptr);
  }
  user_regs_struct regs{};
  if (image.registers().size() != sizeof regs) return InvalidArgument("no registers in the image");
  memcpy(&regs, image.registers().data(), sizeof regs);
  OMFS_RETURN_IF_ERROR(task_->SetRegs(regs));
  OMFS_RETURN_IF_ERROR(task_->SetSigmask(image.signal_mask()));
  LinkMessage ready;
  ready.mutable_ready();
  (void)link_->SendMessage(ready);  // if the keeper no longer hears it, its guest ends with the link
  link_.reset();
  info_.set_state("home");
  info_.set_where(config_.node.value);
  // Its working directory may have been removed while away. Looking for it by name tells this kernel.
  const std::string directory = fmt::format("/proc/{}/cwd", task_->pid());
  char path[PATH_MAX];
  if (const ssize_t n = readlink(directory.c_str(), path, sizeof path - 1); n > 0) {
    path[n] = 0;
    (void)access(path, F_OK);
  }
  Report();  // before it can do anything here that is to be seen
  const absl::Status detached = Release();
  if (home_requested_) Report(true);
  return detached;
}

void DeputyAgent::GiveUp(const std::string& why) {
  spdlog::error("event=process_lost pid={} node={} reason={}", info_.pid(), info_.where(), Quoted(why));
  if (task_) kill(task_->pid(), SIGKILL);
  state_ = State::kGone;
  info_.set_state("gone");
  Report(home_requested_ || wanted_.has_value(), Internal("{}", why));
}

}  // namespace omfs::migration
