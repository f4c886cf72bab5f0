// Extended attributes, inode flags, locks.
#include <fcntl.h>

#include <chrono>
#include <thread>

#include "omfs/client/node_client_calls.h"

namespace omfs {
namespace {

// This part of the slots may be taken by lock calls that wait at the owner; further ones ask again
// and again. So there are always slots for everything else.
constexpr size_t kPartForLocks = 3;
constexpr std::chrono::milliseconds kLockPoll{20};

omfs_lock ToWire(const FileLock& l) {
  return {Le64(l.start), Le64(l.end), Le32(l.type), Le32(l.pid)};
}

}  // namespace

ErrnoOr<size_t> NodeClient::GetXattr(const Caller& caller, const Fh& fh, std::string_view name,
                                     std::span<std::byte> into) {
  Call call;
  const Errno e = Transact(&call, {}, [&](Call* c, OpenIds) {
    omfs_xattr_req req{};
    req.fh = fh.raw;
    req.size = Le32(into.size());
    c->op = OMFS_OP_GETXATTR;
    c->into = into;
    EncodeRequest(c->op, caller, req, &c->meta, name);
  });
  if (!e.ok()) return e;
  omfs_size_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return into.empty() ? Le32(rep.size) : call.reply_size;
}

Errno NodeClient::SetXattr(const Caller& caller, const Fh& fh, std::string_view name,
                           std::span<const std::byte> value, int flags, CapTerms* terms) {
  if (value.size() > OMFS_XATTR_SIZE_MAX) return Errno(E2BIG);
  Call call;
  const auto build = [&](Call* c, OpenIds) {
    omfs_xattr_req req{};
    req.fh = fh.raw;
    req.flags = Le32(flags);
    c->op = OMFS_OP_SETXATTR;
    c->payload = value;
    EncodeRequest(c->op, caller, req, &c->meta, name);
  };
  return Transact(&call, {}, build, terms);
}

ErrnoOr<size_t> NodeClient::ListXattr(const Caller& caller, const Fh& fh,
                                      std::span<std::byte> into) {
  Call call;
  const Errno e = Transact(&call, {}, [&](Call* c, OpenIds) {
    omfs_xattr_req req{};
    req.fh = fh.raw;
    req.size = Le32(into.size());
    c->op = OMFS_OP_LISTXATTR;
    c->into = into;
    EncodeRequest(c->op, caller, req, &c->meta);
  });
  if (!e.ok()) return e;
  omfs_size_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return into.empty() ? Le32(rep.size) : call.reply_size;
}

Errno NodeClient::RemoveXattr(const Caller& caller, const Fh& fh, std::string_view name, CapTerms* terms) {
  Call call;
  omfs_xattr_req req{};
  req.fh = fh.raw;
  return Do(&call, OMFS_OP_REMOVEXATTR, caller, req, terms, name);
}

ErrnoOr<uint32_t> NodeClient::Flags(const Caller& caller, const Fh& fh,
                                    std::optional<uint32_t> set, CapTerms* terms) {
  omfs_flags_req req{};
  req.fh = fh.raw;
  req.set = Le32(set ? 1 : 0);
  req.flags = Le32(set.value_or(0));
  Call call;
  const auto build = [&](Call* c, OpenIds) {
    c->op = OMFS_OP_FLAGS;
    c->repeatable = !set;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {}, build, terms);
  if (!e.ok()) return e;
  omfs_flags_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return Le32(rep.flags);
}

ErrnoOr<FileLock> NodeClient::GetLock(const Caller& caller, const RemoteOpenRef& open,
                                      uint64_t owner, uint32_t flags, const FileLock& lock) {
  Call call;
  const Errno e = Transact(&call, {open.get()}, [&](Call* c, OpenIds ids) {
    omfs_lock_req req{};
    req.open_id = Le64(ids.first);
    req.owner = Le64(owner);
    req.flags = Le32(flags);
    req.lock = ToWire(lock);
    c->op = OMFS_OP_GETLK;
    EncodeRequest(c->op, caller, req, &c->meta);
  });
  if (!e.ok()) return e;
  omfs_lock_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return FileLock{Le64(rep.lock.start), Le64(rep.lock.end), Le32(rep.lock.type),
                  Le32(rep.lock.pid)};
}

Errno NodeClient::SetLock(const Caller& caller, const RemoteOpenRef& open, uint64_t owner,
                          uint32_t flags, const FileLock& lock, CancelToken* cancel) {
  const bool wait = (flags & OMFS_LOCK_WAIT) != 0 && lock.type != F_UNLCK;
  if (wait && waiting_locks_.fetch_add(1) >= link_.slots() / kPartForLocks) {
    waiting_locks_.fetch_sub(1);
    return PollForLock(caller, open, owner, flags & ~OMFS_LOCK_WAIT, lock, cancel);
  }
  Call call;
  const Errno e = Transact(
      &call, {open.get()},
      [&](Call* c, OpenIds ids) {
        omfs_lock_req req{};
        req.open_id = Le64(ids.first);
        req.owner = Le64(owner);
        req.flags = Le32(flags);
        req.lock = ToWire(lock);
        c->op = OMFS_OP_SETLK;
        c->repeatable = true;  // the locks of a lost session are gone
        c->long_wait = wait;
        EncodeRequest(c->op, caller, req, &c->meta);
      },
      nullptr, wait ? cancel : nullptr);
  if (wait) waiting_locks_.fetch_sub(1);
  if (e.ok()) {
    const bool everything = lock.start == 0 && lock.end == ~0ull;
    if (lock.type != F_UNLCK) open->has_locked_ = true;
    if (lock.type == F_UNLCK && everything) open->has_locked_ = false;
  }
  return e;
}

Errno NodeClient::PollForLock(const Caller& caller, const RemoteOpenRef& open, uint64_t owner,
                              uint32_t flags, const FileLock& lock, CancelToken* cancel) {
  for (;;) {
    const Errno e = SetLock(caller, open, owner, flags, lock, nullptr);
    if (e.value != EAGAIN) return e;
    if (cancel != nullptr && cancel->cancelled()) return Errno(EINTR);
    std::this_thread::sleep_for(kLockPoll);
  }
}

}  // namespace omfs
