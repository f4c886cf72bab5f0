// Withdrawal: a call whose caller has gone need not be made any more.
//
// What was sent to an owner cannot be taken back (it may be executed at any moment), but what still waits for the connection
// or for a slot can. Whoever makes calls in the name of somebody who may go - a process that was killed - sets a scope around
// them; Link looks at it before it sends anything, and turns the call back as Outcome::kWithdrawn (EINTR, nothing was done).
#pragma once

#include <atomic>
#include <utility>

namespace omfs {

// Concerns the calls of the thread that made it, until it ends; scopes nest. What must be sent whatever has become of the
// caller - closing, unlocking - is done in a scope without a flag.
class WithdrawalScope {
 public:
  // gone: becomes true when the caller has gone, from any thread; must outlive the scope. Null: nothing is withdrawn.
  explicit WithdrawalScope(const std::atomic<bool>* gone) : before_(std::exchange(current_, gone)) {}
  ~WithdrawalScope() { current_ = before_; }
  WithdrawalScope(const WithdrawalScope&) = delete;
  WithdrawalScope& operator=(const WithdrawalScope&) = delete;

  // Whether this thread's caller has gone.
  static bool Withdrawn() { return current_ != nullptr && current_->load(std::memory_order_acquire); }

 private:
  static inline thread_local const std::atomic<bool>* current_ = nullptr;
  const std::atomic<bool>* const before_;
};

}  // namespace omfs
