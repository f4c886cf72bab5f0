// Opens and data.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "omfs/client/node_client_calls.h"
#include "omfs/client/withdrawal.h"
#include "omfs/wire/attr.h"

namespace omfs {
namespace {

// The owner opens for itself; what concerns only the descriptor here stays here.
constexpr int kLocalFlags = O_CLOEXEC | O_NOCTTY;

}  // namespace

ErrnoOr<Opened> NodeClient::Open(const Caller& caller, const Fh& fh, int flags, CapTerms* terms) {
  Call call;
  omfs_open_req req{};
  req.fh = fh.raw;
  req.flags = Le32(flags & ~(kLocalFlags | O_CREAT | O_EXCL));
  const auto build = [&](Call* c, OpenIds) {
    c->op = OMFS_OP_OPEN;
    c->repeatable = (flags & O_TRUNC) == 0;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {}, build, terms);
  if (!e.ok()) return e;
  return FinishOpen(caller, flags, call);
}

RemoteOpenRef NodeClient::OpenLater(const Caller& caller, const Fh& fh, int flags) {
  auto open = std::make_shared<RemoteOpen>(fh, flags, caller);
  reclaimer_.Add(open);
  return open;
}

ErrnoOr<Opened> NodeClient::Create(const Caller& caller, const Fh& dir, std::string_view name,
                                   int flags, mode_t mode, CapTerms* terms) {
  const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
  if (!unnamed) {
    if (Errno e = CheckName(name); !e.ok()) return e;
  }
  Call call;
  omfs_create_req req{};
  req.dir = dir.raw;
  req.flags = Le32((flags & ~kLocalFlags) | (unnamed ? 0 : O_CREAT));
  req.mode = Le32(mode);
  const auto build = [&](Call* c, OpenIds) {
    c->op = OMFS_OP_CREATE;
    EncodeRequest(c->op, caller, req, &c->meta, unnamed ? std::string_view() : name);
  };
  const Errno e = Transact(&call, {}, build, terms);
  if (!e.ok()) return e;
  return FinishOpen(caller, flags, call);
}

ErrnoOr<Opened> NodeClient::FinishOpen(const Caller& caller, int flags, const Call& call) {
  omfs_open_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  Opened opened{std::make_shared<RemoteOpen>(Fh{rep.fh}, flags, caller), {{rep.fh}, rep.attr}};
  reclaimer_.Add(opened.open);
  std::lock_guard lock(opened.open->mu_);
  opened.open->id_ = Le64(rep.open_id);
  opened.open->generation_ = call.generation;
  return opened;
}

void NodeClient::Close(const Caller& caller, const RemoteOpenRef& open, uint64_t lock_owner) {
  reclaimer_.Remove(open.get());
  auto call = std::make_unique<Call>();
  const uint64_t generation = link_.generation();
  {
    std::lock_guard lock(open->mu_);
    // Nobody makes it again from now on, the Reclaimer neither.
    const bool lost = !std::exchange(open->broken_, Errno(ESTALE)).ok();
    if (open->generation_ != generation || lost) return;  // gone already
    omfs_close_req req{};
    req.open_id = Le64(open->id_);
    req.lock_owner = Le64(lock_owner);
    call->op = OMFS_OP_CLOSE;
    call->keep_reply = true;
    call->uses_open = true;
    EncodeRequest(call->op, caller, req, &call->meta);
  }
  const WithdrawalScope even_so(nullptr);
  // A lock given up with it must be free when this returns.
  if (!open->has_locked()) call = link_.ExecuteDetached(std::move(call), generation);
  if (call) link_.Execute(call.get(), generation);
}

ErrnoOr<size_t> NodeClient::Read(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                                 std::span<std::byte> into, CapTerms* terms) {
  into = into.first(std::min<size_t>(into.size(), OMFS_MAX_PAYLOAD));
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_read_req req{};
    req.open_id = Le64(ids.first);
    req.offset = Le64(offset);
    req.len = Le32(into.size());
    c->op = OMFS_OP_READ;
    c->into = into;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {open.get()}, build, terms);
  if (!e.ok()) return e;
  return call.reply_size;
}

