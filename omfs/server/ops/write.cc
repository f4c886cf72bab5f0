// WRITE: runs with the ids of the request. The kernel looks at the writer, not at the opener, when
// it clears set-id bits and when it decides about the reserved blocks and quotas of a file system.
//
// OMFS_WRITE_APPEND: the kernel appends atomically, also between native writers (RWF_APPEND). It
// tells where the data went only by the description's offset, therefore the open's position is held
// meanwhile. OMFS_WRITE_OWED: see ../cap_table.h. Writes that must reach the disk go to a worker. A short write is reported as such.
#include <sys/uio.h>
#include <unistd.h>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

struct Written {
  uint64_t size;
  uint64_t offset;
};

ErrnoOr<Written> Append(OpenFile& open, std::span<const std::byte> data, int how) {
  std::lock_guard lock(open.position);
  const iovec part{const_cast<std::byte*>(data.data()), data.size()};
  const ssize_t n = pwritev2(open.fd.get(), &part, 1, -1, how | RWF_APPEND);
  if (n < 0) return Errno::Last();
  const off_t end = lseek(open.fd.get(), 0, SEEK_CUR);
  return Written{static_cast<uint64_t>(n), static_cast<uint64_t>(end - n)};
}

ErrnoOr<Written> WriteAt(OpenFile& open, std::span<const std::byte> data, uint64_t offset,
                         int how) {
  if (static_cast<off_t>(offset) < 0) return Errno(EINVAL);
  const iovec part{const_cast<std::byte*>(data.data()), data.size()};
  const ssize_t n = pwritev2(open.fd.get(), &part, 1, static_cast<off_t>(offset), how);
  if (n < 0) return Errno::Last();
  return Written{static_cast<uint64_t>(n), offset};
}

}  // namespace

OpResult Write(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_write_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  if (!open->writable()) return Errno(EBADF);
  const uint32_t flags = Le32(r.fixed.flags);
  const bool dsync = (flags & OMFS_WRITE_DSYNC) != 0;
  const bool owed = (flags & OMFS_WRITE_OWED) != 0;
  OMFS_CLAIM(op, {.object = open->inode->handle(), .changes = OMFS_CAP_F, .owed = owed});
  if ((dsync || open->synchronous()) && !op.may_block()) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const int how = dsync ? RWF_DSYNC : 0;
  const auto done = (flags & OMFS_WRITE_APPEND)
                        ? Append(*open, op.payload().span(), how)
                        : WriteAt(*open, op.payload().span(), Le64(r.fixed.offset), how);
  op.tree().Changed(*open->inode);
  op.Changed();
  if (!done.ok()) return done.error();
  omfs_write_rep rep{};
  rep.written = Le64(done->size);
  rep.offset = Le64(done->offset);
  return ReplyWith(rep);
}

}  // namespace omfs::ops
