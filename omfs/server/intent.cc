#include "omfs/server/intent.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>

#include "omfs/server/ops/ops.h"

namespace omfs {
namespace {

// The kernel stamps with the time of the last tick, the intent carries the exact time.
constexpr uint64_t kTickNs = 20'000'000;

bool Since(const omfs_time& time, const SlotRecord& intent) {
  const uint64_t ns = Le64(time.sec) * 1'000'000'000U + Le32(time.nsec);
  return ns + kTickNs >= intent.time_ns;
}

using Conclusion = std::optional<OpResult>;

// The entry of a directory if it exists and was made (made = btime) or linked (ctime) since the
// intent.
template <typename Fixed>
Conclusion MadeSince(Operation& op, const SlotRecord& intent, const Request<Fixed>& r,
                     uint32_t want_type) {
  const auto dir = op.Resolve(r.fixed.dir);
  if (!dir.ok() || !op.ActAs(r.creds).ok()) return std::nullopt;
  const auto found = op.tree().Lookup(**dir, r.parts[0]);
  if (!found.ok() || (want_type != 0 && (*found)->type() != want_type)) return std::nullopt;
  const auto entry = op.tree().Entry(**found);
  if (!entry.ok()) return std::nullopt;
  // Without a birth time (0) the change time must do.
  const bool has_birth = Le64(entry->attr.btime.sec) != 0;
  if (!Since(has_birth ? entry->attr.btime : entry->attr.ctime, intent)) return std::nullopt;
  return ReplyWith(*entry);
}

Conclusion ConcludeMkNod(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_mknod_req>();
  if (!r.ok()) return r.status();
  const uint32_t type = Le32(r->fixed.mode) & S_IFMT;
  return MadeSince(op, intent, *r, type == 0 ? S_IFREG : type);
}

Conclusion ConcludeSymLink(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_symlink_req>();
  if (!r.ok()) return r.status();
  return MadeSince(op, intent, *r, S_IFLNK);
}

Conclusion ConcludeCreate(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_create_req>();
  if (!r.ok()) return r.status();
  if (r->parts[0].empty() || !MadeSince(op, intent, *r, S_IFREG)) return std::nullopt;
  return ops::ReopenCreated(op);
}

Conclusion ConcludeLink(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_link_req>();
  if (!r.ok()) return r.status();
  const auto dir = op.Resolve(r->fixed.dir);
  if (!dir.ok() || !op.ActAs(r->creds).ok()) return std::nullopt;
  const auto found = op.tree().Lookup(**dir, r->parts[0]);
  if (!found.ok() || !HandleEqual()((*found)->handle(), r->fixed.fh)) return std::nullopt;
  const auto entry = op.tree().Entry(**found);
  if (!entry.ok() || !Since(entry->attr.ctime, intent)) return std::nullopt;
  return ReplyWith(*entry);
}

Conclusion ConcludeUnlink(Operation& op) {
  const auto r = op.Decode<omfs_unlink_req>();
  if (!r.ok()) return r.status();
  const auto dir = op.Resolve(r->fixed.dir);
  if (!dir.ok() || !op.ActAs(r->creds).ok()) return std::nullopt;
  const auto found = op.tree().Lookup(**dir, r->parts[0]);
  if (!found.ok() && found.error().value == ENOENT) return Errno();
  return std::nullopt;
}

Conclusion ConcludeRename(Operation& op) {
  const auto r = op.Decode<omfs_rename_req>();
  if (!r.ok()) return r.status();
  // Two exchanges cancel out, and what a whiteout took the place of cannot be seen.
  if (Le32(r->fixed.flags) & (RENAME_EXCHANGE | RENAME_WHITEOUT)) return Errno(EIO);
  const auto from = op.Resolve(r->fixed.dir);
  const auto to = op.Resolve(r->fixed.new_dir);
  if (!from.ok() || !to.ok() || !op.ActAs(r->creds).ok()) return std::nullopt;
  const auto old_entry = op.tree().Lookup(**from, r->parts[0]);
  const auto new_entry = op.tree().Lookup(**to, r->parts[1]);
  if (!old_entry.ok() && old_entry.error().value == ENOENT && new_entry.ok()) return Errno();
  return std::nullopt;
}

// XATTR_CREATE finds the attribute it made itself: as if done, if the value is the same.
Conclusion ConcludeSetXattr(Operation& op) {
  const auto r = op.Decode<omfs_xattr_req>();
  if (!r.ok()) return r.status();
  OpResult again = ops::SetXattr(op);
  const auto* e = std::get_if<Errno>(&again);
  if (e == nullptr || e->value != EEXIST) return again;
  const auto now = ops::ReadXattr(op, r->fixed.fh, r->creds, std::string(r->parts[0]));
  if (now.ok() && std::ranges::equal(now->span(), op.payload().span())) return Errno();
  return again;
}

Conclusion ConcludeRemoveXattr(Operation& op) {
  OpResult again = ops::RemoveXattr(op);
  const auto* e = std::get_if<Errno>(&again);
  if (e != nullptr && e->value == ENODATA) return Errno();
  return again;
}

}  // namespace

std::optional<OpResult> ConcludeIntent(Operation& op, const SlotRecord& intent) {
  switch (op.header().op) {
    case OMFS_OP_MKNOD:
      return ConcludeMkNod(op, intent);
    case OMFS_OP_SYMLINK:
      return ConcludeSymLink(op, intent);
    case OMFS_OP_CREATE:
      return ConcludeCreate(op, intent);
    case OMFS_OP_LINK:
      return ConcludeLink(op, intent);
    case OMFS_OP_UNLINK:
      return ConcludeUnlink(op);
    case OMFS_OP_RENAME:
      return ConcludeRename(op);
    case OMFS_OP_SETXATTR:
      return ConcludeSetXattr(op);
    case OMFS_OP_REMOVEXATTR:
      return ConcludeRemoveXattr(op);
    default:
      // SETATTR, FLAGS: a second time gives what the first gave.
      return std::nullopt;
  }
}

}  // namespace omfs
