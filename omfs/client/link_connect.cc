// The link's own thread: makes the connection, resumes the session or starts another, keeps it
// alive.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/client/hello.h"
#include "omfs/client/link.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLastBackoff{2000};

uint64_t WallNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void Link::Run() {
  milliseconds backoff = kFirstBackoff;
  for (;;) {
    bool up, wanted;
    {
      Lock lock(mu_);
      if (state_ == State::kClosed) return;
      up = state_ == State::kUp;
      wanted = wanted_;
    }
    if (!wanted) {
      Sleep(milliseconds(-1), nullptr);
      continue;
    }
    if (up) {
      backoff = kFirstBackoff;
      KeepAlive();
      continue;
    }
    CheckLease();
    absl::Status s = TryConnect();
    if (s.ok()) continue;
    ReportUnreachable(s);
    CheckLease();
    {
      Lock lock(mu_);
      if (state_ == State::kConnecting) {
        state_ = State::kDown;
        state_changed_.notify_all();
      }
    }
    Sleep(backoff, nullptr);
    backoff = std::min(backoff * 2, kLastBackoff);
  }
}

void Link::Sleep(milliseconds timeout, const std::shared_ptr<TlsStream>& stream) {
  pollfd fds[2] = {{event_.get(), POLLIN, 0}, {stream ? stream->fd() : -1, POLLRDHUP, 0}};
  poll(fds, 2, static_cast<int>(timeout.count()));
  uint64_t drained;
  if (fds[0].revents != 0 && read(event_.get(), &drained, sizeof drained) < 0) return;
  if (stream && (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
    Lose(stream, absl::UnavailableError("closed by peer"));
  }
}

void Link::SetTimeouts(int fd, milliseconds read, milliseconds write) {
  const auto as_timeval = [](milliseconds t) {
    return timeval{static_cast<time_t>(t.count() / 1000),
                   static_cast<suseconds_t>(t.count() % 1000 * 1000)};
  };
  const timeval r = as_timeval(read), w = as_timeval(write);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &r, sizeof r);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &w, sizeof w);
}

void Link::Poke() {
  const uint64_t one = 1;
  if (write(event_.get(), &one, sizeof one) < 0) return;  // full: it is awake
}

void Link::KeepAlive() {
  std::shared_ptr<TlsStream> stream;
  milliseconds interval, silence;
  {
    Lock lock(mu_);
    stream = stream_;
    interval = lease_ / 3;
    silence = std::chrono::duration_cast<milliseconds>(Clock::now() - last_heard_);
  }
  if (!stream) return;
  if (silence < interval) {
    Sleep(interval - silence + milliseconds(1), stream);
  } else {
    SendOwn(OMFS_OP_PING);
  }
}

bool Link::SendOwn(uint16_t op) {
  auto call = std::make_unique<Call>();
  call->op = op;
  std::shared_ptr<TlsStream> stream;
  uint64_t session;
  {
    Lock lock(mu_);
    while (state_ == State::kUp && free_.empty()) slot_freed_.wait(lock);
    if (state_ != State::kUp) return false;
    AssignSlot(call.get());
    stream = stream_;
    session = session_;
  }
  Send(stream, *call, session, 0);
  Lock lock(mu_);
  if (Await(lock, call.get(), true)) return true;
  // Its number is used up, so it must be sent again when the session is resumed; the slot keeps it.
  call->until_lost_ = false;
  call->detached_ = true;
  ++detached_;
  call.release();
  return false;
}

absl::Status Link::TryConnect() {
  uint64_t session, boot, aborts;
  {
    Lock lock(mu_);
    aborts = aborts_;
    while (role_taken_) role_dropped_.wait(lock);
    if (session_ == 0) boot_ = WallNanoseconds();
    session = session_;
    boot = boot_;
  }
  OMFS_ASSIGN_OR_RETURN(std::unique_ptr<TlsStream> stream,
                        TlsStream::Connect(tls_, options_.address, options_.port, options_.node,
                                           static_cast<int>(options_.connect_timeout.count())));
  SetTimeouts(stream->fd(), options_.connect_timeout, options_.connect_timeout);
  const Clock::time_point sent_at = Clock::now();
  OMFS_ASSIGN_OR_RETURN(const omfs_hello_rep rep,
                        SayHello(*stream, {.client_id = client_id_,
                                           .boot = boot,
                                           .session = session,
                                           .features = 0,
                                           .slots = options_.slots,
                                           .own_node = tls_->node()}));
  const milliseconds lease(Le32(rep.lease_ms));
  lease_ns_ = std::chrono::nanoseconds(lease).count();
  grants_caps_ = (Le32(rep.features) & OMFS_FEATURE_CAPS) != 0 && options_.caps;
  SetTimeouts(stream->fd(), lease / 2, lease / 2);
  const bool resumed = session != 0 && Le32(rep.resumed) == 1 && Le64(rep.session) == session;
  bool same_epoch;
  {
    Lock lock(mu_);
    if (aborts != aborts_) return absl::CancelledError("aborted meanwhile");
    same_epoch = epoch_ == Le64(rep.epoch);
    epoch_ = Le64(rep.epoch);
    knows_reclaimed_ = (Le32(rep.features) & OMFS_FEATURE_RECLAIM) != 0;
    lease_ = lease;
    last_heard_ = Clock::now();
    root_.fh.raw = rep.root;
    root_.attr = rep.root_attr;
  }
  last_reported_.clear();
  if (resumed) {
    Resume(std::move(stream), same_epoch);
  } else {
    StartSession(std::move(stream), rep);
  }
  RenewLease(sent_at);
  return absl::OkStatus();
}

