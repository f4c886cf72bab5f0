#include "omfs/client/link.h"

#include <sys/eventfd.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/client/hlc.h"
#include "omfs/client/withdrawal.h"

namespace omfs {
namespace {

std::array<uint8_t, 16> RandomId() {
  std::array<uint8_t, 16> id{};
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) std::abort();
  return id;
}

uint64_t WallNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Link::Link(LinkOptions options, std::shared_ptr<TlsContext> tls)
    : options_(std::move(options)),
      tls_(std::move(tls)),
      client_id_(RandomId()),
      boot_(WallNanoseconds()),
      wanted_(!options_.on_demand),
      hard_(options_.hard),
      trouble_since_(Clock::now()),
      last_heard_(Clock::now()),
      event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this] { Run(); });
}

Link::~Link() {
  {
    Lock lock(mu_);
    closing_ = true;
    if (stream_) SetTimeouts(stream_->fd(), options_.patience, options_.patience);
  }
  SendOwn(OMFS_OP_BYE);
  {
    Lock lock(mu_);
    state_ = State::kClosed;
    if (stream_) stream_->Shutdown();
    state_changed_.notify_all();
  }
  Poke();
  thread_.join();
  Lock lock(mu_);
  EndCalls(Outcome::kLost);  // frees those that nobody waits for
}

bool Link::connected() const {
  std::lock_guard lock(mu_);
  return state_ == State::kUp;
}

SessionKey Link::session_key() const {
  std::lock_guard lock(mu_);
  SessionKey key;
  key.client_id = client_id_;
  key.boot = boot_;
  key.session = state_ == State::kUp && grants_caps() ? session_ : 0;
  key.generation = generation_;
  return key;
}

uint64_t Link::session() const {
  std::lock_guard lock(mu_);
  return session_;
}

void Link::SetGenerationListener(std::function<void()> listener) {
  std::lock_guard lock(listener_mu_);
  generation_listener_ = std::move(listener);
}

void Link::SetReclaimListener(std::function<void()> listener) {
  std::lock_guard lock(listener_mu_);
  reclaim_listener_ = std::move(listener);
}

Link::Instance Link::owner() const {
  std::lock_guard lock(mu_);
  return {generation_, epoch_, knows_reclaimed_};
}

void Link::RenewLease(Clock::time_point sent_at) {
  // A tenth less: clocks run at different speeds, and what was found valid is used a little later.
  const int64_t lease = lease_ns_.load(std::memory_order_relaxed);
  const int64_t end = std::chrono::nanoseconds(sent_at.time_since_epoch()).count() + lease - lease / 10;
  int64_t known = lease_end_.load(std::memory_order_relaxed);
  while (known < end && !lease_end_.compare_exchange_weak(known, end, std::memory_order_relaxed)) {
  }
}

void Link::Want() {
  if (wanted_) return;
  wanted_ = true;
  trouble_since_ = Clock::now();
  Poke();
}

size_t Link::slots() const {
  std::lock_guard lock(mu_);
  return slots_.size();
}

ErrnoOr<Entry> Link::Root() {
  Lock lock(mu_);
  Want();
  const auto deadline = trouble_since_ + options_.patience;
  while (root_.fh.raw.len == 0 && state_ != State::kClosed && !aborted_ && !WithdrawalScope::Withdrawn()) {
    if (!hard() && (state_ != State::kConnecting || Clock::now() >= deadline)) break;
    WaitAMoment(lock, &state_changed_, hard() ? Clock::time_point::max() : deadline);
  }
  if (root_.fh.raw.len == 0) return Errno(EHOSTDOWN);
  return root_;
}

Outcome Link::Execute(Call* call, uint64_t generation, CancelToken* cancel) {
  std::shared_ptr<TlsStream> stream;
  uint64_t session;
  {
    Lock lock(mu_);
    const Outcome o = TakeSlot(lock, call, generation);
    if (o != Outcome::kReplied) return o;
    stream = stream_;
    session = session_;
  }
  Send(stream, *call, session, 0);
  stream.reset();
  if (cancel != nullptr) cancel->Bind([this, call] { SendCancel(call); });
  {
    Lock lock(mu_);
    Await(lock, call, false);
  }
  if (cancel != nullptr) cancel->Bind(nullptr);
  return call->outcome_;
}

std::unique_ptr<Call> Link::ExecuteDetached(std::unique_ptr<Call> call, uint64_t generation) {
  std::shared_ptr<TlsStream> stream;
  uint64_t session;
  {
    Lock lock(mu_);
    // Their replies are read only when somebody waits for one of his own, so they may not use up
    // all slots.
    if (state_ != State::kUp || generation != generation_ || free_.size() <= slots_.size() / 2 ||
        detached_ >= slots_.size() / 4) {
      return call;
    }
    call->detached_ = true;
    ++detached_;
    AssignSlot(call.get());
    call->replaying_ = true;  // keeps the call alive while it is being sent
    stream = stream_;
    session = session_;
  }
  Call* sent = call.release();  // from now on the slot's
  Send(stream, *sent, session, 0);
  Lock lock(mu_);
  sent->replaying_ = false;
  if (sent->done_) delete sent;
  return nullptr;
}

