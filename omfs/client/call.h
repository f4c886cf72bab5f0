// One request and its reply, on the way through a Link.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "omfs/base/errno_or.h"
#include "omfs/client/parker.h"
#include "omfs/wire/meta.h"

namespace omfs {

// How a call ended.
enum class Outcome {
  kReplied,       // status, reply_meta and reply_size hold the owner's answer
  kHostDown,      // not sent: the owner cannot be reached
  kStaleSession,  // not executed: it names an open of an earlier generation; build it again
  kLost,          // sent, then the session was lost: it may or may not have been executed
  kExpired,  // sent, then the owner was not reached again within the lease; may have been executed
  kWithdrawn,  // not sent: whoever wanted it has gone (WithdrawalScope)
};

// Filled by the caller, given to Link::Execute, read by the caller afterwards. Not copyable: the
// link keeps its address while it is under way.
struct Call {
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Makes it a new call, keeping what memory it has. Not while it is under way.
  void Reset();

  // The request.
  uint16_t op = 0;
  bool keep_reply = false;  // OMFS_F_CACHE
  bool uses_open = false;   // names an open: valid in one generation only
  bool repeatable = false;  // executing it twice does no harm (NodeClient)
  bool same_again = false;  // ... within one session, with nothing of others between (link.cc)
  bool long_wait =
      false;  // may wait for other clients (locks): takes the reader role only as the last
  bool patient =
      false;  // while the connection is down, wait for it as long as the lease, not just briefly
  uint32_t caps = 0;  // wanted: OMFS_CAPS(object, directory)
  MetaWriter meta;
  std::span<const std::byte> payload;  // sent from where it is
  std::span<std::byte> into;           // the reply's payload goes here; no larger one is accepted

  // The reply.
  Errno status;
  std::vector<std::byte> reply_meta;
  size_t reply_size = 0;    // bytes of payload in `into`
  uint32_t reply_caps = 0;  // held: OMFS_CAPS(object, directory)
  uint64_t cap_seq = 0;
  uint64_t generation = 0;  // in which an open that the reply names is valid; 0: in none any more

 private:
  friend class Link;

  std::atomic<int64_t> sent_at_{0};  // steady clock, ns; set before the request goes out

  // Guarded by Link::mu_.
  uint16_t slot_ = 0;
  uint32_t sequence_ = 0;
  bool detached_ = false;    // nobody waits; the link owns it
  bool waiting_ = false;     // sent; its thread can take the reader role
  bool until_lost_ = false;  // its thread waits no longer than the connection lasts
  bool done_ = false;
  bool promoted_ = false;   // the reader role was given to this call's thread
  bool replaying_ = false;  // the link's thread is sending it again
  bool cancelled_ = false;
  bool crossed_epoch_ = false;  // sent again to a restarted owner
  Outcome outcome_ = Outcome::kReplied;
  Parker parker_;
};

inline void Call::Reset() {
  op = 0;
  keep_reply = uses_open = repeatable = same_again = long_wait = patient = false;
  caps = 0;
  reply_caps = 0;
  cap_seq = 0;
  meta.clear();
  payload = {};
  into = {};
  status = Errno();
  reply_meta.clear();
  reply_size = 0;
  generation = 0;
  detached_ = waiting_ = until_lost_ = done_ = promoted_ = replaying_ = cancelled_ = false;
  crossed_epoch_ = false;
  outcome_ = Outcome::kReplied;
}

// Lets another thread interrupt a waiting call (OMFS_OP_CANCEL): the owner ends the wait with
// EINTR. A call that is not waiting for anybody simply completes. Thread-safe; must outlive the
// call and every Cancel.
class CancelToken {
 public:
  void Cancel() {
    std::lock_guard lock(mu_);
    cancelled_ = true;
    if (send_) send_();
  }
  bool cancelled() const {
    std::lock_guard lock(mu_);
    return cancelled_;
  }

 private:
  friend class Link;
  void Bind(std::function<void()> send) {
    std::lock_guard lock(mu_);
    send_ = std::move(send);
    if (cancelled_ && send_) send_();
  }

  mutable std::mutex mu_;
  bool cancelled_ = false;
  std::function<void()> send_;
};

}  // namespace omfs