ErrnoOr<Written> NodeClient::Write(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                                   std::span<const std::byte> data, uint32_t flags, CapTerms* terms) {
  data = data.first(std::min<size_t>(data.size(), OMFS_MAX_PAYLOAD));
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_write_req req{};
    req.open_id = Le64(ids.first);
    req.offset = Le64(offset);
    req.flags = Le32(flags);
    c->op = OMFS_OP_WRITE;
    c->same_again = (flags & OMFS_WRITE_APPEND) == 0;  // at fixed offsets
    c->payload = data;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {open.get()}, build, terms);
  if (!e.ok()) return e;
  omfs_write_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok() || Le64(rep.written) > data.size()) {
    return Errno(EPROTO);
  }
  return Written{Le64(rep.written), Le64(rep.offset)};
}

Errno NodeClient::Fsync(const Caller& caller, const RemoteOpenRef& open, bool data_only) {
  Call call;
  return Transact(&call, {open.get()}, [&](Call* c, OpenIds ids) {
    omfs_fsync_req req{};
    req.open_id = Le64(ids.first);
    req.datasync = Le32(data_only ? 1 : 0);
    c->op = OMFS_OP_FSYNC;
    EncodeRequest(c->op, caller, req, &c->meta);
  });
}

Errno NodeClient::Fallocate(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                            uint64_t len, int mode, CapTerms* terms) {
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_fallocate_req req{};
    req.open_id = Le64(ids.first);
    req.offset = Le64(offset);
    req.len = Le64(len);
    req.mode = Le32(mode);
    c->op = OMFS_OP_FALLOCATE;
    c->same_again = true;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  return Transact(&call, {open.get()}, build, terms);
}

ErrnoOr<uint64_t> NodeClient::Seek(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                                   int whence) {
  Call call;
  const Errno e = Transact(&call, {open.get()}, [&](Call* c, OpenIds ids) {
    omfs_lseek_req req{};
    req.open_id = Le64(ids.first);
    req.offset = Le64(offset);
    req.whence = Le32(whence);
    c->op = OMFS_OP_LSEEK;
    EncodeRequest(c->op, caller, req, &c->meta);
  });
  if (!e.ok()) return e;
  omfs_offset_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return Le64(rep.offset);
}

ErrnoOr<uint64_t> NodeClient::CopyRange(const Caller& caller, const RemoteOpenRef& in,
                                        uint64_t in_offset, const RemoteOpenRef& out,
                                        uint64_t out_offset, uint64_t len, uint32_t flags,
                                        CapTerms* terms) {
  // One call must not keep the owner busy for longer than a lease.
  constexpr uint64_t kAtOnce = 64 * 1024 * 1024;
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_copy_range_req req{};
    req.open_in = Le64(ids.first);
    req.offset_in = Le64(in_offset);
    req.open_out = Le64(ids.second);
    req.offset_out = Le64(out_offset);
    req.len = Le64(std::min(len, kAtOnce));
    req.flags = Le32(flags);
    c->op = OMFS_OP_COPY_RANGE;
    c->same_again = true;  // at fixed offsets
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {in.get(), out.get()}, build, terms);
  if (!e.ok()) return e;
  omfs_offset_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return Le64(rep.offset);
}

ErrnoOr<DirPage> NodeClient::ReadDir(const Caller& caller, const RemoteOpenRef& dir,
                                     uint64_t cookie, uint32_t max_bytes, bool plus, CapTerms* terms) {
  DirPage page;
  page.entries.resize(std::min<uint32_t>(max_bytes, OMFS_MAX_PAYLOAD));
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_readdir_req req{};
    req.open_id = Le64(ids.first);
    req.cookie = Le64(cookie);
    req.max_bytes = Le32(page.entries.size());
    req.flags = Le32(plus ? OMFS_READDIR_PLUS : 0);
    c->op = OMFS_OP_READDIR;
    c->into = page.entries;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {dir.get()}, build, terms);
  if (!e.ok()) return e;
  omfs_readdir_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  page.entries.resize(call.reply_size);
  page.count = Le32(rep.count);
  page.eof = rep.eof != 0;
  return page;
}

}  // namespace omfs