Outcome Link::TakeSlot(Lock& lock, Call* call, uint64_t generation) {
  Want();
  for (;;) {
    if (WithdrawalScope::Withdrawn()) return Outcome::kWithdrawn;
    if (state_ == State::kUp) {
      if (call->uses_open && generation != generation_) return Outcome::kStaleSession;
      if (!free_.empty()) {
        AssignSlot(call);
        return Outcome::kReplied;
      }
      WaitAMoment(lock, &slot_freed_, Clock::time_point::max());
      continue;
    }
    if (state_ == State::kClosed || aborted_) return Outcome::kHostDown;
    auto deadline = Clock::time_point::max();
    if (!hard()) {
      if (state_ == State::kDown) return Outcome::kHostDown;
      deadline = trouble_since_ + (call->patient ? lease_ : options_.patience);
      if (Clock::now() >= deadline) return Outcome::kHostDown;
    }
    WaitAMoment(lock, &state_changed_, deadline);
  }
}

void Link::WaitAMoment(Lock& lock, std::condition_variable* changed, Clock::time_point deadline) {
  constexpr std::chrono::milliseconds kMoment{100};
  changed->wait_until(lock, std::min(deadline, Clock::now() + kMoment));
}

void Link::AssignSlot(Call* call) {
  call->slot_ = free_.back();
  free_.pop_back();
  Slot& slot = slots_[call->slot_];
  call->sequence_ = ++slot.sequence;
  slot.call = call;
}

void Link::Send(const std::shared_ptr<TlsStream>& stream, Call& call, uint64_t session,
                uint32_t extra_flags) {
  call.sent_at_ = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
  Header h;
  h.caps = call.caps;
  h.op = call.op;
  h.flags = (call.keep_reply ? OMFS_F_CACHE : 0) | extra_flags;
  h.session = session;
  h.slot = call.slot_;
  h.sequence = call.sequence_;
  h.meta_len = call.meta.size();
  h.payload_len = call.payload.size();
  h.hlc = ClientClock::Get().Reading();
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  h.Pack(packed);
  const std::array<iovec, 3> parts = {{
      {packed.data(), packed.size()},
      {const_cast<std::byte*>(call.meta.bytes().data()), call.meta.size()},
      {const_cast<std::byte*>(call.payload.data()), call.payload.size()},
  }};
  if (absl::Status s = stream->Write(parts); !s.ok()) Lose(stream, s);
}

// Sent as a call of its own that nobody waits for. While the connection is down only the mark is
// left; the link's thread sends the CANCEL after it has sent the call again.
void Link::SendCancel(Call* call) {
  auto cancel = std::make_unique<Call>();
  std::shared_ptr<TlsStream> stream;
  uint64_t session;
  {
    Lock lock(mu_);
    call->cancelled_ = true;
    // The call may end while a slot is waited for.
    while (!call->done_ && state_ == State::kUp && free_.empty()) slot_freed_.wait(lock);
    if (call->done_ || state_ != State::kUp) return;
    omfs_cancel_req req{};
    req.slot = htole16(call->slot_);
    req.sequence = htole32(call->sequence_);
    cancel->op = OMFS_OP_CANCEL;
    cancel->meta.Pod(req);
    cancel->detached_ = true;
    cancel->replaying_ = true;
    ++detached_;
    AssignSlot(cancel.get());
    stream = stream_;
    session = session_;
  }
  Call* sent = cancel.release();
  Send(stream, *sent, session, 0);
  Lock lock(mu_);
  sent->replaying_ = false;
  if (sent->done_) delete sent;
}

bool Link::Await(Lock& lock, Call* call, bool until_lost) {
  call->waiting_ = true;
  call->until_lost_ = until_lost;
  for (;;) {
    if (call->done_ && !call->replaying_) return true;
    if (call->promoted_ && !stream_) {  // lost while the role was on its way here
      call->promoted_ = false;
      role_taken_ = false;
      role_dropped_.notify_all();
    }
    if (until_lost && !stream_) return false;
    if (!call->done_ && stream_ && (call->promoted_ || !role_taken_)) {
      call->promoted_ = false;
      role_taken_ = true;
      std::shared_ptr<TlsStream> stream = stream_;
      lock.unlock();
      ReadUntil(stream, call);
      lock.lock();
      if (const void* next = HandOver(); next != nullptr) {
        lock.unlock();
        Parker::Wake(next);
        lock.lock();
      }
      continue;
    }
    lock.unlock();
    call->parker_.Park();
    lock.lock();
  }
}

