// GETLK and SETLK: POSIX byte ranges, open-file-description locks (to the owner both are ranges of
// a lock owner) and flock. How they are held: ../lock_table.h; how they wait: ../lock_waiters.h.
// Waiting for a POSIX lock that would close a circle of waiting owners is EDEADLK; flock has no
// such rule (flock(2)).
#include <fcntl.h>

#include <limits>

#include "omfs/server/identity.h"
#include "omfs/server/lock_table.h"
#include "omfs/server/ops/ops.h"
#include "omfs/server/session.h"

namespace omfs::ops {
namespace {

constexpr uint64_t kLastOffset = std::numeric_limits<off_t>::max();

ErrnoOr<LockRange> RangeOf(const omfs_lock& lock) {
  LockRange range;
  range.start = Le64(lock.start);
  range.end = Le64(lock.end);
  range.pid = Le32(lock.pid);
  const uint32_t type = Le32(lock.type);
  if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK) return Errno(EINVAL);
  range.type = static_cast<short>(type);
  if (range.end >= kLastOffset) range.end = kLockToEnd;
  if (range.start > kLastOffset || range.start > range.end) return Errno(EINVAL);
  return range;
}

Errno SetRange(Operation& op, const OpenFile& open, const LockOwner& owner, const LockRange& range,
               bool wait) {
  LockTable& locks = op.services().locks;
  const WaitKey key{op.session().id(), op.header().slot, op.header().sequence};
  ThreadIdentity::BecomeDaemon();
  const Errno e = locks.Set(open, owner, range);
  if (e.value == EAGAIN && wait) {
    const Errno circle = locks.StartWaiting(key, open, owner, range);
    return circle.ok() ? e : circle;
  }
  locks.StopWaiting(key);
  return e;
}

}  // namespace

OpResult GetLk(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_lock_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  OMFS_TRY(const LockRange range, RangeOf(r.fixed.lock));
  if (range.type == F_UNLCK) return Errno(EINVAL);
  const LockOwner owner{op.session().id(), Le64(r.fixed.owner)};
  OMFS_TRY(const LockRange found, op.services().locks.Test(*open, owner, range));
  omfs_lock_rep rep{};
  rep.lock.start = Le64(found.start);
  rep.lock.end = Le64(found.end);
  rep.lock.type = Le32(static_cast<uint32_t>(found.type));
  rep.lock.pid = Le32(found.pid);
  return ReplyWith(rep);
}

OpResult SetLk(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_lock_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  OMFS_TRY(const LockRange range, RangeOf(r.fixed.lock));
  const LockOwner owner{op.session().id(), Le64(r.fixed.owner)};
  const uint32_t flags = Le32(r.fixed.flags);
  const bool wait = (flags & OMFS_LOCK_WAIT) != 0;
  const Errno e = (flags & OMFS_LOCK_FLOCK) ? op.services().locks.Flock(*open, range.type)
                                            : SetRange(op, *open, owner, range, wait);
  if (e.value == EAGAIN && wait) return Parked{open->inode};
  return e;
}

}  // namespace omfs::ops
