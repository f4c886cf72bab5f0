// LOOKUP: a name in a directory. A symbolic link is found as itself. Search permission on the
// directory is checked, not on the way to it: the client's kernel did that when it walked there. That there is no such entry
// may be cached like an entry.
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult Lookup(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_lookup_req>());
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  op.GrantEntry(*dir, r.parts[0]);
  OMFS_TRY(const InodeRef found, op.tree().Lookup(*dir, r.parts[0]));
  OMFS_CLAIM(op, {.object = found->handle(), .reads_data = true});
  op.GrantObject(*found);
  OMFS_TRY(const omfs_entry_rep entry, op.tree().Entry(*found));
  return ReplyWith(entry);
}

}  // namespace omfs::ops
