// UNLINK: takes away a name, with AT_REMOVEDIR an empty directory. An object that somebody has open
// stays until the last close; otherwise the server lets go of it at once, so that its space is free
// when the reply is out.
#include <fcntl.h>
#include <unistd.h>

#include "omfs/server/ops/ops.h"
#include "omfs/server/orphans.h"

namespace omfs::ops {

OpResult Unlink(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_unlink_req>());
  const uint32_t flags = Le32(r.fixed.flags);
  if (flags & ~static_cast<uint32_t>(AT_REMOVEDIR)) return Errno(EINVAL);
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  const std::string name(r.parts[0]);
  const auto victim = op.tree().HandleOfEntry(*dir, name);
  std::vector<CapClaim> claims = {{.object = dir->handle(), .changes = OMFS_CAP_L, .entry = name}};
  if (victim.ok()) claims.push_back({.object = *victim, .changes = OMFS_CAP_L});
  if (!op.Claim(std::move(claims))) return Recalling();
  const Orphans::Removal removal(&op.services().orphans, victim);
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  {
    Stamps::Change change = op.Changing({dir->handle(), victim.ok() ? *victim : omfs_fh{}});
    if (unlinkat(dir->fd(), name.c_str(), static_cast<int>(flags)) != 0) return Errno::Last();
    op.Stamp(change, dir->handle(), dir->fd(), Stamps::kModify);
    if (victim.ok()) op.Stamp(change, *victim, -1, Stamps::kChange);
  }
  op.tree().Changed(*dir);
  if (victim.ok()) op.tree().Removed(*victim);
  op.Changed();
  op.GrantEntry(*dir, name);
  if (op.header().dir_caps() == 0) return Errno();
  return ReplyWith(omfs_unlink_rep{victim.ok() ? *victim : omfs_fh{}});
}

}  // namespace omfs::ops
