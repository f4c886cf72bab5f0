// MKNOD: every type of object but symbolic links, directories included. Mode and umask go to the
// kernel as the caller has them: it alone knows whether a default ACL takes the umask's place, and
// which gid and set-gid bit a new object inherits. A device needs the caller to be root, as
// natively; the server never opens it.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "omfs/server/ops/making.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult MkNod(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_mknod_req>());
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  const std::string name(r.parts[0]);
  OMFS_CLAIM(op, {.object = dir->handle(), .changes = OMFS_CAP_L, .entry = name});
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const uint32_t mode = Le32(r.fixed.mode);
  const dev_t device = makedev(Le32(r.fixed.rdev_major), Le32(r.fixed.rdev_minor));
  {
    Stamps::Change change = op.Changing({dir->handle()});
    const int rc = S_ISDIR(mode) ? mkdirat(dir->fd(), name.c_str(), mode & 07777)
                                 : mknodat(dir->fd(), name.c_str(), mode, device);
    if (rc != 0) return Errno::Last();
    op.Stamp(change, dir->handle(), dir->fd(), Stamps::kModify);
  }
  return ReplyWithMade(op, *dir, name, mode);
}

}  // namespace omfs::ops
