#include "omfs/server/fanotify_watch.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"

namespace omfs {
namespace {

constexpr uint64_t kEntryEvents = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
constexpr uint64_t kDataEvents = FAN_MODIFY | FAN_CLOSE_WRITE;

// A file is opened for nothing but asking who else has it open. O_NONBLOCK: rather fail than wait
// for one who holds a lease.
ScopedFd OpenToAsk(const Inode& inode) {
  return ScopedFd(
      open(FdPath(inode.fd()).c_str(), O_RDONLY | O_NONBLOCK | O_NOATIME | O_NOCTTY | O_CLOEXEC));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NativeWatch>> FanotifyWatch::Start(Export* e, Listener* listener,
                                                                  const Options& options,
                                                                  bool kernel_has_delegations) {
  std::unique_ptr<FanotifyWatch> watch(new FanotifyWatch(e, listener, kernel_has_delegations));
  if (absl::Status s = watch->StartGroups(options); !s.ok()) {
    return Unavailable("fanotify: {}", Text(s));
  }
  return watch;
}

absl::Status FanotifyWatch::StartGroups(const Options& options) {
  OMFS_ASSIGN_OR_RETURN(
      feed_, ChangeFeed::Start(export_, options.pause, [this](const auto& c) { Report(c); }));
  OMFS_ASSIGN_OR_RETURN(
      gate_, OpenerGate::Start(
                 export_, probe_, options.patience,
                 [this](const auto& opener, const auto& done) { return Admit(opener, done); },
                 [this](std::string line) {
                   to_listener_.Post([line = std::move(line)] { SPDLOG_WARN("{}", line); });
                 }));
  // Started on a server thread's terms: what follows needs to be in /proc/self/fd. It also starts
  // the third thread before the gate could have to.
  absl::Status tried = absl::UnknownError("not tried");
  std::thread([&] {
    ThreadIdentity::Enter();
    tried = TryMarks();
  }).join();
  to_listener_.Post([] {});
  return tried;
}

// The export's root stands for all objects. A permission mark on a directory that does not ask for
// FAN_ONDIR says nothing, but is refused by a kernel that has no permission events.
absl::Status FanotifyWatch::TryMarks() {
  const int root = export_->root()->fd();
  if (const Errno e = feed_->Mark(root, S_IFDIR); !e.ok()) {
    return ErrnoStatus(e.value, "marking for changes");
  }
  feed_->Unmark(root, S_IFDIR);
  if (const Errno e = gate_->Mark(root); !e.ok()) {
    return ErrnoStatus(e.value, "marking for permission events");
  }
  gate_->Unmark(root);
  return absl::OkStatus();
}

FanotifyWatch::~FanotifyWatch() {
  if (gate_ != nullptr) gate_->Stop();
  if (feed_ != nullptr) feed_->Stop();
  to_listener_.Drain();
}

std::string FanotifyWatch::Describe() const {
  return fmt::format(
      "fanotify: native opens wait for recalls; names, attributes and truncate(2) are noticed "
      "within "
      "milliseconds{}",
      kernel_has_delegations_ ? " (the kernel's delegations are not used yet)" : "");
}

bool FanotifyWatch::SetGuard(const omfs_fh& object, Guard guard) {
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(object);
  if (it == objects_.end() || !it->second.marked) return false;
  it->second.guard = guard;
  return true;
}

absl::Status FanotifyWatch::Watch(const Inode& inode, Guard guard) {
  const omfs_fh& object = inode.handle();
  if (SetGuard(object, guard)) return absl::OkStatus();
  std::lock_guard marking(MarkingMutex(object));
  if (SetGuard(object, guard)) return absl::OkStatus();
  {
    // Here before the marks, so that no event is taken for one of an object that is not watched.
    std::lock_guard lock(mutex_);
    objects_[object] = State{.guard = guard};
  }
  ThreadIdentity::BecomeDaemon();
  absl::Status marked = Mark(inode);
  if (!marked.ok()) Forget(object);
  return marked;
}

absl::Status FanotifyWatch::Mark(const Inode& inode) {
  // Opened before the mark, or the open would be an event; asked after it: an opener that came
  // before the mark counts by then, and all later ones are events.
  const bool file = inode.type() == S_IFREG;
  const ScopedFd ask = file ? OpenToAsk(inode) : ScopedFd();
  if (file) {
    if (const Errno e = gate_->Mark(inode.fd()); !e.ok()) {
      return ErrnoStatus(e.value, "watching a file's opens");
    }
  }
  if (const Errno e = feed_->Mark(inode.fd(), inode.type()); !e.ok()) {
    if (file) gate_->Unmark(inode.fd());
    return ErrnoStatus(e.value, "watching an object's changes");
  }
  if (ask) Probe(inode.handle(), ask.get());
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(inode.handle());
  // Removed meanwhile, by a native process.
  if (it == objects_.end()) return absl::NotFoundError("the object is gone");
  it->second.marked = true;
  return absl::OkStatus();
}

void FanotifyWatch::Unwatch(const omfs_fh& object) {
  std::lock_guard marking(MarkingMutex(object));
  {
    std::lock_guard lock(mutex_);
    if (objects_.erase(object) == 0) return;
  }
  // The watch keeps no descriptor of what it watches. The object is gone: so are its marks.
  const auto inode = export_->Resolve(object);
  if (!inode.ok()) {
    if (inode.error().value != ESTALE) {
      SPDLOG_WARN("an object stays marked: {}", strerror(inode.error().value));
    }
    return;
  }
  ThreadIdentity::BecomeDaemon();
  if ((*inode)->type() == S_IFREG) gate_->Unmark((*inode)->fd());
  feed_->Unmark((*inode)->fd(), (*inode)->type());
}

void FanotifyWatch::Forget(const omfs_fh& object) {
  std::lock_guard lock(mutex_);
  objects_.erase(object);
}

bool FanotifyWatch::Watched(const omfs_fh& object) {
  std::lock_guard lock(mutex_);
  return objects_.contains(object);
}

NativeUse FanotifyWatch::Use(const Inode& inode) {
  if (inode.type() != S_IFREG) return NativeUse::kNone;
  {
    std::lock_guard lock(mutex_);
    const auto it = objects_.find(inode.handle());
    if (it == objects_.end()) return NativeUse::kWriting;
    if (!it->second.reading && !it->second.writing) return NativeUse::kNone;
  }
  std::lock_guard marking(MarkingMutex(inode.handle()));
  // Without the mark a lease might be in an opener's way.
  if (!Watched(inode.handle())) return NativeUse::kWriting;
  ThreadIdentity::BecomeDaemon();
  const ScopedFd ask = OpenToAsk(inode);
  return ask ? Probe(inode.handle(), ask.get()) : NativeUse::kWriting;
}

NativeUse FanotifyWatch::Probe(const omfs_fh& object, int file) {
  uint32_t opens = 0;
  {
    std::lock_guard lock(mutex_);
    const auto it = objects_.find(object);
    if (it == objects_.end()) return NativeUse::kWriting;
    opens = it->second.opens;
  }
  const NativeUse use = probe_->OtherUse(file);
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(object);
  if (it == objects_.end()) return NativeUse::kWriting;
  State& state = it->second;
  if (state.opens == opens) {
    if (use != NativeUse::kWriting) state.writing = false;
    if (use == NativeUse::kNone) state.reading = false;
  }
  if (state.writing) return NativeUse::kWriting;
  return state.reading ? NativeUse::kReading : NativeUse::kNone;
}

bool FanotifyWatch::Admit(const OpenerGate::Opener& opener, const Done& done) {
  {
    std::lock_guard lock(mutex_);
    const auto it = objects_.find(opener.object);
    if (it == objects_.end()) return false;
    State& state = it->second;
    ++state.opens;
    state.reading = true;
    if (!opener.writers) {
      state.writing = false;
      if (state.guard == Guard::kWriters) return false;
    }
  }
  to_listener_.Post([this, opener, done] { HandOver(opener, done); });
  return true;
}

void FanotifyWatch::HandOver(const OpenerGate::Opener& opener, const Done& done) {
  const bool writes = opener.writers && !OpensForReading(opener.pid);
  NativeUse use = NativeUse::kReading;
  {
    std::lock_guard lock(mutex_);
    const auto it = objects_.find(opener.object);
    if (it == objects_.end()) return done();
    State& state = it->second;
    if (writes) state.writing = true;
    if (state.writing) use = NativeUse::kWriting;
    if (use == NativeUse::kReading && state.guard == Guard::kWriters) return done();
  }
  listener_->Opening(opener.object, use, done);
}

void FanotifyWatch::Report(const ChangeFeed::Change& change) {
  if ((change.mask & FAN_Q_OVERFLOW) != 0) return listener_->Overflow();
  if (change.dir.has_value() && (change.mask & kEntryEvents) != 0) ReportEntry(change);
  if (change.object.has_value() && (change.mask & ~kEntryEvents) != 0) ReportObject(change);
}

void FanotifyWatch::ReportEntry(const ChangeFeed::Change& change) {
  if (change.own) return;
  if (Watched(*change.dir)) listener_->EntryChanged(*change.dir, change.name);
  // A directory that is removed says so itself only when nobody has it open any more.
  const uint64_t rmdir = FAN_DELETE | FAN_ONDIR;
  if ((change.mask & rmdir) == rmdir && change.object.has_value() && Watched(*change.object)) {
    listener_->Removed(*change.object);
  }
}

void FanotifyWatch::ReportObject(const ChangeFeed::Change& change) {
  const omfs_fh& object = *change.object;
  const bool watched = Watched(object);
  const bool gone = (change.mask & FAN_DELETE_SELF) != 0;
  if (gone) Forget(object);
  if (!watched) return;
  // What a native process removed may be gone only when the daemon closes it. Of a file that is
  // known by then (LastNameGone), of a directory perhaps not.
  if (change.own) {
    if (gone && (change.mask & FAN_ONDIR) != 0) listener_->Removed(object);
    return;
  }
  if ((change.mask & kDataEvents) != 0) listener_->DataChanged(object);
  if ((change.mask & (FAN_ATTRIB | FAN_MOVE_SELF)) != 0) listener_->AttributesChanged(object);
  if (gone || ((change.mask & FAN_ATTRIB) != 0 && LastNameGone(object))) {
    listener_->Removed(object);
  }
}

bool FanotifyWatch::LastNameGone(const omfs_fh& object) {
  const auto inode = export_->Resolve(object);
  struct statx stx;
  if (!inode.ok()) return inode.error().value == ESTALE;
  return statx((*inode)->fd(), "", AT_EMPTY_PATH, STATX_NLINK, &stx) == 0 && stx.stx_nlink == 0;
}

}  // namespace omfs
