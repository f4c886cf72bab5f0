// STATFS. The flags are those of the export's own mount at the owner without nodev and nosuid,
// which the server has put on its private clone. Space that only this server holds back counts as free: it is freed first.
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult StatFs(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_fh_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  op.tree().LetGoOfReplaced();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  struct statfs fs;
  if (fstatfs(inode->fd(), &fs) != 0) return Errno::Last();
  uint64_t fsid;
  static_assert(sizeof fsid == sizeof fs.f_fsid);
  memcpy(&fsid, &fs.f_fsid, sizeof fsid);
  omfs_statfs_rep rep{};
  rep.blocks = Le64(fs.f_blocks);
  rep.bfree = Le64(fs.f_bfree);
  rep.bavail = Le64(fs.f_bavail);
  rep.files = Le64(fs.f_files);
  rep.ffree = Le64(fs.f_ffree);
  rep.fsid = Le64(fsid);
  rep.bsize = Le32(static_cast<uint32_t>(fs.f_bsize));
  rep.namelen = Le32(static_cast<uint32_t>(fs.f_namelen));
  rep.frsize = Le32(static_cast<uint32_t>(fs.f_frsize));
  rep.flags = Le32(static_cast<uint32_t>(fs.f_flags & ~(ST_NODEV | ST_NOSUID)));
  return ReplyWith(rep);
}

}  // namespace omfs::ops