const void* Link::HandOver() {
  if (stream_) {
    Call* heir = nullptr;
    for (const Slot& slot : slots_) {
      // One that is still sending may not hold the role: its send may need the other end to be read
      // first.
      if (slot.call == nullptr || !slot.call->waiting_ || slot.call->detached_) continue;
      if (heir == nullptr || (heir->long_wait && !slot.call->long_wait)) heir = slot.call;
      if (!heir->long_wait) break;
    }
    if (heir != nullptr) {
      heir->promoted_ = true;
      heir->parker_.Post();
      return heir->parker_.address();
    }
  }
  role_taken_ = false;
  role_dropped_.notify_all();
  return nullptr;
}

void Link::ReadUntil(const std::shared_ptr<TlsStream>& stream, const Call* own) {
  for (;;) {
    const Call* completed = nullptr;
    if (absl::Status s = ReadReply(stream, own, &completed); !s.ok()) return Lose(stream, s);
    if (completed == own) return;
  }
}

absl::Status Link::ReadReply(const std::shared_ptr<TlsStream>& stream, const Call* own,
                             const Call** completed) {
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  OMFS_RETURN_IF_ERROR(stream->ReadExact(packed));
  Header h;
  OMFS_RETURN_IF_ERROR(Header::Unpack(packed, &h));
  ClientClock::Get().Observe(h.hlc);
  if (!h.reply()) return InvalidArgument("a request where a reply was due");
  Call* call = nullptr;
  {
    Lock lock(mu_);
    if (h.slot < slots_.size()) call = slots_[h.slot].call;
    if (call == nullptr || call->sequence_ != h.sequence || call->op != h.op) {
      return InvalidArgument("a reply to nothing: {} slot {} sequence {}", OpName(h.op), h.slot,
                             h.sequence);
    }
    last_heard_ = Clock::now();
  }
  if (h.payload_len > call->into.size()) {
    return InvalidArgument("a {} reply of {} bytes where {} fit", OpName(h.op), h.payload_len,
                           call->into.size());
  }
  call->reply_meta.resize(h.meta_len);
  OMFS_RETURN_IF_ERROR(stream->ReadExact(call->reply_meta));
  OMFS_RETURN_IF_ERROR(stream->ReadExact(call->into.first(h.payload_len)));
  call->reply_size = h.payload_len;
  call->reply_caps = h.caps;
  call->cap_seq = h.cap_seq;
  RenewLease(Clock::time_point(std::chrono::nanoseconds(call->sent_at_)));
  call->status = Errno(static_cast<int>(h.status));
  const void* sleeper;
  {
    Lock lock(mu_);
    *completed = call;
    const bool before_restart = call->crossed_epoch_ && (h.flags & OMFS_F_REPLAY) != 0;
    call->generation = before_restart ? 0 : generation_;
    // Sent again to a restarted owner, the call named an open that is gone and so was not executed
    // now. The first time it may have been: what must not be done twice is lost.
    const bool turned_back = call->crossed_epoch_ && call->uses_open && h.status == ESTALE;
    const bool again = call->repeatable || call->same_again || !call->keep_reply;
    sleeper = Complete(call, !turned_back ? Outcome::kReplied
                             : again      ? Outcome::kStaleSession
                                          : Outcome::kLost);
  }
  if (sleeper != nullptr && call != own) Parker::Wake(sleeper);
  return absl::OkStatus();
}

const void* Link::Complete(Call* call, Outcome outcome) {
  slots_[call->slot_].call = nullptr;
  free_.push_back(call->slot_);
  slot_freed_.notify_all();
  call->done_ = true;
  call->outcome_ = outcome;
  if (call->detached_) {
    --detached_;
    if (!call->replaying_) delete call;
    return nullptr;
  }
  call->parker_.Post();
  return call->parker_.address();
}

void Link::Lose(const std::shared_ptr<TlsStream>& stream, const absl::Status& why) {
  stream->Shutdown();
  Lock lock(mu_);
  if (stream_ != stream) return;
  stream_.reset();
  trouble_since_ = Clock::now();
  if (state_ != State::kClosed) {
    state_ = State::kLost;
    if (!closing_) {
      spdlog::warn("connection lost node={} why={}", options_.node.value, Quoted(Text(why)));
    }
  }
  for (const Slot& slot : slots_) {
    if (slot.call == nullptr || !slot.call->until_lost_) continue;
    slot.call->parker_.Post();
    Parker::Wake(slot.call->parker_.address());
  }
  state_changed_.notify_all();
  slot_freed_.notify_all();
  lock.unlock();
  Poke();
}

}  // namespace omfs
