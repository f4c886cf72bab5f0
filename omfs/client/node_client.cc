// How a call is carried through: attempts, opens of earlier generations, unknown outcomes.
#include "omfs/client/node_client.h"

#include <fcntl.h>

#include "omfs/base/log.h"
#include "omfs/client/node_client_calls.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

// Every attempt after the first means that the owner restarted or the session was lost in between.
constexpr int kMaxAttempts = 8;

}  // namespace

NodeClient::NodeClient(LinkOptions options, std::shared_ptr<TlsContext> tls)
    : link_(std::move(options), std::move(tls)),
      reclaimer_(&link_, [this](const RemoteOpenRef& open) { return EnsureOpen(open); }) {}

NodeClient::~NodeClient() = default;

Errno NodeClient::Transact(Call* call, Opens opens, Build build, CapTerms* terms, CancelToken* cancel) {
  if (terms != nullptr) terms->held = 0, terms->stamp = CapStamp();
  for (int attempt = 0; attempt < kMaxAttempts || link_.hard(); ++attempt) {
    call->Reset();
    const uint64_t generation = link_.generation();
    OpenIds ids;
    if (opens.first != nullptr) {
      ErrnoOr<uint64_t> id = IdOf(opens.first, generation);
      if (!id.ok()) return id.error();
      ids.first = *id;
    }
    if (opens.second != nullptr) {
      ErrnoOr<uint64_t> id = IdOf(opens.second, generation);
      if (!id.ok()) return id.error();
      ids.second = *id;
    }
    build(call, ids);
    if (terms != nullptr && link_.grants_caps()) call->caps = terms->wanted;
    call->uses_open = opens.first != nullptr;
    call->keep_reply = IsNonIdempotent(call->op);
    call->patient = attempt > 0;
    switch (link_.Execute(call, generation, cancel)) {
      case Outcome::kReplied:
        if (terms != nullptr && call->generation != 0) {
          terms->held = call->reply_caps;
          terms->stamp = {call->generation, call->cap_seq};
        }
        return call->status;
      case Outcome::kStaleSession:
        continue;
      case Outcome::kWithdrawn:
        return Errno(EINTR);
      case Outcome::kHostDown:
        return Errno(attempt == 0 ? EHOSTDOWN : EIO);
      case Outcome::kLost:
        if (!call->keep_reply || call->repeatable) continue;
        break;
      case Outcome::kExpired:
        if (!call->keep_reply) return Errno(ETIMEDOUT);
        break;
    }
    spdlog::error("call ended without an answer node={} op={} may_have_been_done=yes", link_.node().value,
                  OpName(call->op));
    return Errno(EIO);
  }
  return Errno(EIO);
}

ErrnoOr<uint64_t> NodeClient::IdOf(RemoteOpen* open, uint64_t generation) {
  std::lock_guard lock(open->mu_);
  if (!open->broken_.ok()) return open->broken_;
  if (open->generation_ != generation) {
    if (Errno e = Reopen(open); !e.ok()) return e;
  }
  return open->id_;
}

Errno NodeClient::EnsureOpen(const RemoteOpenRef& open) {
  const ErrnoOr<uint64_t> id = IdOf(open.get(), link_.generation());
  return id.ok() ? Errno() : id.error();
}

ErrnoOr<NodeClient::OpenKey> NodeClient::KeyOf(const RemoteOpenRef& open) {
  const ErrnoOr<uint64_t> id = IdOf(open.get(), link_.generation());
  if (!id.ok()) return id.error();
  return OpenKey{link_.session(), *id};
}

void NodeClient::Release(std::span<const GivenBack> objects) {
  const uint64_t generation = link_.generation();
  std::vector<omfs_release> list;
  for (const GivenBack& g : objects) {
    if (g.stamp.generation == generation) list.push_back({g.fh.raw, Le64(g.stamp.seq)});
  }
  if (list.empty()) return;
  // The payload must live as long as the call, which nobody waits for: it would not be worth an allocation scheme, so this
  // one is waited for, by a thread that has nothing else to do.
  Call call;
  call.op = OMFS_OP_RELEASE;
  call.payload = std::as_bytes(std::span(list));
  link_.Execute(&call, generation);
}

Errno NodeClient::Reopen(RemoteOpen* open) {
  if (open->has_locked_) {
    spdlog::error("locks lost with the owner's session; the open fails from now on node={}",
                  link_.node().value);
    open->broken_ = Errno(EIO);
    return open->broken_;
  }
  omfs_open_req req{};
  req.fh = open->fh_.raw;
  // __O_TMPFILE without O_DIRECTORY's companion bit: the object exists now, it is not made again.
  constexpr int kOnlyOnce = O_CREAT | O_EXCL | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
  int flags = open->flags_ & ~kOnlyOnce;
  if ((open->flags_ & O_TMPFILE) == O_TMPFILE) flags &= ~O_DIRECTORY;
  req.flags = Le32(flags);
  Caller caller = open->opener_;
  for (;;) {
    Call call;
    const Errno e = Transact(&call, {}, [&](Call* c, OpenIds) {
      c->op = OMFS_OP_OPEN;
      c->repeatable = true;
      EncodeRequest(c->op, caller, req, &c->meta);
    });
    if (e.ok()) {
      omfs_open_rep rep;
      if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
      open->id_ = Le64(rep.open_id);
      open->generation_ = call.generation;
      return Errno();
    }
    // The right to use the file was given when it was opened first; a changed mode does not take it
    // away.
    if ((e.value == EACCES || e.value == EPERM) && caller.uid != 0) {
      caller = Caller();
      continue;
    }
    // Nothing is known of the file; it may be there the next time.
    if (e.value == EHOSTDOWN || e.value == ETIMEDOUT || e.value == EIO || e.value == EINTR) return e;
    spdlog::warn("cannot open again after the owner's restart node={} why={}", link_.node().value,
                 Quoted(strerror(e.value)));
    open->broken_ = Errno(ESTALE);
    return open->broken_;
  }
}

}  // namespace omfs
