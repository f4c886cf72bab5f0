#include "omfs/server/dispatcher.h"

#include <time.h>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/server/intent.h"
#include "omfs/server/ops/ops.h"
#include "omfs/server/siphash.h"

namespace omfs {
namespace {

using Function = OpResult (*)(Operation&);

struct Entry {
  Function run = nullptr;
  // Recorded in the store: not idempotent, and meaningful after a restart, unlike what works on an
  // open.
  bool durable = false;
};

Entry EntryOf(uint16_t op) {
  switch (static_cast<omfs_op>(op)) {
    case OMFS_OP_HELLO:  // greeting.cc
      return {};
    case OMFS_OP_PING:
      return {ops::Ping};
    case OMFS_OP_BYE:
      return {ops::Bye};
    case OMFS_OP_CANCEL:
      return {ops::Cancel};
    case OMFS_OP_LOOKUP:
      return {ops::Lookup};
    case OMFS_OP_GETATTR:
      return {ops::GetAttr};
    case OMFS_OP_SETATTR:
      return {ops::SetAttr, true};
    case OMFS_OP_READLINK:
      return {ops::ReadLink};
    case OMFS_OP_ACCESS:
      return {ops::Access};
    case OMFS_OP_STATFS:
      return {ops::StatFs};
    case OMFS_OP_MKNOD:
      return {ops::MkNod, true};
    case OMFS_OP_SYMLINK:
      return {ops::SymLink, true};
    case OMFS_OP_LINK:
      return {ops::Link, true};
    case OMFS_OP_UNLINK:
      return {ops::Unlink, true};
    case OMFS_OP_RENAME:
      return {ops::Rename, true};
    case OMFS_OP_OPEN:
      return {ops::Open};
    case OMFS_OP_CREATE:
      return {ops::Create, true};
    case OMFS_OP_LOOKUP_OPEN:
      return {ops::LookupOpen};
    case OMFS_OP_CLOSE:
      return {ops::Close};
    case OMFS_OP_READ:
      return {ops::Read};
    case OMFS_OP_WRITE:
      return {ops::Write};
    case OMFS_OP_FSYNC:
      return {ops::FSync};
    case OMFS_OP_FALLOCATE:
      return {ops::Fallocate};
    case OMFS_OP_LSEEK:
      return {ops::LSeek};
    case OMFS_OP_COPY_RANGE:
      return {ops::CopyRange};
    case OMFS_OP_READDIR:
      return {ops::ReadDir};
    case OMFS_OP_GETXATTR:
      return {ops::GetXattr};
    case OMFS_OP_SETXATTR:
      return {ops::SetXattr, true};
    case OMFS_OP_LISTXATTR:
      return {ops::ListXattr};
    case OMFS_OP_REMOVEXATTR:
      return {ops::RemoveXattr, true};
    case OMFS_OP_GETLK:
      return {ops::GetLk};
    case OMFS_OP_SETLK:
      return {ops::SetLk};
    case OMFS_OP_FLAGS:
      return {ops::Flags, true};
    case OMFS_OP_RELEASE:
      return {ops::Release};
    case OMFS_OP_RECLAIMED:
      return {ops::Reclaimed};
    case OMFS_OP_RECALL:  // the other way
      return {};
  }
  return {};
}

bool Durable(const Header& h) { return (h.flags & OMFS_F_CACHE) != 0 && EntryOf(h.op).durable; }

// Tells a repeated request from another one on the same slot; no protection against intent.
uint64_t DigestOf(const Header& h, std::span<const std::byte> meta) {
  if (!IsNonIdempotent(h.op)) return 0;
  static constexpr std::array<uint8_t, 16> kKey{};
  return SipHash(kKey, meta) + h.payload_len;
}

uint64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(t.tv_nsec);
}

bool WantsSpace(const OpResult& result) {
  const auto* e = std::get_if<Errno>(&result);
  return e != nullptr && (e->value == ENOSPC || e->value == EDQUOT);
}

// What is kept of a reply: the payload is not, so an open's reply may not say that it has the whole
// file.
std::vector<std::byte> MetaToKeep(const Header& h, const Reply& reply) {
  std::vector<std::byte> meta = reply.meta;
  const bool opens = h.op == OMFS_OP_OPEN || h.op == OMFS_OP_CREATE || h.op == OMFS_OP_LOOKUP_OPEN;
  if (opens && reply.payload.size() > 0 && meta.size() == sizeof(omfs_open_rep)) {
    omfs_open_rep rep;
    memcpy(&rep, meta.data(), sizeof rep);
    rep.eof = 0;
    memcpy(meta.data(), &rep, sizeof rep);
  }
  return meta;
}

}  // namespace

