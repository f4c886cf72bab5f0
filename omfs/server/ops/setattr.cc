// SETATTR: truncate, chown, chmod and utimes in one request, carried out in this order: chown
// clears set-id bits that the mode of the same request may set, and setting times comes last so
// that the others do not change them. A failure stops; what was done before it stays, as with the
// separate calls.
//
// The size is set through the open it came through (ftruncate asks for no permission beyond the
// open's) or else by the caller's own permission to write. There is no way to set the mode of a
// symbolic link: EOPNOTSUPP.
//
// Times count among the attributes for whoever caches them, as data that is cached stays good when they are set; but writes
// that are delayed elsewhere come first, or they would set them again.
#include <fcntl.h>
#include <sys/stat.h>

#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"
#include "omfs/wire/attr.h"

namespace omfs::ops {
namespace {

constexpr uint32_t kKnown = OMFS_SET_MODE | OMFS_SET_UID | OMFS_SET_GID | OMFS_SET_SIZE |
                            OMFS_SET_ATIME | OMFS_SET_MTIME | OMFS_SET_ATIME_NOW |
                            OMFS_SET_MTIME_NOW;

Errno SetSize(const Inode& inode, const OpenFile* open, uint64_t size) {
  const auto length = static_cast<off_t>(size);
  if (length < 0) return Errno(EINVAL);
  if (open != nullptr) return ftruncate(open->fd.get(), length) == 0 ? Errno() : Errno::Last();
  if (S_ISDIR(inode.type())) return Errno(EISDIR);
  if (!S_ISREG(inode.type())) return Errno(EINVAL);
  return truncate(FdPath(inode.fd()).c_str(), length) == 0 ? Errno() : Errno::Last();
}

Errno SetOwner(const Inode& inode, const omfs_setattr_req& r, uint32_t valid) {
  const uid_t uid = valid & OMFS_SET_UID ? Le32(r.uid) : static_cast<uid_t>(-1);
  const gid_t gid = valid & OMFS_SET_GID ? Le32(r.gid) : static_cast<gid_t>(-1);
  return fchownat(inode.fd(), "", uid, gid, AT_EMPTY_PATH) == 0 ? Errno() : Errno::Last();
}

Errno SetMode(const Inode& inode, uint32_t mode) {
  if (S_ISLNK(inode.type())) return Errno(EOPNOTSUPP);
  return chmod(FdPath(inode.fd()).c_str(), mode & 07777) == 0 ? Errno() : Errno::Last();
}

timespec TimeToSet(uint32_t valid, uint32_t set, uint32_t now, const omfs_time& time) {
  if (valid & now) return {0, UTIME_NOW};
  if (valid & set) return TimespecFrom(time);
  return {0, UTIME_OMIT};
}

Errno SetTimes(const Inode& inode, const omfs_setattr_req& r, uint32_t valid) {
  const timespec times[2] = {TimeToSet(valid, OMFS_SET_ATIME, OMFS_SET_ATIME_NOW, r.atime),
                             TimeToSet(valid, OMFS_SET_MTIME, OMFS_SET_MTIME_NOW, r.mtime)};
  return utimensat(AT_FDCWD, FdPath(inode.fd()).c_str(), times, 0) == 0 ? Errno() : Errno::Last();
}

Errno Set(const Inode& inode, const OpenFile* open, const omfs_setattr_req& r) {
  const uint32_t valid = Le32(r.valid);
  if (valid & OMFS_SET_SIZE) OMFS_TRY_ERRNO(SetSize(inode, open, Le64(r.size)));
  if (valid & (OMFS_SET_UID | OMFS_SET_GID)) OMFS_TRY_ERRNO(SetOwner(inode, r, valid));
  if (valid & OMFS_SET_MODE) OMFS_TRY_ERRNO(SetMode(inode, Le32(r.mode)));
  if (valid & (OMFS_SET_ATIME | OMFS_SET_MTIME | OMFS_SET_ATIME_NOW | OMFS_SET_MTIME_NOW)) {
    OMFS_TRY_ERRNO(SetTimes(inode, r, valid));
  }
  return Errno();
}

// The times that the kernel stamps.
uint32_t Stamped(uint32_t valid) {
  uint32_t what = Stamps::kChange;
  if (valid & OMFS_SET_ATIME_NOW) what |= Stamps::kAccess;
  // Those that are set come last.
  const bool set = (valid & OMFS_SET_MTIME) != 0 && (valid & OMFS_SET_MTIME_NOW) == 0;
  if ((valid & (OMFS_SET_SIZE | OMFS_SET_MTIME_NOW)) && !set) what |= Stamps::kModify;
  return what;
}

}  // namespace

OpResult SetAttr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_setattr_req>());
  if (Le32(r.fixed.valid) & ~kKnown) return Errno(EINVAL);
  OpenRef open;
  InodeRef inode;
  if (r.fixed.open_id != 0) {
    OMFS_TRY(open, op.FindOpen(r.fixed.open_id));
    inode = open->inode;
  } else {
    OMFS_TRY(inode, op.Resolve(r.fixed.fh));
  }
  const bool resizes = (Le32(r.fixed.valid) & OMFS_SET_SIZE) != 0;
  OMFS_CLAIM(op, {.object = inode->handle(), .changes = OMFS_CAP_A | (resizes ? OMFS_CAP_F : 0), .reads_data = true});
  std::optional<ContentsLock::Held> held;
  if (resizes && !(held = op.Hold(inode->handle(), ContentsLock::ChangeFrom(0)))) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const Errno done = [&] {
    Stamps::Change change = op.Changing({inode->handle()});
    const Errno set = Set(*inode, open.get(), r.fixed);
    if (set.ok()) op.Stamp(change, inode->handle(), inode->fd(), Stamped(Le32(r.fixed.valid)));
    return set;
  }();
  op.tree().Changed(*inode);
  op.Changed();
  OMFS_TRY_ERRNO(done);
  op.GrantObject(*inode);
  OMFS_TRY(const omfs_attr attr, op.tree().Attributes(*inode));
  return ReplyWith(omfs_attr_rep{attr});
}

}  // namespace omfs::ops
