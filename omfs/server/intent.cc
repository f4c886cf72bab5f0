#include "omfs/server/intent.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"
#include "omfs/server/session.h"

namespace omfs {
namespace {

// The kernel stamps with the time of the last tick, the intent carries the exact time.
constexpr uint64_t kTickNs = 20'000'000;

bool Since(const omfs_time& time, const SlotRecord& intent) {
  const uint64_t ns = Le64(time.sec) * 1'000'000'000U + Le32(time.nsec);
  return ns + kTickNs >= intent.time_ns;
}

using Conclusion = std::optional<OpResult>;

bool Same(const omfs_fh& a, const omfs_fh& b) { return HandleEqual()(a, b); }
bool Exists(const omfs_fh& name) { return name.len != 0; }

// What name `index` of the request meant when the intent was written. nullptr: the intent does not say.
const omfs_fh* Meant(const SlotRecord& intent, size_t index) {
  return index < intent.names.size() ? &intent.names[index] : nullptr;
}

// The entry of a directory if the request made it: it was not there, and was made (btime) since.
template <typename Fixed>
Conclusion MadeSince(Operation& op, const SlotRecord& intent, const Request<Fixed>& r, uint32_t want_type) {
  const omfs_fh* before = Meant(intent, 0);
  if (before != nullptr && Exists(*before)) return std::nullopt;
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

Conclusion DecideMkNod(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_mknod_req>();
  if (!r.ok()) return r.status();
  const uint32_t type = Le32(r->fixed.mode) & S_IFMT;
  return MadeSince(op, intent, *r, type == 0 ? S_IFREG : type);
}

Conclusion DecideSymLink(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_symlink_req>();
  if (!r.ok()) return r.status();
  return MadeSince(op, intent, *r, S_IFLNK);
}

// The reply has no open: that is made when the client comes (ops::ReopenCreated).
Conclusion DecideCreate(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_create_req>();
  if (!r.ok()) return r.status();
  if (r->parts[0].empty()) return std::nullopt;
  const Conclusion made = MadeSince(op, intent, *r, S_IFREG);
  if (!made) return std::nullopt;
  omfs_entry_rep entry;
  memcpy(&entry, std::get<Reply>(*made).meta.data(), sizeof entry);
  omfs_open_rep rep{};
  rep.fh = entry.fh;
  rep.attr = entry.attr;
  return ReplyWith(rep);
}

Conclusion DecideLink(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_link_req>();
  if (!r.ok()) return r.status();
  if (const omfs_fh* before = Meant(intent, 0); before != nullptr && Exists(*before)) return std::nullopt;
  const auto dir = op.Resolve(r->fixed.dir);
  if (!dir.ok() || !op.ActAs(r->creds).ok()) return std::nullopt;
  const auto found = op.tree().Lookup(**dir, r->parts[0]);
  if (!found.ok() || !Same((*found)->handle(), r->fixed.fh)) return std::nullopt;
  const auto entry = op.tree().Entry(**found);
  if (!entry.ok() || !Since(entry->attr.ctime, intent)) return std::nullopt;
  return ReplyWith(*entry);
}

Conclusion DecideUnlink(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_unlink_req>();
  if (!r.ok()) return r.status();
  const omfs_fh* before = Meant(intent, 0);
  if (before == nullptr || !Exists(*before)) return std::nullopt;  // there was nothing to remove
  const auto dir = op.Resolve(r->fixed.dir);
  if (!dir.ok()) return std::nullopt;
  const auto now = op.tree().HandleOfEntry(**dir, r->parts[0]);
  if (now.ok() ? Same(*now, *before) : now.error().value != ENOENT) return std::nullopt;
  if (op.header().dir_caps() == 0) return Errno();
  return ReplyWith(omfs_unlink_rep{*before});
}

Conclusion DecideRename(Operation& op, const SlotRecord& intent) {
  const auto r = op.Decode<omfs_rename_req>();
  if (!r.ok()) return r.status();
  const omfs_fh* moved = Meant(intent, 0);
  const omfs_fh* replaced = Meant(intent, 1);
  if (moved == nullptr || replaced == nullptr || !Exists(*moved)) return std::nullopt;
  // Two names of one file: nothing happens, and nobody can tell whether it did.
  if (Same(*moved, *replaced)) return std::nullopt;
  const auto to = op.Resolve(r->fixed.new_dir);
  if (!to.ok()) return std::nullopt;
  const auto now = op.tree().HandleOfEntry(**to, r->parts[1]);
  if (!now.ok() || !Same(*now, *moved)) return std::nullopt;
  if (op.header().dir_caps() == 0) return Errno();
  return ReplyWith(omfs_rename_rep{*moved, *replaced});
}

// Whether and with what reply the operation happened; nullopt: it did not.
Conclusion Decide(Operation& op, const SlotRecord& intent) {
  switch (op.header().op) {
    case OMFS_OP_MKNOD:
      return DecideMkNod(op, intent);
    case OMFS_OP_SYMLINK:
      return DecideSymLink(op, intent);
    case OMFS_OP_CREATE:
      return DecideCreate(op, intent);
    case OMFS_OP_LINK:
      return DecideLink(op, intent);
    case OMFS_OP_UNLINK:
      return DecideUnlink(op, intent);
    case OMFS_OP_RENAME:
      return DecideRename(op, intent);
    default:
      return std::nullopt;
  }
}

bool IsDecided(uint16_t op) {
  switch (op) {
    case OMFS_OP_MKNOD:
    case OMFS_OP_SYMLINK:
    case OMFS_OP_CREATE:
    case OMFS_OP_LINK:
    case OMFS_OP_UNLINK:
    case OMFS_OP_RENAME:
      return true;
    default:
      return false;
  }
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
  if (intent.state == SlotRecord::State::kUndone) return std::nullopt;
  switch (op.header().op) {
    case OMFS_OP_CREATE: {
      // Done; but the open in the reply has gone with the daemon.
      omfs_open_rep rep;
      if (intent.state != SlotRecord::State::kDone || intent.meta.size() != sizeof rep) return std::nullopt;
      memcpy(&rep, intent.meta.data(), sizeof rep);
      return ops::ReopenCreated(op, rep.fh);
    }
    case OMFS_OP_SETXATTR:
      return ConcludeSetXattr(op);
    case OMFS_OP_REMOVEXATTR:
      return ConcludeRemoveXattr(op);
    default:
      // SETATTR, FLAGS: a second time gives what the first gave.
      return std::nullopt;
  }
}

absl::Status DecideFates(Services& services, Store* store, OpenTable::Numbers* numbers) {
  OMFS_ASSIGN_OR_RETURN(const auto clients, store->Clients());
  for (const ClientRecord& client : clients) {
    OMFS_ASSIGN_OR_RETURN(const auto slots, store->Slots(client.session));
    for (const auto& [slot, intent] : slots) {
      if (intent.state != SlotRecord::State::kIntent || !IsDecided(intent.op)) continue;
      Header header;
      header.op = intent.op;
      header.session = client.session.value;
      header.slot = slot;
      header.sequence = intent.sequence;
      header.caps = intent.caps;
      // In shared ownership, as operations are; nobody else ever sees it.
      const auto op = std::make_shared<Operation>(services, std::make_shared<Session>(client, 1, 0, numbers), header,
                                                  intent.request, Buffer());
      op->AllowBlocking();
      const Conclusion happened = Decide(*op, intent);
      op->StopActing();
      ThreadIdentity::BecomeDaemon();
      SlotRecord fate = intent;
      fate.request.clear();
      fate.names.clear();
      fate.state = SlotRecord::State::kUndone;
      if (happened) {
        if (const auto* malformed = std::get_if<absl::Status>(&*happened)) {
          return Internal("store: damaged intent: {}", Text(*malformed));
        }
        fate.state = SlotRecord::State::kDone;
        if (const auto* reply = std::get_if<Reply>(&*happened)) fate.meta = reply->meta;
      }
      SPDLOG_INFO("{} under way when omfsd ended: {} node={} session={}", OpName(intent.op),
                  happened ? "it was done" : "it was not done", client.node.value, client.session.value);
      OMFS_RETURN_IF_ERROR(store->PutSlot(client.session, slot, fate));
    }
  }
  return absl::OkStatus();
}

}  // namespace omfs
