// WaitingRequests: the requests of one connection that are being served, and who may stop waiting for his.
//
// A caller waits for its answer uninterruptibly (caller_watch.h), and what its request waits for may take as long as a lease, or
// for ever: an owner that was stopped or cut off, another client's lock. Whoever serves the request cannot be made to let go of
// all that at any moment, and need not: the *kernel* is answered early, by another thread, and the serving thread goes on to
// its natural end, whose answer is dropped then. Who is answered early:
//
//   about to die        EINTR. Looked for when FUSE_INTERRUPT comes and now and again from then on.
//   exiting             FLUSH, which is then a matter of locks only, succeeds: nobody can be told otherwise, and no signal ends
//                       the wait. The locks are given up when the owner can be reached.
//   waits for a lock    EINTR after any signal, as natively. The owner is asked to end the waiting (CANCEL); only if it does not
//                       answer the kernel is answered without it.
//   statfs, and what    of a connection's root directory: what was known last, or a placeholder. df, ls -l /mfs and the like
//   stat and ls ask     thus pass by a node that does not answer.
//
// A request that was given up like this is an *orphan*. It may have been executed at the owner, or be under way to it, or never
// be sent, like any operation that is cut off. Three things keep orphans from doing harm:
//
//   - Order. As long as an orphan that changes something is under way, later requests of this connection for the same objects
//     (the node numbers in the request) wait for its end. So nothing is applied behind the back of a newer operation. Waiting
//     costs nothing that would not be waited for anyway: orphans are made while the owner does not answer. They end with the
//     owner's answer, or with the session, whose end the owner knows before it lets a new one begin. A request waits only for
//     orphans that are older than itself, so that there are no circles. Other clients see an orphan's effect when it happens.
//     A name's attributes as LOOKUP tells them are ordered with the directory only.
//   - Withdrawal. What has not been sent when its caller goes is not sent any more (omfs/client/withdrawal.h).
//   - Lifetime. The kernel may forget an object and close a file as soon as it has its answer. An orphan's objects are pinned
//     (FileSystem::Pin), and RELEASE waits for orphans of any kind.
//
// What the kernel caches of an orphan's objects is dropped when it has ended (FileSystem::Orphaned), and what its answer would
// have given away - a lookup, an open - is taken back by the serving thread, which learns that its answer was not wanted.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs-fuse/file_system.h"
#include "omfs/client/call.h"
#include "omfs/client/withdrawal.h"

namespace omfs {

// Thread-safe.
class WaitingRequests {
 public:
  // device: of the connection; it and fs must outlive this.
  WaitingRequests(int device, FileSystem* fs);
  ~WaitingRequests();

  // If the request is FUSE_INTERRUPT, deals with it. False: it is another one.
  bool Interrupt(std::span<const std::byte> request);

  // A request that this thread serves, from when it was read until it has been answered. Waits for orphans.
  class Scope {
   public:
    Scope(WaitingRequests* all, std::span<const std::byte> request);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    // False: it has been answered already, and nothing is to be done.
    bool to_be_served() const;

   private:
    friend class WaitingRequests;
    WaitingRequests* const all_;
    bool registered_ = false;
    std::optional<WithdrawalScope> withdrawal_;
  };

  // Before the thread's request is answered: whether the answer is wanted. True at most once for a request that
  // is watched; always for others.
  static bool BeginAnswer();
  // While the thread's request waits, a signal to its caller cancels the token; null: no more. Returns
  // when no cancelling is under way.
  static void SetCancel(std::shared_ptr<CancelToken> token);

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    uint64_t number = 0;  // in the order of arrival
    uint64_t unique = 0;  // the kernel's
    uint32_t opcode = 0;
    pid_t caller = 0;
    std::array<fuse_ino_t, 2> nodes{};
    bool changes = false;
    bool quick = false;  // answered from what is known rather than late
    Clock::time_point since;
    std::shared_ptr<CancelToken> cancel;
    bool lock_wait = false;  // ends with EINTR after any signal
    bool interrupted = false;
    Clock::time_point interrupted_at;
    bool answered = false;
    std::vector<std::byte> fallback_request;  // quick: enough of it to make the answer
    std::atomic<bool> orphaned{false};
  };

  static bool Touch(const Waiting& a, const Waiting& b);
  bool WaitsFor(const Waiting& later) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether the watch has to look at it.
  static bool Concerns(const Waiting& w);
  void Watch();
  // One look at all that concern the watch. lock: let go meanwhile.
  void Look(std::unique_lock<std::mutex>& lock);
  void Orphan(Waiting* w, std::span<const std::byte> answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OrphanWithError(Waiting* w, int error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An orphan of the same kind has found that the owner does not answer.
  bool KnownToBeSilent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Send(std::span<const std::byte> answer) const;

  static thread_local Waiting* current_;
  static thread_local WaitingRequests* current_in_;

  const int device_;
  FileSystem* const fs_;
  mutable std::mutex mu_;
  std::condition_variable orphan_ended_;
  std::condition_variable watch_;
  std::list<Waiting> waiting_ ABSL_GUARDED_BY(mu_);  // in the order of arrival
  size_t orphans_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t arrivals_ ABSL_GUARDED_BY(mu_) = 0;
  bool asleep_ ABSL_GUARDED_BY(mu_) = false;    // the watch must be woken
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace omfs
