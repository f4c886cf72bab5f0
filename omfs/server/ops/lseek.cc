// LSEEK: only SEEK_DATA and SEEK_HOLE, which ask about the file; everything else a client knows
// itself. The offset of the owner's description means nothing here, but directories and appends use
// it.
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult LSeek(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_lseek_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  OMFS_CLAIM(op, {.object = open->inode->handle(), .reads_data = true});
  const uint32_t whence = Le32(r.fixed.whence);
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Errno(EINVAL);
  std::lock_guard lock(open->position);
  const off_t at =
      lseek(open->fd.get(), static_cast<off_t>(Le64(r.fixed.offset)), static_cast<int>(whence));
  if (at < 0) return Errno::Last();
  return ReplyWith(omfs_offset_rep{Le64(static_cast<uint64_t>(at))});
}

}  // namespace omfs::ops
