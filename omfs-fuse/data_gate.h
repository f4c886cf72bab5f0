// DataGate: reads that fill the kernel's pages of one file, and recalls that empty them.
//
// A page the kernel waits for is locked until its read is answered, and emptying the pages waits
// for locked ones. So a read must not wait for the recall to end; but a page that is filled behind
// the emptying's back, with what the owner had before the change, must not stay. Therefore: while
// pages are being emptied, new reads wait a moment - most of them are not in the way, and get fresh
// data afterwards under a new cap - and are let through if that takes too long, for they may be
// what the emptying waits for. If any were, the pages are emptied once more after they have ended.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace omfs {

// Thread-safe.
class DataGate {
 public:
  // Around a read, from before the owner is asked until after the kernel has its answer.
  class ReadScope {
   public:
    explicit ReadScope(DataGate* gate) : gate_(gate) { gate_->Enter(); }
    ~ReadScope() { gate_->Leave(); }
    ReadScope(const ReadScope&) = delete;
    ReadScope& operator=(const ReadScope&) = delete;

   private:
    DataGate* const gate_;
  };

  // Calls empty(), again where needed. Afterwards no page holds what was read before the call.
  void Recall(const std::function<void()>& empty) {
    std::lock_guard one(recall_mu_);
    std::unique_lock lock(mu_);
    recalling_ = true;
    for (std::chrono::milliseconds patience{2};; patience = patience * 2) {
      patience_ = patience;
      const uint64_t entered = entered_;
      emptying_ = true;
      lock.unlock();
      empty();
      lock.lock();
      emptying_ = false;
      changed_.wait(lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return inside_ == 0; });
      if (entered_ == entered && !had_readers_) break;
      had_readers_ = false;
    }
    recalling_ = false;
    changed_.notify_all();
  }

 private:
  void Enter() {
    std::unique_lock lock(mu_);
    while (recalling_) {
      if (changed_.wait_for(lock, patience_) == std::cv_status::timeout && emptying_) break;
    }
    ++inside_;
    ++entered_;
  }
  void Leave() {
    std::lock_guard lock(mu_);
    --inside_;
    // What was under way when the recall began may be behind the emptying's back as well.
    if (recalling_) had_readers_ = true;
    if (inside_ == 0) changed_.notify_all();
  }

  std::mutex recall_mu_;  // one recall at a time; before mu_
  std::mutex mu_;
  std::condition_variable changed_;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t entered_ ABSL_GUARDED_BY(mu_) = 0;
  bool recalling_ ABSL_GUARDED_BY(mu_) = false;
  bool emptying_ ABSL_GUARDED_BY(mu_) = false;
  bool had_readers_ ABSL_GUARDED_BY(mu_) = false;
  std::chrono::milliseconds patience_ ABSL_GUARDED_BY(mu_){2};
};

}  // namespace omfs
