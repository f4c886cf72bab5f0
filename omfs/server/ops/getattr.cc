// GETATTR: needs no permission on the object, as stat(2). The open of an fstat is not needed to
// find the object - its handle stays good while it is open - but an open that is gone is reported.
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult GetAttr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_getattr_req>());
  InodeRef inode;
  if (r.fixed.open_id != 0) {
    OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
    inode = open->inode;
  } else {
    OMFS_TRY(inode, op.Resolve(r.fixed.fh));
  }
  OMFS_CLAIM(op, {.object = inode->handle(), .reads_data = true});
  op.GrantObject(*inode);
  OMFS_TRY(const omfs_attr attr, op.tree().Attributes(*inode));
  return ReplyWith(omfs_attr_rep{attr});
}

}  // namespace omfs::ops
