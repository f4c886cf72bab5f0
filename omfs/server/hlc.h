// Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): physical time in
// nanoseconds since 1970 with its low 16 bits used as a logical counter. Every message carries the
// sender's reading; whoever receives it never reads less again, so that readings respect
// happens-before between nodes whose clocks disagree.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace omfs {

// Thread-safe.
class HybridClock {
 public:
  // Takes in the reading of a received message.
  void Merge(uint64_t remote) {
    uint64_t last = last_.load(std::memory_order_relaxed);
    while (remote > last && !last_.compare_exchange_weak(last, remote)) {
    }
  }
  // A reading above all readings given and merged so far.
  uint64_t Now() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t ns = static_cast<uint64_t>(t.tv_sec) * 1'000'000'000U + t.tv_nsec;
    const uint64_t physical = ns & ~uint64_t{0xffff};
    uint64_t last = last_.load(std::memory_order_relaxed);
    uint64_t next;
    do {
      next = std::max(last + 1, physical);
    } while (!last_.compare_exchange_weak(last, next));
    return next;
  }

 private:
  std::atomic<uint64_t> last_{0};
};

}  // namespace omfs
