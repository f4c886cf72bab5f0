// Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) of time stamps, in nanoseconds since 1970.
//
// Every message carries the highest time stamp that its sender has given, shown or heard of (hdr.hlc). Whoever receives it
// gives no stamp below that any more: so stamps respect happens-before between owners whose clocks disagree, and make(1)
// works over several nodes. Only stamps count, not the clocks themselves: between nodes whose clocks agree there is then
// hardly ever anything to correct, and the kernel's own stamps stand (stamps.h).
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace omfs {

// Thread-safe.
class HybridClock {
 public:
  // A clock that is wrong by more than this is somebody's mistake, which must not become everybody's.
  static constexpr uint64_t kMostAhead = 24ULL * 3600 * 1'000'000'000;

  // offset: added to the system's clock, for tests of clocks that disagree.
  explicit HybridClock(int64_t offset_ns = 0) : offset_(offset_ns) {}

  // What the kernel would stamp with now (its clock moves in ticks), by this node's clock.
  uint64_t Physical() const {
    timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(t.tv_nsec) + offset_;
  }
  // The highest stamp given, shown or heard of.
  uint64_t Seen() const { return last_.load(std::memory_order_relaxed); }
  // Whether stamps of the kernel's would be too low - or, with an offset, simply others.
  bool Ahead() const { return offset_ != 0 || Seen() > Physical(); }
  // Whether the kernel stamps by another clock.
  bool offset() const { return offset_ != 0; }
  // Takes in a reading of another node's. False: it is too far ahead to be believed, and not taken.
  bool Merge(uint64_t reading) {
    if (reading <= Seen()) return true;
    if (reading > Physical() + kMostAhead) return false;
    Raise(reading);
    return true;
  }
  // A stamp that a file has. What lies in the future was set by somebody, for reasons of his own.
  void Shown(uint64_t stamp) {
    if (stamp > Seen() && stamp <= Physical()) Raise(stamp);
  }
  // A stamp above all of those, and not below the physical time.
  uint64_t Next() {
    const uint64_t physical = Physical();
    uint64_t last = Seen();
    uint64_t next;
    do {
      next = std::max(last + 1, physical);
    } while (!last_.compare_exchange_weak(last, next));
    return next;
  }

 private:
  void Raise(uint64_t to) {
    uint64_t last = Seen();
    while (to > last && !last_.compare_exchange_weak(last, to)) {
    }
  }

  const uint64_t offset_;  // two's complement
  std::atomic<uint64_t> last_{0};
};

}  // namespace omfs
