// A place where one thread sleeps until another wakes it. One futex word; cheaper than a mutex and
// a condition variable for a hand-over from thread to thread.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace omfs {

class Parker {
 public:
  // Returns once Post has been called since the last Park. Called by the owning thread only.
  void Park() {
    while (word_.exchange(0, std::memory_order_acquire) == 0) {
      syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

  // Marks the sleeper as woken; Wake(address()) must follow. In two halves, because the parker
  // lives in the sleeper's frame: Post is done under the lock that keeps the frame alive, Wake
  // after it, and Wake only names the address (at worst an unrelated futex sleeper there wakes once
  // too often, which futex users must expect).
  void Post() { word_.store(1, std::memory_order_release); }
  const void* address() const { return &word_; }
  static void Wake(const void* address) {
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  std::atomic<uint32_t> word_{0};
};

}  // namespace omfs
