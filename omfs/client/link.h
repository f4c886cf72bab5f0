// Link: the session with one owner, and the connection that carries it at the moment.
//
// Slots. A call takes a free slot, gives its request the slot's next sequence number, and keeps the
// slot until the reply is there; replies come in any order. Slot 0 is left to HELLO.
//
// Reading: leader and followers. There is no reader thread: waking a sleeping thread costs more
// than the whole exchange. Of the threads that wait for replies one holds the *reader role* and
// reads the connection itself; a reply that is another's it stores in that one's Call (payload
// straight into the caller's buffer) and wakes it. When its own reply has come, it gives the role
// to one of those still waiting (calls that wait for locks come last), or drops it when there is
// none. Invariant: while the connection is up and a thread waits, somebody holds the role.
//
// Loss and resumption. Whoever meets an error on the connection declares it lost (`Lose`). Calls
// under way stay in their slots; the link's own thread connects again (100 ms to 2 s between
// attempts) and says HELLO for the same session. If the owner still has it, every call in a slot is
// sent again with OMFS_F_REPLAY and its old sequence number: the owner answers executed ones from
// its reply cache, so each is executed exactly once. If not, the calls under way end as kLost. When
// the lease passes without a connection they end as kExpired and the session is given up for good:
// their outcome is unknown, so the slots' numbers could not be agreed on any more.
//
// Opens do not survive a restart of the owner (it tells by another epoch) nor a new session. The
// *generation* counts these events: calls that name opens are built for a generation, and are
// turned back unsent when it is over (kStaleSession); whoever holds the open then opens the file
// again by its handle (remote_open.h).
//
// Calls are completed by the holder of the reader role, or by the link's thread when there is no
// connection and nobody holds the role; so a buffer is never written to after its call has ended.
//
// Patience. Softly mounted, a call ends at the latest when the lease has passed without a connection; a hard one waits as
// long as it takes, and its session is kept, so that a call that was sent is answered exactly once if the owner still has it.
// `Abort` ends both kinds at once. A call that has not been sent is turned back when its caller has gone (withdrawal.h).
//
// Liveness. When nothing was heard for a third of the lease, the link's thread sends PING: this
// renews the lease and lets the read timeout of the socket (two thirds of the lease) tell a silent
// owner from a quiet one.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/client/call.h"
#include "omfs/client/types.h"
#include "omfs/net/tls.h"
#include "omfs/wire/header.h"

namespace omfs {

struct LinkOptions {
  NodeId node;  // the owner
  std::string address;
  uint16_t port = 0;
  uint32_t slots = 64;  // wanted
  std::chrono::milliseconds connect_timeout{2000};
  // How long a new call waits for a connection that is being made or was lost just now.
  std::chrono::milliseconds patience{2000};
  // The connection is made with the first call, not at once.
  bool on_demand = false;
  // Calls may ask for caps: somebody listens for recalls (RecallChannel).
  bool caps = false;
  // Calls wait for the owner as long as it takes (set_hard).
  bool hard = false;
};

// What a further connection needs to belong to the session.
struct SessionKey {
  std::array<uint8_t, 16> client_id{};
  uint64_t boot = 0;
  uint64_t session = 0;  // 0: there is none now, or its owner grants no caps
  uint64_t generation = 0;
};

// Thread-safe.
class Link {
 public:
  Link(LinkOptions options, std::shared_ptr<TlsContext> tls);
  // Ends the session (BYE, if connected). No call may be under way.
  ~Link();

  NodeId node() const { return options_.node; }
  bool connected() const;

  // Opens made in another generation are gone. A call that names an open must be built after
  // reading it.
  uint64_t generation() const { return generation_number_.load(std::memory_order_acquire); }
  // Until when what was cached under caps may be used: the lease as this client knows it, counted from when the latest
  // answered request was sent, less a margin.
  std::chrono::steady_clock::time_point lease_end() const {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(lease_end_.load(std::memory_order_relaxed)));
  }
  // Whether the owner grants caps to this session.
  bool grants_caps() const { return grants_caps_.load(std::memory_order_relaxed); }
  SessionKey session_key() const;
  // The session's number at the owner; 0: there is none now.
  uint64_t session() const;
  // Called from the link's thread when the caps and opens of an earlier generation are void, before calls of the new one are
  // sent. Must not wait for calls. Null: nobody any more, when this returns.
  void SetGenerationListener(std::function<void()> listener);
  // The same for whoever makes opens again (Reclaimer).
  void SetReclaimListener(std::function<void()> listener);
  // The owner as of the last HELLO.
  struct Instance {
    uint64_t generation = 0;
    uint64_t epoch = 0;
    bool knows_reclaimed = false;
  };
  Instance owner() const;
  const LinkOptions& options() const { return options_; }
  const std::shared_ptr<TlsContext>& tls() const { return tls_; }
  // Something was heard from the owner in answer to what was sent at that time.
  void RenewLease(std::chrono::steady_clock::time_point sent_at);

  // Slots of the session; 0 before the first connection.
  size_t slots() const;
  // The export's root as of the last HELLO. Waits for a connection as a call does.
  ErrnoOr<Entry> Root();

  // Hard or soft, from now on; calls that wait already go by it as well.
  void set_hard(bool hard);
  bool hard() const { return hard_.load(std::memory_order_relaxed); }
  // Gives the session up: every call under way ends as kLost, those that wait and later ones as kHostDown, until the owner
  // has been reached again or Resurrect. Returns when they have been told. Does not wait for the owner.
  void Abort();
  void Resurrect();
  bool aborted() const;
  // There is no connection, and it is not the first one that is being made.
  bool unreachable() const;
  // Whether anything has come from the owner since then.
  bool HeardSince(std::chrono::steady_clock::time_point time) const;

