#include "omfs/server/ops/making.h"

#include <sys/stat.h>

namespace omfs::ops {

void StampMade(Operation& op, const Inode& made) {
  Stamps::Change change = op.Changing({made.handle()});
  op.Stamp(change, made.handle(), made.fd(), Stamps::kNew);
}

OpResult ReplyWithMade(Operation& op, const Inode& dir, const std::string& name, uint32_t mode) {
  op.tree().Changed(dir);
  // Under the claim no other client can have removed or replaced it; a native process can.
  const auto made = op.tree().Lookup(dir, name);
  if (made.ok()) StampMade(op, **made);
  op.Changed();
  const uint32_t type = (mode & S_IFMT) == 0 ? S_IFREG : mode & S_IFMT;  // mknod(2)
  if (!made.ok() || (*made)->type() != type) {
    OMFS_TRY(const omfs_entry_rep nothing, op.tree().EntryOfMade(dir, name, mode));
    return ReplyWith(nothing);
  }
  op.GrantEntry(dir, name);
  op.GrantObject(**made);
  OMFS_TRY(const omfs_entry_rep entry, op.tree().Entry(**made));
  return ReplyWith(entry);
}

}  // namespace omfs::ops
