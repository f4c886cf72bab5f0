// Locks: kept at the owner only, so that they hold between nodes. A lock that waits occupies its
// worker thread (the session has as many as it needs) and is interruptible by signals (waiting_requests.h).
#include <fcntl.h>
#include <sys/file.h>

#include "omfs-fuse/node_fs.h"
#include "omfs-fuse/waiting_requests.h"
#include "omfs/client/withdrawal.h"

namespace omfs {
namespace {

FileLock RangeFrom(const struct flock& lock) {
  FileLock l;
  l.start = lock.l_start;
  l.end = lock.l_len == 0 ? ~0ull : static_cast<uint64_t>(lock.l_start) + lock.l_len - 1;
  l.type = lock.l_type;
  l.pid = lock.l_pid;
  return l;
}

}  // namespace

void NodeFs::GetLock(FuseRequest& r, fuse_ino_t, fuse_file_info* fi, struct flock* lock) {
  FileHandle* h = FileHandle::Of(fi);
  ErrnoOr<FileLock> found =
      h->node->GetLock(h->open->opener(), h->open, fi->lock_owner, 0, RangeFrom(*lock));
  if (!found.ok()) return r.Fail(found.error());
  struct flock out {};
  out.l_type = static_cast<short>(found->type);
  out.l_whence = SEEK_SET;
  out.l_start = static_cast<off_t>(found->start);
  out.l_len = found->end == ~0ull ? 0 : static_cast<off_t>(found->end - found->start + 1);
  out.l_pid = static_cast<pid_t>(found->pid);
  r.Lock(out);
}

void NodeFs::LockWith(FuseRequest& r, fuse_file_info* fi, uint32_t flags, const FileLock& lock, bool undo_when_late) {
  FileHandle* h = FileHandle::Of(fi);
  const bool waits = (flags & OMFS_LOCK_WAIT) != 0 && lock.type != F_UNLCK;
  const auto cancel = waits ? std::make_shared<CancelToken>() : nullptr;
  if (waits) WaitingRequests::SetCancel(cancel);
  const Errno result = h->node->SetLock(h->open->opener(), h->open, fi->lock_owner, flags, lock, cancel.get());
  if (waits) WaitingRequests::SetCancel(nullptr);
  r.Done(result);
  if (r.taken() || !result.ok() || !undo_when_late) return;
  // The caller was told EINTR, and does not know that it has the lock.
  const WithdrawalScope even_so(nullptr);
  FileLock back = lock;
  back.type = F_UNLCK;
  h->node->SetLock(h->open->opener(), h->open, fi->lock_owner, flags & OMFS_LOCK_FLOCK, back, nullptr);
}

void NodeFs::SetLock(FuseRequest& r, fuse_ino_t, fuse_file_info* fi, struct flock* lock, int wait) {
  FileHandle* h = FileHandle::Of(fi);
  // One that had locks already may have had this range, in another mode or in part, and an unlock would take that from it as
  // well: then what is granted too late stays until the file is closed.
  const bool had_none = !h->inode->HasLocker(fi->lock_owner);
  // Before the lock is asked for: it may be granted and its reply be lost to an interrupt.
  if (lock->l_type != F_UNLCK) h->inode->AddLocker(fi->lock_owner, h->open);
  LockWith(r, fi, wait != 0 ? OMFS_LOCK_WAIT : 0, RangeFrom(*lock), had_none);
}

void NodeFs::Flock(FuseRequest& r, fuse_ino_t, fuse_file_info* fi, int op) {
  FileLock lock;
  switch (op & ~LOCK_NB) {
    case LOCK_SH:
      lock.type = F_RDLCK;
      break;
    case LOCK_EX:
      lock.type = F_WRLCK;
      break;
    case LOCK_UN:
      lock.type = F_UNLCK;
      break;
    default:
      return r.Fail(EINVAL);
  }
  lock.pid = r.ids().pid;
  // Converting a lock gives up the old one first (flock(2)), so nothing but the late one can be lost.
  LockWith(r, fi, OMFS_LOCK_FLOCK | ((op & LOCK_NB) == 0 ? OMFS_LOCK_WAIT : 0), lock, lock.type != F_UNLCK);
}

}  // namespace omfs
