// FLAGS: the inode flags of chattr(1) and lsattr(1). Getting them asks for no permission. Setting
// them is up to the kernel's rules for the caller (owner; CAP_LINUX_IMMUTABLE for some); but both
// need a descriptor opened for data, which the daemon opens, as the caller may be the owner of a
// file it cannot read. Only files and directories have flags: ENOTTY for others, as ioctl(2) on
// them gives.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult Flags(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_flags_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  if (!S_ISREG(inode->type()) && !S_ISDIR(inode->type())) return Errno(ENOTTY);
  if (Le32(r.fixed.set) != 0) OMFS_CLAIM(op, {.object = inode->handle(), .changes = OMFS_CAP_A});
  ThreadIdentity::BecomeDaemon();
  const ScopedFd fd(
      open(FdPath(inode->fd()).c_str(), O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC));
  if (!fd) return Errno::Last();
  int flags = 0;
  if (Le32(r.fixed.set) != 0) {
    OMFS_TRY_ERRNO(op.ActAs(r.creds));
    flags = static_cast<int>(Le32(r.fixed.flags));
    {
      Stamps::Change change = op.Changing({inode->handle()});
      if (ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0) return Errno::Last();
      op.Stamp(change, inode->handle(), inode->fd(), Stamps::kChange);
    }
    op.tree().Changed(*inode);
    op.Changed();
  }
  if (ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return Errno::Last();
  omfs_flags_rep rep{};
  rep.flags = Le32(static_cast<uint32_t>(flags));
  return ReplyWith(rep);
}

}  // namespace omfs::ops