Dispatcher::Dispatcher(Services& services, SessionTable* sessions, Store* store,
                       WorkerPool* workers)
    : services_(services), sessions_(sessions), store_(store), workers_(workers) {}

absl::Status Dispatcher::Handle(const std::shared_ptr<Connection>& connection, Message message) {
  const std::shared_ptr<Session> session = connection->session();
  const Header& h = message.header;
  if (connection->carries_recalls()) {
    if (!h.reply() || h.op != OMFS_OP_RECALL || h.session != session->id().value) {
      return InvalidArgument("{} on a connection for recalls", OpName(h.op));
    }
    session->Touch();
    services_.caps.Answer(session->id(), h.cap_seq);
    return absl::OkStatus();
  }
  if (h.reply()) return InvalidArgument("a reply where a request is due");
  if (h.op == OMFS_OP_HELLO) return InvalidArgument("a second HELLO");
  if (h.session != session->id().value) {
    return InvalidArgument("session {} on a connection of session {}", h.session,
                           session->id().value);
  }
  Session::Admission admission = session->Admit(h, DigestOf(h, message.meta), connection);
  switch (admission.verdict) {
    case Session::Verdict::kMisordered:
      return InvalidArgument("{}", admission.why);
    case Session::Verdict::kUnderWay:
      return absl::OkStatus();
    case Session::Verdict::kAnswer: {
      Header reply = h;
      reply.flags = (h.flags & OMFS_F_CRC) | OMFS_F_REPLAY;
      reply.status = admission.status;
      reply.caps = 0;  // what was granted then may have been recalled since
      reply.credits = static_cast<uint16_t>(session->slot_count());
      connection->Send(reply, admission.meta, {});
      return absl::OkStatus();
    }
    case Session::Verdict::kRun:
      break;
  }
  auto op = std::make_shared<Operation>(services_, session, h, std::move(message.meta),
                                        std::move(message.payload));
  Start(op, admission.intent);
  return absl::OkStatus();
}

void Dispatcher::Start(const OperationRef& op, const std::optional<SlotRecord>& intent) {
  if (EntryOf(op->header().op).run == nullptr) {
    Complete(op, ENOSYS, {});
    return;
  }
  op->set_intent(intent);
  Run(op);
}

void Dispatcher::Run(const OperationRef& op) {
  op->Restart();
  if (op->intent()) {
    if (auto concluded = ConcludeIntent(*op, *op->intent())) return Conclude(op, std::move(*concluded));
    op->StopActing();
  }
  OpResult result = EntryOf(op->header().op).run(*op);
  // What failed for want of space has done nothing, and there may be some that only this server
  // holds back.
  if (WantsSpace(result) && services_.tree.LetGoOfReplaced()) {
    result = EntryOf(op->header().op).run(*op);
  }
  Conclude(op, std::move(result));
}

void Dispatcher::RunOnWorker(const OperationRef& op) {
  op->AllowBlocking();
  workers_->Post([this, op] { Run(op); });
}

void Dispatcher::Conclude(const OperationRef& op, OpResult result) {
  if (auto* reply = std::get_if<Reply>(&result)) {
    Complete(op, 0, *reply);
  } else if (const auto* e = std::get_if<Errno>(&result)) {
    Complete(op, static_cast<uint32_t>(e->value), {});
  } else if (auto* parked = std::get_if<Parked>(&result)) {
    services_.lock_waiters.Park(op, std::move(parked->inode));
  } else if (const auto* malformed = std::get_if<absl::Status>(&result)) {
    CloseAsMalformed(op, *malformed);
  } else if (std::holds_alternative<WouldBlock>(result)) {
    RunOnWorker(op);
  }
  // Recalling: another thread may be running it already.
}

