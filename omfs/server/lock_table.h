// File locks of remote processes.
//
// The owner's kernel is the judge: for each (session, lock owner, file) the server keeps an open
// file description of its own and takes open-file-description locks (F_OFD_SETLK, fcntl(2)) on it,
// so that remote owners conflict with each other and with native processes exactly as the kernel
// says, with its splitting and merging of ranges. flock locks are taken on the description of the
// client's open. Nothing here waits: who must wait is parked (lock_waiters.h) and tries again.
//
// Beside the kernel the table keeps which remote owner holds what, for two things the kernel cannot
// tell about such locks: the holder's pid (F_GETLK), and whether waiting would close a circle of
// owners that wait for each other (EDEADLK).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "omfs/base/errno_or.h"
#include "omfs/server/open_table.h"

namespace omfs {

// Who holds a POSIX lock: the client's number for it, within its session.
struct LockOwner {
  SessionId session;
  uint64_t owner = 0;
  friend auto operator<=>(const LockOwner&, const LockOwner&) = default;
};

struct LockRange {
  uint64_t start = 0;
  uint64_t end = 0;  // inclusive; kLockToEnd: to the end of the file, wherever that is
  short type = 0;    // F_RDLCK, F_WRLCK, F_UNLCK
  uint32_t pid = 0;

  bool Overlaps(const LockRange& other) const { return start <= other.end && other.start <= end; }
};
inline constexpr uint64_t kLockToEnd = ~0ULL;

// A request that waits, by session, slot and sequence.
struct WaitKey {
  SessionId session;
  uint16_t slot = 0;
  uint32_t sequence = 0;
  friend auto operator<=>(const WaitKey&, const WaitKey&) = default;
};

// Thread-safe.
class LockTable {
 public:
  // on_release: called, without locks held, when something on the object was unlocked or
  // downgraded.
  explicit LockTable(std::function<void(const omfs_fh&)> on_release)
      : on_release_(std::move(on_release)) {}

  // Sets, changes or (F_UNLCK) releases a range. EAGAIN: somebody else holds it. EBADF: the open
  // does not allow the type. Needs the daemon's identity.
  Errno Set(const OpenFile& open, const LockOwner& owner, const LockRange& range);
  // The first lock that would keep `range` from being set; type F_UNLCK if there is none.
  ErrnoOr<LockRange> Test(const OpenFile& open, const LockOwner& owner, const LockRange& range);
  // flock(2): type as in LockRange.
  Errno Flock(const OpenFile& open, short type);

  // Notes that a request will wait for a range. EDEADLK: it would wait for itself.
  Errno StartWaiting(const WaitKey& key, const OpenFile& open, const LockOwner& owner,
                     const LockRange& range);
  void StopWaiting(const WaitKey& key);

  // An open of the object was closed: releases what the lock owner (0: nobody) holds on it.
  void Closed(const Inode& inode, const LockOwner& owner);
  void EndSession(SessionId session);

 private:
  struct Holder {
    LockOwner owner;
    ScopedFd description;  // the locks are on it
    std::vector<LockRange> ranges;
  };
  using Holders = std::vector<std::unique_ptr<Holder>>;
  using Map = std::unordered_map<omfs_fh, Holders, HandleHash, HandleEqual>;
  struct Waiting {
    LockOwner owner;
    omfs_fh object;
    LockRange range;
  };

  Holder* Find(const omfs_fh& object, const LockOwner& owner);  // mutex_ held
  void Release(const omfs_fh& object, const LockOwner& owner);  // mutex_ held
  std::vector<LockOwner> Blockers(const omfs_fh& object, const LockOwner& owner,
                                  const LockRange& range);  // mutex_ held
  // Whether one of the owners waits, directly or through others, for the target.
  bool AnyWaitsFor(std::vector<LockOwner> owners, const LockOwner& target);  // mutex_ held

  const std::function<void(const omfs_fh&)> on_release_;
  std::mutex mutex_;
  Map holders_;                         // guarded by mutex_
  std::map<WaitKey, Waiting> waiting_;  // guarded by mutex_
};

}  // namespace omfs
