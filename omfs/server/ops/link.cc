// LINK: a further name for an object, given by handle. The link is made from the object's
// descriptor by way of /proc/self/fd: AT_EMPTY_PATH would need a capability that callers do not
// have. The kernel checks what it checks for link(2), hard-link protection (proc(5),
// protected_hardlinks) included; a file made with O_TMPFILE gets its first name this way.
#include <fcntl.h>
#include <unistd.h>

#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"
#include "omfs/server/orphans.h"

namespace omfs::ops {

OpResult Link(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_link_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  const std::string name(r.parts[0]);
  OMFS_CLAIM(op, {.object = dir->handle(), .changes = OMFS_CAP_L, .entry = name},
             {.object = inode->handle(), .changes = OMFS_CAP_L, .reads_data = true});
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  {
    Stamps::Change change = op.Changing({dir->handle(), inode->handle()});
    const int rc = linkat(AT_FDCWD, FdPath(inode->fd()).c_str(), dir->fd(), name.c_str(), AT_SYMLINK_FOLLOW);
    if (rc != 0) return Errno::Last();
    op.Stamp(change, dir->handle(), dir->fd(), Stamps::kModify);
    op.Stamp(change, inode->handle(), inode->fd(), Stamps::kChange);
  }
  op.tree().Changed(*dir);
  op.tree().Changed(*inode);
  op.services().orphans.Settle(inode->handle());
  op.Changed();
  op.GrantEntry(*dir, name);
  op.GrantObject(*inode);
  OMFS_TRY(const omfs_entry_rep entry, op.tree().Entry(*inode));
  return ReplyWith(entry);
}

}  // namespace omfs::ops
