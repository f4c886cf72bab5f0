// FSYNC: also of directories. Always a worker's: it waits for the disk.
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult FSync(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_fsync_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  if (!op.may_block()) return WouldBlock();
  const int fd = open->fd.get();
  const int rc = Le32(r.fixed.datasync) != 0 ? fdatasync(fd) : fsync(fd);
  return rc == 0 ? Errno() : Errno::Last();
}

}  // namespace omfs::ops
