#include "omfs/server/opener_gate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>

#include <map>
#include <mutex>
#include <optional>

#include "omfs/base/status.h"
#include "omfs/server/identity.h"

namespace omfs {

using Clock = std::chrono::steady_clock;

// Thread-safe. Lives as long as somebody may call done.
//
// The kernel knows an opener by the number of the descriptor that its event brought. What that
// descriptor is of does not matter any more: it would count as a user of the file, so another takes
// its place (Arrived) and keeps the number from being given out again.
class WaitingOpeners {
 public:
  WaitingOpeners(ScopedFd group, std::shared_ptr<LeaseProbe> probe)
      : group_(std::move(group)), probe_(std::move(probe)) {}

  // The opener of that descriptor goes on.
  void LetGo(ScopedFd event) {
    std::lock_guard lock(mutex_);
    Answer(event.get());
  }

  uint64_t Add(const OpenerGate::Opener& opener, ScopedFd event, Clock::time_point until) {
    std::lock_guard lock(mutex_);
    waiting_.emplace(++last_, Waiting{opener, std::move(event), until});
    return last_;
  }

  // No opener of that number waits: nothing happens.
  std::optional<OpenerGate::Opener> LetGo(uint64_t number) {
    std::lock_guard lock(mutex_);
    const auto gone = waiting_.extract(number);
    if (gone.empty()) return std::nullopt;
    Answer(gone.mapped().event.get());
    return gone.mapped().opener;
  }

  // The one that must go next. All wait equally long, so it is the one that came first.
  std::optional<std::pair<uint64_t, Clock::time_point>> Next() {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) return std::nullopt;
    return std::pair(waiting_.begin()->first, waiting_.begin()->second.until);
  }

  void Close() {
    std::lock_guard lock(mutex_);
    for (auto& [number, w] : waiting_) Answer(w.event.get());
    waiting_.clear();
    group_.reset();
  }

 private:
  struct Waiting {
    OpenerGate::Opener opener;
    ScopedFd event;
    Clock::time_point until;
  };

  // mutex_ held.
  void Answer(int event) {
    if (!group_) return;
    const fanotify_response response{.fd = event, .response = FAN_ALLOW};
    // ENOENT: the opener was killed.
    probe_->WhileNoLease([&] { (void)!write(group_.get(), &response, sizeof response); });
  }

  std::mutex mutex_;  // before the probe's
  ScopedFd group_;    // guarded by mutex_; the answering thread reads from it without
  const std::shared_ptr<LeaseProbe> probe_;
  std::map<uint64_t, Waiting> waiting_;  // guarded by mutex_
  uint64_t last_ = 0;                    // guarded by mutex_
};

OpenerGate::OpenerGate(const Export* e, std::shared_ptr<LeaseProbe> probe,
                       std::chrono::milliseconds patience, Admit admit, Note note)
    : export_(e),
      probe_(std::move(probe)),
      patience_(patience),
      admit_(std::move(admit)),
      note_(std::move(note)),
      self_(getpid()) {}

absl::StatusOr<std::unique_ptr<OpenerGate>> OpenerGate::Start(const Export* e,
                                                              std::shared_ptr<LeaseProbe> probe,
                                                              std::chrono::milliseconds patience,
                                                              Admit admit, Note note) {
  ScopedFd group(fanotify_init(
      FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
      O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME));
  if (!group) return ErrnoStatus(errno, "fanotify_init for permission events");
  std::unique_ptr<OpenerGate> gate(
      new OpenerGate(e, probe, patience, std::move(admit), std::move(note)));
  gate->stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!gate->stop_) return ErrnoStatus(errno, "eventfd");
  gate->group_ = group.get();
  gate->waiting_ = std::make_shared<WaitingOpeners>(std::move(group), std::move(probe));
  gate->thread_ = std::thread([g = gate.get()] { g->Run(); });
  return gate;
}

void OpenerGate::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
  waiting_->Close();
}

Errno OpenerGate::Mark(int path_fd) {
  const FdPath path(path_fd);
  if (fanotify_mark(group_, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path.c_str()) != 0) {
    return Errno::Last();
  }
  return Errno();
}

Errno OpenerGate::Unmark(int path_fd) {
  const FdPath path(path_fd);
  if (fanotify_mark(group_, FAN_MARK_REMOVE, FAN_OPEN_PERM, AT_FDCWD, path.c_str()) != 0) {
    return Errno::Last();
  }
  return Errno();
}

void OpenerGate::Run() {
  ThreadIdentity::Enter();
  for (;;) {
    LetOverdueGo();
    int timeout_ms = -1;
    if (const auto next = waiting_->Next()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next->second - Clock::now());
      timeout_ms = static_cast<int>(std::max<int64_t>(left.count(), 0));
    }
    pollfd fds[] = {{group_, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(fds, 2, timeout_ms);
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) ReadEvents();
  }
}

void OpenerGate::LetOverdueGo() {
  for (;;) {
    const auto next = waiting_->Next();
    if (!next || next->second > Clock::now()) return;
    if (const auto opener = waiting_->LetGo(next->first)) {
      note_(
          fmt::format("pid {} opens a file although others' caches of it were not taken back "
                      "within {} ms",
                      opener->pid, patience_.count()));
    }
  }
}

void OpenerGate::ReadEvents() {
  alignas(fanotify_event_metadata) char buffer[4096];
  ssize_t length = read(group_, buffer, sizeof buffer);
  if (length < 0) {
    // The kernel could not open the file for the event - EMFILE, or EIO - and refused the opener.
    if (errno != EAGAIN && errno != EINTR) {
      note_(fmt::format("a native process could not open a file that others cache: {}",
                        strerror(errno)));
    }
    return;
  }
  const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer);
  for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
    if (event->fd >= 0) Arrived(ScopedFd(event->fd), event->pid);
  }
}

void OpenerGate::Arrived(ScopedFd event, pid_t pid) {
  std::optional<Opener> opener;
  if (pid != self_) {
    const auto object = export_->HandleOf(event.get());
    if (object.ok()) opener = Opener{*object, pid, probe_->AnyWriter(event.get())};
  }
  dup3(stop_.get(), event.get(), O_CLOEXEC);
  if (!opener) return waiting_->LetGo(std::move(event));
  // Registered first: done may be called before admit returns.
  const uint64_t number = waiting_->Add(*opener, std::move(event), Clock::now() + patience_);
  const auto done = [waiting = waiting_, number] { waiting->LetGo(number); };
  if (!admit_(*opener, done)) done();
}

}  // namespace omfs
