#include "omfs-fuse/waiting_requests.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "omfs-fuse/caller_watch.h"

namespace omfs {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kOpTmpFile = 51;

// Most requests that meet a signal end before it is worth looking who sent it.
constexpr milliseconds kFirstLook{2};
constexpr milliseconds kLook{20};   // while there are interrupted ones
constexpr milliseconds kRound{100};  // for those that nobody interrupts
// How long the owner may take to answer a CANCEL.
constexpr milliseconds kCancelPatience{300};
constexpr milliseconds kExitPatience{200};
// How long an owner that says nothing at all is waited for by what is in a hurry.
constexpr milliseconds kQuickPatience{1000};
constexpr size_t kKeptOfRequest = 64;

template <typename T>
bool At(std::span<const std::byte> in, size_t offset, T* out) {
  if (in.size() < offset + sizeof *out) return false;
  memcpy(out, in.data() + offset, sizeof *out);
  return true;
}

// Whose answers nobody waits for, and what comes before there is a connection.
bool Unwatched(uint32_t opcode) {
  return opcode == FUSE_INIT || opcode == FUSE_DESTROY || opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET ||
         opcode == FUSE_INTERRUPT || opcode == FUSE_NOTIFY_REPLY;
}

bool IsRelease(uint32_t opcode) { return opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR; }

// Is served whatever becomes of its caller: it gives up what the caller had.
bool MustBeServed(uint32_t opcode) { return IsRelease(opcode) || opcode == FUSE_FLUSH; }

// Whether it may leave something changed behind; body: the request's.
bool Changes(uint32_t opcode, std::span<const std::byte> body) {
  switch (opcode) {
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_CREATE:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_FLUSH:
    case FUSE_SETLK:
    case FUSE_SETLKW:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_IOCTL:
    case kOpTmpFile:
      return true;
    case FUSE_OPEN: {
      uint32_t flags = 0;
      return At(body, 0, &flags) && (flags & O_TRUNC) != 0;
    }
    default:
      return false;
  }
}

bool WaitsForLock(uint32_t opcode, std::span<const std::byte> body) {
  uint32_t type = F_UNLCK;
  return opcode == FUSE_SETLKW && At(body, offsetof(fuse_lk_in, lk) + offsetof(fuse_file_lock, type), &type) && type != F_UNLCK;
}

// A second object that the request is about, or 0.
fuse_ino_t OtherNode(uint32_t opcode, std::span<const std::byte> body) {
  uint64_t node = 0;
  size_t at;
  switch (opcode) {
    case FUSE_RENAME:   // fuse_rename_in::newdir
    case FUSE_RENAME2:  // fuse_rename2_in::newdir
    case FUSE_LINK:     // fuse_link_in::oldnodeid
      at = 0;
      break;
    case FUSE_COPY_FILE_RANGE:
      at = offsetof(fuse_copy_file_range_in, nodeid_out);
      break;
    default:
      return 0;
  }
  return At(body, at, &node) ? node : 0;
}

}  // namespace

thread_local WaitingRequests::Waiting* WaitingRequests::current_ = nullptr;
thread_local WaitingRequests* WaitingRequests::current_in_ = nullptr;

WaitingRequests::WaitingRequests(int device, FileSystem* fs) : device_(device), fs_(fs) {
  thread_ = std::thread([this] { Watch(); });
}

WaitingRequests::~WaitingRequests() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  watch_.notify_all();
  thread_.join();
}

bool WaitingRequests::Touch(const Waiting& a, const Waiting& b) {
  for (const fuse_ino_t node : a.nodes) {
    if (node != 0 && (node == b.nodes[0] || node == b.nodes[1])) return true;
  }
  return false;
}

bool WaitingRequests::WaitsFor(const Waiting& later) const {
  if (orphans_ == 0) return false;
  for (const Waiting& w : waiting_) {
    if (w.number >= later.number) return false;
    if (w.orphaned && (w.changes || IsRelease(later.opcode)) && Touch(w, later)) return true;
  }
  return false;
}

