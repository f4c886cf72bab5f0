// DeputyBlob: the piece of code and shared memory through which a home process whose memory has left still executes
// system calls (injected.S holds the code and its protocol).
//
// Layout in the process: one page of code (r-x), one page with the call slot, then the data area for what the calls'
// pointers point to. Slot and data are shared with the agent, so that placing arguments and fetching results needs no
// system call.
#pragma once

#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "migration/process_maps.h"
#include "migration/remote_calls.h"

namespace omfs::migration {

struct CallSlot {
  enum State : uint32_t { kIdle = 0, kRequest = 1, kDone = 2, kSlow = 3 };
  uint32_t state;
  uint32_t reserved;
  uint64_t nr;
  uint64_t args[6];
  int64_t result;
};
static_assert(offsetof(CallSlot, nr) == 8 && offsetof(CallSlot, result) == 64, "injected.S relies on it");

class DeputyBlob {
 public:
  static constexpr uint64_t kDataSize = 2 * 1024 * 1024 + 64 * 1024;
  static constexpr uint64_t kSize = 2 * kPageSize + kDataSize;

  // Maps it at `base` (free in the stopped task).
  static absl::StatusOr<DeputyBlob> Install(RemoteCalls& calls, uint64_t base);
  DeputyBlob(DeputyBlob&& other) noexcept;
  DeputyBlob& operator=(DeputyBlob&&) = delete;
  ~DeputyBlob();

  uint64_t base() const { return base_; }
  RemotePtr data_base() const { return RemotePtr(base_ + 2 * kPageSize); }
  std::span<std::byte> data() { return {map_ + kPageSize, kDataSize}; }
  // A `syscall` instruction within the blob.
  RemotePtr syscall_site() const;

  // Registers with which the task becomes the deputy, made from those it had.
  user_regs_struct EntryRegisters(user_regs_struct regs) const;

  // Hands a call to the running deputy.
  void Post(uint64_t nr, const uint64_t (&args)[6]);
  // Waits up to timeout_us for its end. nullopt: still running; from then on its end is a breakpoint stop.
  std::optional<int64_t> WaitOrMarkSlow(int64_t timeout_us);
  // The result, after the breakpoint stop of a slow call.
  int64_t TakeSlowResult();

  // The deputy is stopped: if it is inside a call that a signal interrupted (or that has not begun), makes the call end
  // with the kernel's restart code, which becomes its result. false: the call had completed, or there was none.
  absl::StatusOr<bool> CancelCall(TracedTask& task);

  // Unmaps it from the stopped task.
  absl::Status Remove(RemoteCalls& calls);

 private:
  DeputyBlob(uint64_t base, std::byte* map) : base_(base), map_(map) {}
  CallSlot* slot() { return reinterpret_cast<CallSlot*>(map_); }

  uint64_t base_;
  std::byte* map_;  // slot page and data, shared with the deputy
};

}  // namespace omfs::migration
