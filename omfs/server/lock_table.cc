#include "omfs/server/lock_table.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <set>

#include "omfs/server/identity.h"

namespace omfs {
namespace {

// As the kernel wants it. The caller has checked start and end against the largest offset.
struct flock KernelLock(const LockRange& range) {
  struct flock lock {};
  lock.l_type = range.type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(range.start);
  lock.l_len = range.end == kLockToEnd ? 0 : static_cast<off_t>(range.end - range.start + 1);
  return lock;
}

// A description that can carry both lock types where the file allows it. A lock may not depend on
// which of its opens the owner set it through; locks of the same owner on two descriptions would
// conflict.
ErrnoOr<ScopedFd> OpenDescription(const Inode& inode) {
  const FdPath path(inode.fd());
  ScopedFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) fd.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Errno::Last();
  return fd;
}

// Puts a range into an owner's list as the kernel does: it replaces what it overlaps.
void Apply(std::vector<LockRange>* ranges, const LockRange& range) {
  std::vector<LockRange> out;
  for (const LockRange& old : *ranges) {
    if (!old.Overlaps(range)) {
      out.push_back(old);
      continue;
    }
    if (old.start < range.start) {
      LockRange left = old;
      left.end = range.start - 1;
      out.push_back(left);
    }
    if (old.end > range.end) {
      LockRange right = old;
      right.start = range.end + 1;
      out.push_back(right);
    }
  }
  if (range.type != F_UNLCK) out.push_back(range);
  *ranges = std::move(out);
}

bool Conflicts(const LockRange& a, const LockRange& b) {
  return a.Overlaps(b) && (a.type == F_WRLCK || b.type == F_WRLCK);
}

}  // namespace

Errno LockTable::Set(const OpenFile& open, const LockOwner& owner, const LockRange& range) {
  if ((range.type == F_RDLCK && !open.readable()) || (range.type == F_WRLCK && !open.writable())) {
    return Errno(EBADF);
  }
  const omfs_fh& object = open.inode->handle();
  {
    std::lock_guard lock(mutex_);
    Holder* holder = Find(object, owner);
    if (holder == nullptr) {
      if (range.type == F_UNLCK) return Errno();
      auto description = OpenDescription(*open.inode);
      if (!description.ok()) return description.error();
      auto fresh = std::make_unique<Holder>();
      fresh->owner = owner;
      fresh->description = std::move(*description);
      holder = fresh.get();
      holders_[object].push_back(std::move(fresh));
    }
    struct flock kernel = KernelLock(range);
    const Errno e =
        fcntl(holder->description.get(), F_OFD_SETLK, &kernel) == 0 ? Errno() : Errno::Last();
    if (e.ok()) Apply(&holder->ranges, range);
    if (holder->ranges.empty()) Release(object, owner);
    if (!e.ok()) return e.value == EACCES ? Errno(EAGAIN) : e;
  }
  if (range.type != F_WRLCK) on_release_(object);
  return Errno();
}

ErrnoOr<LockRange> LockTable::Test(const OpenFile& open, const LockOwner& owner,
                                   const LockRange& range) {
  const omfs_fh& object = open.inode->handle();
  std::lock_guard lock(mutex_);
  const Holder* holder = Find(object, owner);
  struct flock kernel = KernelLock(range);
  const int fd = holder != nullptr ? holder->description.get() : open.fd.get();
  if (fcntl(fd, F_OFD_GETLK, &kernel) != 0) return Errno::Last();
  LockRange found;
  found.type = kernel.l_type;
  if (found.type == F_UNLCK) return found;
  found.start = static_cast<uint64_t>(kernel.l_start);
  found.end =
      kernel.l_len == 0 ? kLockToEnd : found.start + static_cast<uint64_t>(kernel.l_len) - 1;
  found.pid = static_cast<uint32_t>(kernel.l_pid);
  const auto it = holders_.find(object);
  if (it == holders_.end()) return found;
  for (const auto& other : it->second) {
    if (other->owner == owner) continue;
    for (const LockRange& r : other->ranges) {
      if (r.Overlaps(found) && r.type == found.type) found.pid = r.pid;
    }
  }
  return found;
}

Errno LockTable::Flock(const OpenFile& open, short type) {
  const int how = type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN;
  if (flock(open.fd.get(), how | LOCK_NB) != 0) {
    const Errno e = Errno::Last();
    // A failed conversion has lost the lock that was to be converted (flock(2)).
    on_release_(open.inode->handle());
    return e;
  }
  if (type != F_WRLCK) on_release_(open.inode->handle());
  return Errno();
}

Errno LockTable::StartWaiting(const WaitKey& key, const OpenFile& open, const LockOwner& owner,
                              const LockRange& range) {
  const omfs_fh& object = open.inode->handle();
  std::lock_guard lock(mutex_);
  if (AnyWaitsFor(Blockers(object, owner, range), owner)) {
    waiting_.erase(key);
    return Errno(EDEADLK);
  }
  waiting_[key] = Waiting{owner, object, range};
  return Errno();
}

void LockTable::StopWaiting(const WaitKey& key) {
  std::lock_guard lock(mutex_);
  waiting_.erase(key);
}

void LockTable::Closed(const Inode& inode, const LockOwner& owner) {
  {
    std::lock_guard lock(mutex_);
    if (owner.owner != 0) Release(inode.handle(), owner);
  }
  on_release_(inode.handle());
}

void LockTable::EndSession(SessionId session) {
  std::vector<omfs_fh> released;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [&](const auto& w) { return w.first.session == session; });
    for (auto it = holders_.begin(); it != holders_.end();) {
      const size_t n =
          std::erase_if(it->second, [&](const auto& h) { return h->owner.session == session; });
      if (n > 0) released.push_back(it->first);
      it = it->second.empty() ? holders_.erase(it) : std::next(it);
    }
  }
  for (const omfs_fh& object : released) on_release_(object);
}

LockTable::Holder* LockTable::Find(const omfs_fh& object, const LockOwner& owner) {
  const auto it = holders_.find(object);
  if (it == holders_.end()) return nullptr;
  for (const auto& holder : it->second) {
    if (holder->owner == owner) return holder.get();
  }
  return nullptr;
}

void LockTable::Release(const omfs_fh& object, const LockOwner& owner) {
  const auto it = holders_.find(object);
  if (it == holders_.end()) return;
  std::erase_if(it->second, [&](const auto& h) { return h->owner == owner; });
  if (it->second.empty()) holders_.erase(it);
}

std::vector<LockOwner> LockTable::Blockers(const omfs_fh& object, const LockOwner& owner,
                                           const LockRange& range) {
  std::vector<LockOwner> out;
  const auto it = holders_.find(object);
  if (it == holders_.end()) return out;
  for (const auto& holder : it->second) {
    if (holder->owner == owner) continue;
    if (std::ranges::any_of(holder->ranges,
                            [&](const LockRange& r) { return Conflicts(r, range); })) {
      out.push_back(holder->owner);
    }
  }
  return out;
}

bool LockTable::AnyWaitsFor(std::vector<LockOwner> owners, const LockOwner& target) {
  std::set<LockOwner> seen;
  while (!owners.empty()) {
    const LockOwner owner = owners.back();
    owners.pop_back();
    if (owner == target) return true;
    if (!seen.insert(owner).second) continue;
    for (const auto& [key, waiting] : waiting_) {
      if (waiting.owner != owner) continue;
      for (const LockOwner& next : Blockers(waiting.object, owner, waiting.range)) {
        owners.push_back(next);
      }
    }
  }
  return false;
}

}  // namespace omfs