WaitingRequests::Scope::Scope(WaitingRequests* all, std::span<const std::byte> request) : all_(all) {
  fuse_in_header h;
  if (!At(request, 0, &h) || Unwatched(h.opcode)) return;
  registered_ = true;
  const std::span<const std::byte> body = request.subspan(sizeof h);
  std::unique_lock lock(all_->mu_);
  Waiting& w = all_->waiting_.emplace_back();
  w.number = ++all_->arrivals_;
  w.unique = h.unique;
  w.opcode = h.opcode;
  w.caller = static_cast<pid_t>(h.pid);
  w.nodes = {h.nodeid, OtherNode(h.opcode, body)};
  w.changes = Changes(h.opcode, body);
  w.lock_wait = WaitsForLock(h.opcode, body);
  w.since = Clock::now();
  current_ = &w;
  current_in_ = all_;
  if (all_->fs_->IsQuick(h.opcode, h.nodeid)) {
    w.quick = true;
    const auto kept = request.first(std::min(request.size(), kKeptOfRequest));
    w.fallback_request.assign(kept.begin(), kept.end());
    if (all_->fs_->OwnerUnreachable() || all_->KnownToBeSilent()) {
      w.answered = true;
      all_->Send(all_->fs_->QuickAnswer(kept));
      return;
    }
  }
  if (all_->asleep_ && Concerns(w)) all_->watch_.notify_all();
  while (all_->WaitsFor(w) && (!w.orphaned || MustBeServed(w.opcode))) all_->orphan_ended_.wait(lock);
  if (!MustBeServed(w.opcode)) withdrawal_.emplace(&w.orphaned);
}

WaitingRequests::Scope::~Scope() {
  if (!registered_) return;
  withdrawal_.reset();
  Waiting* const w = current_;
  current_ = nullptr;
  current_in_ = nullptr;
  std::unique_lock lock(all_->mu_);
  w->cancel.reset();
  const bool orphan = w->orphaned;
  const std::array<fuse_ino_t, 2> nodes = w->nodes;
  if (orphan) {
    // Before later requests go on.
    w->answered = true;
    lock.unlock();
    for (const fuse_ino_t node : nodes) {
      if (node != 0) all_->fs_->Orphaned(node, w->changes);
    }
    lock.lock();
    --all_->orphans_;
  }
  all_->waiting_.remove_if([&](const Waiting& other) { return &other == w; });
  if (orphan) all_->orphan_ended_.notify_all();
}

bool WaitingRequests::Scope::to_be_served() const {
  if (!registered_ || MustBeServed(current_->opcode)) return true;
  std::lock_guard lock(all_->mu_);
  return !current_->answered && !current_->orphaned;
}

bool WaitingRequests::BeginAnswer() {
  if (current_ == nullptr) return true;
  std::lock_guard lock(current_in_->mu_);
  if (current_->orphaned || current_->answered) return false;
  current_->answered = true;
  return true;
}

void WaitingRequests::SetCancel(std::shared_ptr<CancelToken> token) {
  if (current_ == nullptr) return;
  bool late;
  {
    std::lock_guard lock(current_in_->mu_);
    current_->cancel = token;
    late = current_->interrupted;
  }
  if (late && token != nullptr) token->Cancel();
}

bool WaitingRequests::Interrupt(std::span<const std::byte> request) {
  fuse_in_header h;
  fuse_interrupt_in in;
  if (!At(request, 0, &h) || h.opcode != FUSE_INTERRUPT) return false;
  if (!At(request, sizeof h, &in)) return true;
  std::shared_ptr<CancelToken> cancel;
  bool found = false;
  {
    std::lock_guard lock(mu_);
    const auto w = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& x) { return x.unique == in.unique; });
    found = w != waiting_.end();
    if (found) {
      if (!std::exchange(w->interrupted, true)) w->interrupted_at = Clock::now();
      cancel = w->cancel;
      watch_.notify_all();
    }
  }
  if (cancel != nullptr) cancel->Cancel();
  if (found) return true;
  // Read by another thread that has not got as far as to say so, or answered meanwhile: the kernel knows which, and comes again.
  usleep(1000);
  fuse_out_header again{};
  again.len = sizeof again;
  again.error = -EAGAIN;
  again.unique = h.unique;
  Send(std::as_bytes(std::span(&again, 1)));
  return true;
}

