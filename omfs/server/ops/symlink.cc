// SYMLINK: the target is any text; nothing on the owner ever follows it.
#include <sys/stat.h>
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult SymLink(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_symlink_req>());
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const std::string name(r.parts[0]), target(r.parts[1]);
  if (symlinkat(target.c_str(), dir->fd(), name.c_str()) != 0) return Errno::Last();
  op.tree().Changed(*dir);
  OMFS_TRY(const omfs_entry_rep entry, op.tree().EntryOfMade(*dir, name, S_IFLNK | 0777));
  return ReplyWith(entry);
}

}  // namespace omfs::ops
