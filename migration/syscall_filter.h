// The seccomp filter of a guest, made from the system-call table.
//
// Verdicts: Local calls (and those whose argument test holds) are allowed; everything else, known
// or not, is notified to the keeper. Calls of another architecture (int 0x80) and x32 calls are
// notified too: the notification carries arch and number, DecideNotified() recalls them.
//
// The order of tests is chosen for speed: architecture and number first, by binary search over
// ranges of equal verdict, so that the kernel can see that a Local number is always allowed and
// caches that in its bitmap (seccomp_is_const_allow: a load of anything but number and architecture
// before the verdict forbids it). Only what would be notified is then tested for the runtime's
// stub: calls made from there are allowed.
//
// Sources: Documentation/userspace-api/seccomp_filter.rst, kernel/seccomp.c.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "migration/syscall_table.h"

namespace omfs::migration {

struct FilterOptions {
  // Calls whose instruction pointer (that of the instruction after `syscall`) lies in [stub_begin,
  // stub_end) are allowed. Equal: no stub. Both ends lie in the same 4 GiB.
  uint64_t stub_begin = 0;
  uint64_t stub_end = 0;
};

// The program, ready for SECCOMP_SET_MODE_FILTER. Fails on a stub range that is reversed or crosses
// 4 GiB.
absl::StatusOr<std::vector<sock_filter>> BuildFilter(const FilterOptions& options);

// Decide() for a notification: also sees the architecture and the x32 bit.
Decision DecideNotified(const seccomp_data& data);

}  // namespace omfs::migration