bool WaitingRequests::Concerns(const Waiting& w) {
  return !w.answered && !w.orphaned && (w.interrupted || w.quick || w.opcode == FUSE_FLUSH);
}

void WaitingRequests::Watch() {
  std::unique_lock lock(mu_);
  uint64_t seen = 0;
  while (!stopping_) {
    bool any = false, interrupted = false;
    for (const Waiting& w : waiting_) {
      any = any || Concerns(w);
      interrupted = interrupted || (Concerns(w) && w.interrupted);
    }
    // Whoever starts a request need not wake this thread while it comes by anyway.
    if (!any && seen == arrivals_) {
      asleep_ = true;
      watch_.wait(lock);
      asleep_ = false;
      lock.unlock();
      std::this_thread::sleep_for(kFirstLook);
      lock.lock();
    } else {
      seen = arrivals_;
      if (watch_.wait_for(lock, interrupted ? kLook : kRound) == std::cv_status::no_timeout && !stopping_) {
        lock.unlock();
        std::this_thread::sleep_for(kFirstLook);
        lock.lock();
      }
    }
    if (!stopping_) Look(lock);
  }
}

void WaitingRequests::Look(std::unique_lock<std::mutex>& lock) {
  struct Seen {
    uint64_t number;
    pid_t caller;
    bool interrupted;
    bool flush;
    bool dying = false;
    bool exiting = false;
  };
  std::vector<Seen> all;
  const Clock::time_point now = Clock::now();
  for (const Waiting& w : waiting_) {
    if (!Concerns(w)) continue;
    const bool flush = w.opcode == FUSE_FLUSH && now - w.since >= kExitPatience;
    if (w.interrupted || flush || w.quick) all.push_back({w.number, w.caller, w.interrupted, flush});
  }
  lock.unlock();
  for (Seen& s : all) {
    s.dying = s.interrupted && CallerIsDying(s.caller);
    s.exiting = s.flush && CallerIsExiting(s.caller);
  }
  lock.lock();
  for (const Seen& s : all) {
    const auto w = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& x) { return x.number == s.number; });
    if (w == waiting_.end() || w->answered || w->orphaned) continue;
    const bool unheard = w->lock_wait && w->interrupted && now - w->interrupted_at >= kCancelPatience;
    if (s.exiting) {
      OrphanWithError(&*w, 0);
    } else if (s.dying || unheard) {
      OrphanWithError(&*w, EINTR);
    } else if (w->quick && now - w->since >= kQuickPatience && !fs_->OwnerHeardSince(w->since)) {
      Orphan(&*w, fs_->QuickAnswer(w->fallback_request));
    }
  }
}

bool WaitingRequests::KnownToBeSilent() const {
  return std::any_of(waiting_.begin(), waiting_.end(), [this](const Waiting& w) {
    return w.quick && w.orphaned && !fs_->OwnerHeardSince(w.since);
  });
}

void WaitingRequests::OrphanWithError(Waiting* w, int error) {
  fuse_out_header answer{};
  answer.len = sizeof answer;
  answer.error = -error;
  answer.unique = w->unique;
  Orphan(w, std::as_bytes(std::span(&answer, 1)));
}

void WaitingRequests::Orphan(Waiting* w, std::span<const std::byte> answer) {
  // While the kernel has no answer it still has the objects.
  for (const fuse_ino_t node : w->nodes) {
    if (node != 0) fs_->Pin(node);
  }
  w->orphaned = true;
  ++orphans_;
  Send(answer);
  orphan_ended_.notify_all();  // one that waited for others itself has not begun, and ends
}

// Refused by the kernel when the connection has ended: then nobody waits any more.
void WaitingRequests::Send(std::span<const std::byte> answer) const {
  if (write(device_, answer.data(), answer.size()) < 0) return;
}

}  // namespace omfs