  // Sends the call and waits for its end.
  Outcome Execute(Call* call, uint64_t generation, CancelToken* cancel = nullptr);
  // Sends the call and forgets it: nobody learns its result. Returns the call if no slot is to be
  // had for such calls now, or there is no connection; the caller then decides.
  std::unique_ptr<Call> ExecuteDetached(std::unique_ptr<Call> call, uint64_t generation);

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;
  enum class State {
    kConnecting,  // never connected yet, first attempt under way
    kUp,
    kLost,  // connection lost, session may live
    kDown,  // cannot be reached
    kClosed,
  };
  struct Slot {
    uint32_t sequence = 0;  // last used
    Call* call = nullptr;   // under way; owned if detached_
  };

  // link.cc: the way of a call.
  Outcome TakeSlot(Lock& lock, Call* call, uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AssignSlot(Call* call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Send(const std::shared_ptr<TlsStream>& stream, Call& call, uint64_t session,
            uint32_t extra_flags);
  void SendCancel(Call* call);
  // Until the call is done; with until_lost also when the connection is lost (then false).
  bool Await(Lock& lock, Call* call, bool until_lost) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Holding the reader role: reads until the reply of `own` is there or the connection fails.
  void ReadUntil(const std::shared_ptr<TlsStream>& stream, const Call* own);
  absl::Status ReadReply(const std::shared_ptr<TlsStream>& stream, const Call* own,
                         const Call** completed);
  // Gives the reader role away. Returns the parker address to wake, or nullptr.
  const void* HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends a call and frees its slot. Returns the parker address to wake, or nullptr.
  const void* Complete(Call* call, Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Lose(const std::shared_ptr<TlsStream>& stream, const absl::Status& why);

  // link_connect.cc: the link's own thread.
  void Run();
  // Sleeps until poked, the timeout, or the other end closes the connection.
  void Sleep(std::chrono::milliseconds timeout, const std::shared_ptr<TlsStream>& stream);
  void Poke();
  // A call needs the connection.
  void Want() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for a change of the connection or of the slots, for a moment at most: a caller may go meanwhile.
  void WaitAMoment(Lock& lock, std::condition_variable* changed, Clock::time_point deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Bounds every read and write on the socket from now on.
  static void SetTimeouts(int fd, std::chrono::milliseconds read, std::chrono::milliseconds write);
  void KeepAlive();
  // Sends a call without arguments for the link itself; false if the connection was lost meanwhile.
  bool SendOwn(uint16_t op);
  absl::Status TryConnect();
  // The calls under way of a session that is given up end, and there is none.
  void GiveUpSession(Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Resume(std::shared_ptr<TlsStream> stream, bool opens_kept);
  void StartSession(std::shared_ptr<TlsStream> stream, const omfs_hello_rep& rep);
  // Opens and caps of before are gone.
  void NewGeneration();
  // Ends all calls under way. Needs: no connection, nobody holds the reader role.
  void EndCalls(Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends calls under way when the lease is over.
  void CheckLease();
  void ReportUnreachable(const absl::Status& why);

  const LinkOptions options_;
  const std::shared_ptr<TlsContext> tls_;
  const std::array<uint8_t, 16> client_id_;

  mutable std::mutex mu_;  // never held while reading, writing or calling out
  std::condition_variable state_changed_;
  std::condition_variable slot_freed_;
  std::condition_variable role_dropped_;
  State state_ ABSL_GUARDED_BY(mu_) = State::kConnecting;
  std::shared_ptr<TlsStream> stream_ ABSL_GUARDED_BY(mu_);  // null unless kUp
  bool role_taken_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t session_ ABSL_GUARDED_BY(mu_) = 0;  // 0: none, or given up
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;    // of the owner, at the last HELLO
  bool knows_reclaimed_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t boot_ ABSL_GUARDED_BY(mu_);
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 1;
  std::atomic<uint64_t> generation_number_{1};  // the same, to be read without the mutex
  std::atomic<int64_t> lease_end_{0};           // steady clock, ns
  std::atomic<int64_t> lease_ns_{0};
  std::atomic<bool> grants_caps_{false};
  bool wanted_ ABSL_GUARDED_BY(mu_);  // on_demand: there was a call
  std::mutex listener_mu_;            // held while it is called; before mu_
  std::function<void()> generation_listener_ ABSL_GUARDED_BY(listener_mu_);
  std::function<void()> reclaim_listener_ ABSL_GUARDED_BY(listener_mu_);
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<uint16_t> free_ ABSL_GUARDED_BY(mu_);  // last in, first out: few slots stay in use
  size_t detached_ ABSL_GUARDED_BY(mu_) = 0;
  Entry root_ ABSL_GUARDED_BY(mu_);
  std::chrono::milliseconds lease_ ABSL_GUARDED_BY(mu_){12000};
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<bool> hard_{false};
  bool aborted_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t aborts_ ABSL_GUARDED_BY(mu_) = 0;  // a connection that was begun before one is not used
  Clock::time_point trouble_since_ ABSL_GUARDED_BY(mu_);
  Clock::time_point last_heard_ ABSL_GUARDED_BY(mu_);
  std::string last_reported_;  // why it could not be reached; the link's thread only
  ScopedFd event_;             // wakes the link's thread
  std::thread thread_;
};

}  // namespace omfs
