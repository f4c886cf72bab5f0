// ACCESS: what the caller's effective rights allow (AT_EACCESS): the client has put into the
// request the ids that the check is about.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult Access(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_access_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const uint32_t mask = Le32(r.fixed.mask);
  if (mask & ~static_cast<uint32_t>(R_OK | W_OK | X_OK)) return Errno(EINVAL);
  // The C library's faccessat tries to work without the system call where it is missing; it never
  // is (5.8).
  if (syscall(SYS_faccessat2, inode->fd(), "", mask, AT_EACCESS | AT_EMPTY_PATH) != 0) {
    return Errno::Last();
  }
  return Errno();
}

}  // namespace omfs::ops
