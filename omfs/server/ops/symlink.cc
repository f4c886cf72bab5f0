// SYMLINK: the target is any text; nothing on the owner ever follows it.
#include <sys/stat.h>
#include <unistd.h>

#include "omfs/server/ops/making.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult SymLink(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_symlink_req>());
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  const std::string name(r.parts[0]), target(r.parts[1]);
  OMFS_CLAIM(op, {.object = dir->handle(), .changes = OMFS_CAP_L, .entry = name});
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  {
    Stamps::Change change = op.Changing({dir->handle()});
    if (symlinkat(target.c_str(), dir->fd(), name.c_str()) != 0) return Errno::Last();
    op.Stamp(change, dir->handle(), dir->fd(), Stamps::kModify);
  }
  return ReplyWithMade(op, *dir, name, S_IFLNK | 0777);
}

}  // namespace omfs::ops
