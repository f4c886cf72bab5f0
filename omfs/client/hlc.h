// The hybrid logical clock as a client keeps it: every message carries the sender's reading, so
// that an owner's time stamps are never below what the client has causally seen from another owner.
// One clock per process: that is what carries causality from one owner to the next. Readings are
// nanoseconds since 1970 with a counter in the low 16 bits (hdr.hlc in proto/omfs_wire.h).
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace omfs {

class ClientClock {
 public:
  static ClientClock& Get() {
    static ClientClock clock;
    return clock;
  }

  // A reading above every earlier one and every one observed.
  uint64_t Now() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t wall = (t.tv_sec * 1'000'000'000ull + t.tv_nsec) & ~0xffffull;
    uint64_t last = last_.load(std::memory_order_relaxed);
    uint64_t next;
    do {
      next = std::max(wall, last + 1);
    } while (!last_.compare_exchange_weak(last, next, std::memory_order_relaxed));
    return next;
  }

  void Observe(uint64_t reading) {
    uint64_t last = last_.load(std::memory_order_relaxed);
    while (last < reading &&
           !last_.compare_exchange_weak(last, reading, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<uint64_t> last_{0};
};

}  // namespace omfs