bool Dispatcher::TryAgain(const OperationRef& op) {
  OpResult result = EntryOf(op->header().op).run(*op);
  if (std::holds_alternative<Parked>(result)) return false;
  Conclude(op, std::move(result));
  return true;
}

void Dispatcher::GiveUp(const OperationRef& op, Errno error) {
  services_.locks.StopWaiting({op->session().id(), op->header().slot, op->header().sequence});
  Complete(op, static_cast<uint32_t>(error.value), {});
}

bool Dispatcher::RecordIntent(const OperationRef& op, const std::vector<CapClaim>& claims) {
  // A replay has its intent in the store.
  if (!Durable(op->header()) || op->intent()) return true;
  SlotRecord record;
  record.time_ns = NowNs();
  record.caps = op->header().caps;
  record.request.assign(op->meta().begin(), op->meta().end());
  for (const CapClaim& claim : claims) {
    if (claim.entry.empty()) continue;
    const auto dir = op->Resolve(claim.object);
    const auto named = dir.ok() ? op->tree().HandleOfEntry(**dir, claim.entry) : ErrnoOr<omfs_fh>(dir.error());
    record.names.push_back(named.ok() ? *named : omfs_fh{});
  }
  const absl::Status s = PutRecord(op, std::move(record));
  if (s.ok()) return true;
  SPDLOG_ERROR("{}: {} refused", Text(s), OpName(op->header().op));
  op->ReleaseClaims();
  const auto connection = op->session().Finish(op->header(), false, 0, 0, {});
  Header reply = op->header();
  reply.flags &= OMFS_F_CRC;
  reply.caps = 0;
  reply.status = EIO;
  if (connection != nullptr) connection->Send(reply, {}, {});
  return false;
}

// That the reply could not be recorded concerns only what a restarted daemon would know.
void Dispatcher::RecordReply(const OperationRef& op, uint32_t status, std::span<const std::byte> meta) {
  SlotRecord record;
  record.time_ns = NowNs();
  record.state = SlotRecord::State::kDone;
  record.status = status;
  record.meta.assign(meta.begin(), meta.end());
  const absl::Status s = PutRecord(op, std::move(record));
  if (!s.ok()) SPDLOG_ERROR("{}: the reply to {} is not recorded", Text(s), OpName(op->header().op));
}

absl::Status Dispatcher::PutRecord(const OperationRef& op, SlotRecord record) {
  const Header& h = op->header();
  record.sequence = h.sequence;
  record.op = h.op;
  record.digest = DigestOf(h, op->meta());
  // RocksDB may open files of its own on this thread.
  ThreadIdentity::BecomeDaemon();
  return store_->PutSlot(op->session().id(), h.slot, record);
}

void Dispatcher::Complete(const OperationRef& op, uint32_t status, const Reply& reply) {
  const Header& h = op->header();
  Session& session = op->session();
  op->ReleaseClaims();
  const bool keep = IsNonIdempotent(h.op);
  const std::vector<std::byte> kept = keep ? MetaToKeep(h, reply) : std::vector<std::byte>();
  if (Durable(h) && !session.ended()) RecordReply(op, status, kept);
  const auto connection = session.Finish(h, keep, DigestOf(h, op->meta()), status, kept);
  const bool bye = h.op == OMFS_OP_BYE && status == 0;
  if (bye) {
    // The reply says that the opens are closed and the locks are gone.
    ThreadIdentity::BecomeDaemon();
    sessions_->Retire(op->session_ref());
  }
  if (connection != nullptr) {
    Header out = h;
    out.flags = h.flags & OMFS_F_CRC;
    out.status = status;
    out.credits = static_cast<uint16_t>(session.slot_count());
    out.caps = op->granted_caps();
    out.cap_seq = op->cap_seq();
    connection->Send(out, reply.meta, reply.payload.span());
  }
  if (bye) sessions_->End(op->session_ref());
}

void Dispatcher::CloseAsMalformed(const OperationRef& op, const absl::Status& why) {
  const auto connection = op->session().Finish(op->header(), false, 0, 0, {});
  if (connection == nullptr) return;
  SPDLOG_WARN("connection closed: {}: {}: {}", connection->Name(), OpName(op->header().op),
              Text(why));
  connection->Close();
}

}  // namespace omfs
