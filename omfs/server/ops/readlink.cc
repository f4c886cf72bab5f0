// READLINK: the target as it was given; it means something only on the client, which follows it.
#include <sys/stat.h>
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult ReadLink(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_fh_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  if (!S_ISLNK(inode->type())) return Errno(EINVAL);
  char target[OMFS_PATH_MAX];
  const ssize_t n = readlinkat(inode->fd(), "", target, sizeof target);
  if (n < 0) return Errno::Last();
  omfs_bytes_rep rep{};
  rep.len = Le32(static_cast<uint32_t>(n));
  MetaWriter meta;
  meta.Pod(rep).Bytes({target, static_cast<size_t>(n)});
  return Reply{std::move(meta).Take(), {}};
}

}  // namespace omfs::ops
