// COPY_RANGE: the bytes never leave the owner. A worker's. One request copies at most 64 MiB: the
// caller goes on after a short count, as copy_file_range(2) demands, and can be interrupted
// between.
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

constexpr uint64_t kMostAtOnce = 64 << 20;

// In the order that all who hold two keep to.
std::vector<ContentsLock::Held> HoldBoth(Operation& op, const omfs_fh& from, ContentsLock::Range read, const omfs_fh& to,
                                         ContentsLock::Range change) {
  std::vector<ContentsLock::Held> held;
  held.reserve(2);
  const auto hold = [&](const omfs_fh& file, ContentsLock::Range range) { held.push_back(*op.Hold(file, range)); };
  if (HandleEqual()(from, to)) {
    hold(to, ContentsLock::ChangeFrom(0));
  } else if (ContentsLock::Before(from, to)) {
    hold(from, read);
    hold(to, change);
  } else {
    hold(to, change);
    hold(from, read);
  }
  return held;
}

}  // namespace

OpResult CopyRange(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_copy_range_req>());
  OMFS_TRY(const OpenRef from, op.FindOpen(r.fixed.open_in));
  OMFS_TRY(const OpenRef to, op.FindOpen(r.fixed.open_out));
  OMFS_CLAIM(op, {.object = from->inode->handle(), .reads_data = true},
             {.object = to->inode->handle(), .changes = OMFS_CAP_F});
  if (!op.may_block()) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  auto offset_in = static_cast<off64_t>(Le64(r.fixed.offset_in));
  auto offset_out = static_cast<off64_t>(Le64(r.fixed.offset_out));
  const size_t size = std::min(Le64(r.fixed.len), kMostAtOnce);
  const auto held = HoldBoth(op, from->inode->handle(), ContentsLock::Read(Le64(r.fixed.offset_in), size), to->inode->handle(),
                             ContentsLock::Change(Le64(r.fixed.offset_out), size));
  ssize_t n = 0;
  const Errno e = [&] {
    Stamps::Change change = op.Changing({to->inode->handle()});
    n = copy_file_range(from->fd.get(), &offset_in, to->fd.get(), &offset_out, size, Le32(r.fixed.flags));
    if (n < 0) return Errno::Last();
    if (n > 0) op.Stamp(change, to->inode->handle(), to->inode->fd(), Stamps::kModify);
    return Errno();
  }();
  op.tree().Changed(*to->inode);
  op.Changed();
  OMFS_TRY_ERRNO(e);
  return ReplyWith(omfs_offset_rep{Le64(static_cast<uint64_t>(n))});
}

}  // namespace omfs::ops