void Link::Resume(std::shared_ptr<TlsStream> stream, bool opens_kept) {
  std::vector<Call*> calls;
  uint64_t session;
  const void* reader;
  if (!opens_kept) NewGeneration();
  {
    Lock lock(mu_);
    if (state_ == State::kClosed || session_ == 0) return;  // aborted: the next attempt starts anew
    session = session_;
    aborted_ = false;
    for (const Slot& slot : slots_) {
      if (slot.call == nullptr) continue;
      slot.call->replaying_ = true;
      if (!opens_kept) slot.call->crossed_epoch_ = true;
      calls.push_back(slot.call);
    }
    stream_ = stream;
    state_ = State::kUp;
    // Somebody must read while the calls are sent again, or both ends might wait for the other to
    // read.
    role_taken_ = true;
    reader = HandOver();
    state_changed_.notify_all();
  }
  if (reader != nullptr) Parker::Wake(reader);
  spdlog::info("session resumed node={} opens_kept={} calls_sent_again={}", options_.node.value,
               opens_kept, calls.size());
  for (Call* call : calls) {
    Send(stream, *call, session, OMFS_F_REPLAY);
    bool cancel;
    {
      Lock lock(mu_);
      cancel = call->cancelled_;
    }
    if (cancel) SendCancel(call);
    Lock lock(mu_);
    call->replaying_ = false;
    if (!call->done_) continue;
    if (call->detached_) {
      delete call;
    } else {
      call->parker_.Post();
      Parker::Wake(call->parker_.address());
    }
  }
}

void Link::StartSession(std::shared_ptr<TlsStream> stream, const omfs_hello_rep& rep) {
  bool first;
  {
    Lock lock(mu_);
    if (state_ == State::kClosed) return;
    EndCalls(Outcome::kLost);
    first = generation_ == 1;
  }
  NewGeneration();
  {
    Lock lock(mu_);
    if (state_ == State::kClosed) return;
    session_ = Le64(rep.session);
    slots_.assign(Le32(rep.slots), Slot());
    free_.clear();
    for (uint16_t i = static_cast<uint16_t>(slots_.size() - 1); i >= 1; --i) free_.push_back(i);
    stream_ = stream;
    state_ = State::kUp;
    aborted_ = false;
    state_changed_.notify_all();
  }
  spdlog::info("{} node={} address={} port={}", first ? "connected" : "session started anew",
               options_.node.value, options_.address, options_.port);
}

void Link::NewGeneration() {
  {
    Lock lock(mu_);
    generation_number_ = ++generation_;
  }
  std::lock_guard lock(listener_mu_);
  if (generation_listener_) generation_listener_();
  if (reclaim_listener_) reclaim_listener_();
}

void Link::EndCalls(Outcome outcome) {
  for (const Slot& slot : slots_) {
    if (slot.call == nullptr) continue;
    if (const void* sleeper = Complete(slot.call, outcome); sleeper != nullptr) {
      Parker::Wake(sleeper);
    }
  }
}

void Link::CheckLease() {
  Lock lock(mu_);
  if (state_ != State::kLost) return;
  const auto end = std::max(last_heard_ + lease_, trouble_since_ + options_.patience);
  if (Clock::now() < end || hard()) return;
  while (role_taken_) role_dropped_.wait(lock);
  if (state_ != State::kLost) return;
  GiveUpSession(Outcome::kExpired);
}

void Link::GiveUpSession(Outcome outcome) {
  EndCalls(outcome);
  session_ = 0;
  state_ = State::kDown;
  state_changed_.notify_all();
  slot_freed_.notify_all();
}

void Link::Abort() {
  Lock lock(mu_);
  aborted_ = true;
  ++aborts_;
  // Whoever holds the reader role finds its connection gone, and drops it.
  while (stream_ || role_taken_) {
    if (const std::shared_ptr<TlsStream> stream = stream_) {
      lock.unlock();
      Lose(stream, absl::CancelledError("aborted"));
      lock.lock();
    } else {
      role_dropped_.wait(lock);
    }
  }
  if (state_ != State::kClosed) GiveUpSession(Outcome::kLost);
}

void Link::Resurrect() {
  {
    Lock lock(mu_);
    aborted_ = false;
    if (state_ == State::kDown) state_ = State::kConnecting, trouble_since_ = Clock::now();
    wanted_ = true;
    state_changed_.notify_all();
  }
  Poke();
}

bool Link::aborted() const {
  std::lock_guard lock(mu_);
  return aborted_;
}

void Link::set_hard(bool hard) {
  hard_ = hard;
  std::lock_guard lock(mu_);
  state_changed_.notify_all();
}

bool Link::unreachable() const {
  std::lock_guard lock(mu_);
  return state_ != State::kUp && state_ != State::kConnecting;
}

bool Link::HeardSince(Clock::time_point time) const {
  std::lock_guard lock(mu_);
  return last_heard_ >= time;
}

void Link::ReportUnreachable(const absl::Status& why) {
  const std::string text = Text(why);
  if (text == last_reported_) return;  // one line per reason, not per attempt
  last_reported_ = text;
  spdlog::warn("cannot reach node={} why={}", options_.node.value, Quoted(text));
}

}  // namespace omfs
