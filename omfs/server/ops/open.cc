// OPEN by handle, and LOOKUP_OPEN: the last step of a path walk and its open in one. Creating is
// CREATE's business.
#include <fcntl.h>

#include "omfs/server/ops/opening.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

constexpr uint32_t kForbidden = O_CREAT | O_EXCL;

OpResult OpenFound(Operation& op, const InodeRef& inode, uint32_t flags, uint32_t inline_bytes,
                   const Credentials& creds) {
  const bool truncates = (flags & O_TRUNC) != 0;
  OMFS_CLAIM(op, {.object = inode->handle(), .changes = truncates ? OMFS_CAP_F : 0, .reads_data = true});
  std::optional<ContentsLock::Held> held;
  if (truncates && !(held = op.Hold(inode->handle(), ContentsLock::ChangeFrom(0)))) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(creds));
  auto fd = [&]() -> ErrnoOr<ScopedFd> {
    if (!truncates) return OpenInode(op, *inode, flags, creds);
    Stamps::Change change = op.Changing({inode->handle()});
    auto opened = OpenInode(op, *inode, flags, creds);
    if (opened.ok()) op.Stamp(change, inode->handle(), inode->fd(), Stamps::kModify);
    return opened;
  }();
  held.reset();
  if (!fd.ok()) {
    if (fd.error().value == EAGAIN && !op.may_block()) return WouldBlock();
    return fd.error();
  }
  if (truncates) {
    op.tree().Changed(*inode);
    op.Changed();
  }
  return ReplyWithOpen(op, inode, std::move(*fd), flags, inline_bytes);
}

}  // namespace

OpResult Open(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_open_req>());
  const uint32_t flags = Le32(r.fixed.flags);
  if (flags & kForbidden) return Errno(EINVAL);
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  return OpenFound(op, inode, flags, Le32(r.fixed.inline_bytes), r.creds);
}

OpResult LookupOpen(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_lookup_open_req>());
  const uint32_t flags = Le32(r.fixed.flags);
  if (flags & kForbidden) return Errno(EINVAL);
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  op.GrantEntry(*dir, r.parts[0]);
  OMFS_TRY(const InodeRef inode, op.tree().Lookup(*dir, r.parts[0]));
  return OpenFound(op, inode, flags, Le32(r.fixed.inline_bytes), r.creds);
}

}  // namespace omfs::ops
