// FALLOCATE with all its modes, as the owner's file system supports them. A worker's: zeroing and
// punching may take long.
#include <fcntl.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult Fallocate(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_fallocate_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  OMFS_CLAIM(op, {.object = open->inode->handle(), .changes = OMFS_CAP_F});
  if (!op.may_block()) return WouldBlock();
  const auto held = op.Hold(open->inode->handle(), ContentsLock::ChangeFrom(0));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const Errno e = [&] {
    Stamps::Change change = op.Changing({open->inode->handle()});
    if (fallocate(open->fd.get(), static_cast<int>(Le32(r.fixed.mode)), static_cast<off_t>(Le64(r.fixed.offset)),
                  static_cast<off_t>(Le64(r.fixed.len))) != 0) {
      return Errno::Last();
    }
    op.Stamp(change, open->inode->handle(), open->inode->fd(), Stamps::kModify);
    return Errno();
  }();
  op.tree().Changed(*open->inode);
  op.Changed();
  return e;
}

}  // namespace omfs::ops
