// CLOSE: ends an open. POSIX locks that the closing owner holds on the object go with it, as
// close(2) demands; a flock goes with the description. An open that is not known (any more) is
// ESTALE; a client may ignore that.
#include "omfs/server/lock_table.h"
#include "omfs/server/ops/ops.h"
#include "omfs/server/session.h"

namespace omfs::ops {

OpResult Close(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_close_req>());
  OpenRef open = op.session().opens().Remove(OpenId{Le64(r.fixed.open_id)});
  if (open == nullptr) return Errno(ESTALE);
  const InodeRef inode = open->inode;
  const LockOwner owner{op.session().id(), Le64(r.fixed.lock_owner)};
  op.services().caps.RemoveOpen(op.session().id(), inode->handle(), open->writable());
  open.reset();
  op.services().locks.Closed(*inode, owner);
  const auto attr = op.tree().Attributes(*inode);
  if (attr.ok() && Le32(attr->nlink) == 0) op.tree().Removed(inode->handle());
  return Errno();
}

}  // namespace omfs::ops
