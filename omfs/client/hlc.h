// The hybrid logical clock of time stamps (omfs/server/hlc.h) as a client keeps it: the highest reading that any owner's
// message had goes into every request, so that no owner stamps below what this client has seen of another. One per
// process: that is what carries causality from one owner to the next. A client stamps nothing, so its own clock does not
// come into it.
#pragma once

#include <atomic>
#include <cstdint>

namespace omfs {

// Thread-safe.
class ClientClock {
 public:
  static ClientClock& Get() {
    static ClientClock clock;
    return clock;
  }

  uint64_t Reading() const { return last_.load(std::memory_order_relaxed); }

  void Observe(uint64_t reading) {
    uint64_t last = last_.load(std::memory_order_relaxed);
    while (last < reading && !last_.compare_exchange_weak(last, reading, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<uint64_t> last_{0};
};

}  // namespace omfs
