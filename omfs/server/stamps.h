// Time stamps of this owner's files (C3 of the contract): never below what the clock has seen (hlc.h), and per file never
// going back but by utimes(2).
//
// The kernel stamps what it changes with the system's clock. While that is not behind what has been seen, nothing is to be
// done; the stamp is looked at and goes into the clock. While it is behind, every change is stamped anew after the kernel
// has done so: mtime (and the atime of what is new) with utimensat(2). ctime cannot be set: what it should be is kept in the
// store, as a floor below which this file's ctime is not shown; the floor goes when the kernel's own stamp has passed it.
//
// Between the kernel's stamp and ours the file has times that were never its: nobody may see them. So a change holds the
// stamps of its objects from before the system call until they are right (Change), and who reads attributes holds them
// shared (Look). They are held in the same order by all (Change sorts), after the file's bytes (contents_lock.h), and for
// the system call alone.
//
// After a restart the clock must not fall behind the stamps that files have by now: while it is ahead, a bound above it is
// in the store.
//
// What native processes change is stamped by the kernel alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "absl/status/status.h"
#include "omfs/server/handle.h"
#include "omfs/server/hlc.h"
#include "omfs/store/store.h"

namespace omfs {

// Thread-safe.
class Stamps {
 public:
  // Times of an object that a change has set.
  enum What : uint32_t {
    kChange = 0x1,  // ctime
    kModify = 0x2,  // mtime (and ctime)
    kAccess = 0x4,  // atime
    kNew = kChange | kModify | kAccess,
  };

  Stamps(HybridClock* clock, Store* store) : clock_(clock), store_(store) {}
  // Before the first request.
  absl::Status Load();

  // A change of up to four objects.
  class Change {
   public:
    Change(Stamps* stamps, std::initializer_list<omfs_fh> objects);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

    // Whether Set does more than look; it then needs and leaves the daemon's identity.
    bool Corrects() const { return stamps_->clock_->Ahead() || stamps_->floors_.load(std::memory_order_relaxed) != 0; }
    // The kernel has stamped what the change made. fd: of the object, any kind; -1: none is at hand, then only ctime is
    // looked after. object: one of those of this change, or one that it has just made.
    void Set(const omfs_fh& object, int fd, uint32_t what);

   private:
    Stamps* const stamps_;
    std::array<size_t, 4> shards_{};  // sorted
    size_t count_ = 0;
  };

  // Held while the attributes of an object are read.
  class Look {
   public:
    Look(Stamps* stamps, const omfs_fh& object) : lock_(stamps->mutexes_[ShardOf(object)]) {}

   private:
    std::shared_lock<std::shared_mutex> lock_;
  };
  // Makes the kernel's attributes what is shown, under a Look.
  void Show(const omfs_fh& object, omfs_attr* attr);

 private:
  static constexpr size_t kShards = 1024;
  static size_t ShardOf(const omfs_fh& object) { return HandleHash()(object) / 7 % kShards; }
  void RaiseFloor(const omfs_fh& object, uint64_t stamp);
  void DropFloor(const omfs_fh& object);
  void KeepBound(uint64_t stamp);

  HybridClock* const clock_;
  Store* const store_;
  std::array<std::shared_mutex, kShards> mutexes_;
  std::atomic<uint64_t> floors_{0};  // how many the store has
  std::mutex bound_mutex_;
  std::atomic<uint64_t> bound_{0};  // written under bound_mutex_
};

}  // namespace omfs
