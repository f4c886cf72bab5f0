// RENAME: rename(2) and renameat2(2) with their flags. Both names are on the same owner; the client
// answers EXDEV for others itself. An object whose last name the new one replaces stays a
// while for those who looked it up (export.h, Replaced).
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>

#include "omfs/server/ops/ops.h"
#include "omfs/server/orphans.h"

namespace omfs::ops {

OpResult Rename(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_rename_req>());
  OMFS_TRY(const InodeRef from, op.Resolve(r.fixed.dir));
  OMFS_TRY(const InodeRef to, op.Resolve(r.fixed.new_dir));
  const std::string name(r.parts[0]), new_name(r.parts[1]);
  const auto moved = op.tree().HandleOfEntry(*from, name);
  const auto replaced = op.tree().HandleOfEntry(*to, new_name);
  std::vector<CapClaim> claims = {{.object = from->handle(), .changes = OMFS_CAP_L, .entry = name},
                                  {.object = to->handle(), .changes = OMFS_CAP_L, .entry = new_name}};
  if (moved.ok()) claims.push_back({.object = *moved, .changes = OMFS_CAP_L});
  if (replaced.ok()) claims.push_back({.object = *replaced, .changes = OMFS_CAP_L});
  if (!op.Claim(std::move(claims))) return Recalling();
  const Orphans::Removal removal(&op.services().orphans, replaced);
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  {
    Stamps::Change change = op.Changing({from->handle(), to->handle(), moved.ok() ? *moved : omfs_fh{},
                                         replaced.ok() ? *replaced : omfs_fh{}});
    if (renameat2(from->fd(), name.c_str(), to->fd(), new_name.c_str(), Le32(r.fixed.flags)) != 0) {
      return Errno::Last();
    }
    const bool same = moved.ok() && replaced.ok() && HandleEqual()(*moved, *replaced);  // two names of one file: nothing happens
    if (!same) {
      op.Stamp(change, from->handle(), from->fd(), Stamps::kModify);
      op.Stamp(change, to->handle(), to->fd(), Stamps::kModify);
      if (moved.ok()) op.Stamp(change, *moved, -1, Stamps::kChange);
      if (replaced.ok()) op.Stamp(change, *replaced, -1, Stamps::kChange);
    }
  }
  op.tree().Changed(*from);
  op.tree().Changed(*to);
  if (moved.ok()) op.tree().Changed(*moved);
  if (replaced.ok()) op.tree().Replaced(*replaced);
  op.Changed();
  if (op.header().dir_caps() == 0) return Errno();
  return ReplyWith(omfs_rename_rep{moved.ok() ? *moved : omfs_fh{}, replaced.ok() ? *replaced : omfs_fh{}});
}

}  // namespace omfs::ops
