#include "migration/deputy_blob.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "migration/interruption.h"

extern "C" {
extern const char omfs_deputy_blob_begin[], omfs_deputy_blob_end[];
extern const char omfs_deputy_blob_load[], omfs_deputy_blob_call[], omfs_deputy_blob_called[];
}

namespace omfs::migration {
namespace {

uint64_t Offset(const char* label) { return label - omfs_deputy_blob_begin; }

void Wake(uint32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

}  // namespace

absl::StatusOr<DeputyBlob> DeputyBlob::Install(RemoteCalls& calls, uint64_t base) {
  // The name for memfd_create is borrowed from the task's own memory: any readable string serves; an empty one, the
  // terminating byte of the vDSO's ELF identification padding, is always there.
  OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(calls.task().pid()));
  RemotePtr empty;
  for (const Mapping& m : maps) {
    if (m.path == "[vdso]") empty = RemotePtr(m.start + 9);  // e_ident[EI_PAD]
  }
  if (empty.null()) return FailedPrecondition("process {} has no vDSO", calls.task().pid());
  OMFS_ASSIGN_OR_RETURN(const uint64_t fd,
                        calls.Do("memfd_create", SYS_memfd_create, {empty.value, MFD_CLOEXEC}));
  ScopedFd ours(static_cast<int>(syscall(SYS_pidfd_getfd, calls.task().pidfd(), static_cast<int>(fd), 0)));
  absl::Status status = absl::OkStatus();
  std::byte* map = nullptr;
  if (!ours) {
    status = ErrnoStatus(errno, "pidfd_getfd");
  } else if (ftruncate(ours.get(), kSize) != 0) {
    status = ErrnoStatus(errno, "ftruncate");
  } else if (pwrite(ours.get(), omfs_deputy_blob_begin, omfs_deputy_blob_end - omfs_deputy_blob_begin, 0) < 0) {
    status = ErrnoStatus(errno, "writing the blob");
  } else {
    void* p = mmap(nullptr, kSize - kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, ours.get(), kPageSize);
    if (p == MAP_FAILED) {
      status = ErrnoStatus(errno, "mmap");
    } else {
      map = static_cast<std::byte*>(p);
    }
  }
  if (status.ok()) {
    const uint64_t flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    auto code = calls.Do("mmap", SYS_mmap, {base, kPageSize, PROT_READ | PROT_EXEC, flags, fd, 0});
    auto data = code.ok() ? calls.Do("mmap", SYS_mmap, {base + kPageSize, kSize - kPageSize,
                                                        PROT_READ | PROT_WRITE, flags, fd, kPageSize})
                          : code;
    status = data.status();
    if (code.ok() && !data.ok()) (void)calls.Raw(SYS_munmap, {base, kPageSize});
  }
  (void)calls.Raw(SYS_close, {fd});
  if (!status.ok()) {
    if (map != nullptr) munmap(map, kSize - kPageSize);
    return status;
  }
  return DeputyBlob(base, map);
}

DeputyBlob::DeputyBlob(DeputyBlob&& other) noexcept
    : base_(other.base_), map_(std::exchange(other.map_, nullptr)) {}

DeputyBlob::~DeputyBlob() {
  if (map_ != nullptr) munmap(map_, kSize - kPageSize);
}

RemotePtr DeputyBlob::syscall_site() const { return RemotePtr(base_ + Offset(omfs_deputy_blob_call)); }

user_regs_struct DeputyBlob::EntryRegisters(user_regs_struct regs) const {
  regs.rip = base_;
  regs.r15 = base_ + kPageSize;
  regs.orig_rax = static_cast<uint64_t>(-1);
  regs.eflags &= ~0x100UL;  // trap flag
  return regs;
}

void DeputyBlob::Post(uint64_t nr, const uint64_t (&args)[6]) {
  CallSlot* s = slot();
  s->nr = nr;
  memcpy(s->args, args, sizeof s->args);
  __atomic_store_n(&s->state, CallSlot::kRequest, __ATOMIC_RELEASE);
  Wake(&s->state);
}

std::optional<int64_t> DeputyBlob::WaitOrMarkSlow(int64_t timeout_us) {
  CallSlot* s = slot();
  timespec start{};
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (;;) {
    if (__atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == CallSlot::kDone) return s->result;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t left = timeout_us - ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000);
    if (left <= 0) break;
    const timespec wait{left / 1000000, left % 1000000 * 1000};
    syscall(SYS_futex, &s->state, FUTEX_WAIT, CallSlot::kRequest, &wait, nullptr, 0);
  }
  uint32_t expected = CallSlot::kRequest;
  if (__atomic_compare_exchange_n(&s->state, &expected, CallSlot::kSlow, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    return std::nullopt;
  }
  return s->result;
}

int64_t DeputyBlob::TakeSlowResult() { return slot()->result; }

absl::StatusOr<bool> DeputyBlob::CancelCall(TracedTask& task) {
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
  const uint64_t at = regs.rip - base_;
  const uint64_t call = Offset(omfs_deputy_blob_call), called = Offset(omfs_deputy_blob_called);
  const uint64_t load = Offset(omfs_deputy_blob_load);
  const CallSlot& request = *slot();
  SyscallArgs args;
  std::copy(std::begin(request.args), std::end(request.args), args.begin());
  int64_t result = EndOfUnbegunCall(request.nr, args);
  if (at == called && static_cast<int64_t>(regs.orig_rax) >= 0) {
    const auto rax = static_cast<int64_t>(regs.rax);
    if (rax != kRestartSys && rax != kRestartNoIntr && rax != kRestartNoHand && rax != kRestartBlock) {
      return false;  // completed: it will post its result
    }
    // A restart block is this task's. Only a sleep can be continued from it (by restart_syscall): others would write to addresses
    // in here, and start over instead if there is no handler.
    const bool sleep = regs.orig_rax == SYS_nanosleep || regs.orig_rax == SYS_clock_nanosleep ||
                       regs.orig_rax == SYS_restart_syscall;
    result = rax == kRestartBlock && !sleep ? kRestartNoHand : rax;
  } else if (at < load || at > call) {
    // Waiting for work. With a request posted but not yet seen, the request has not begun.
    const uint32_t state = __atomic_load_n(&slot()->state, __ATOMIC_ACQUIRE);
    if (at >= load || (state != CallSlot::kRequest && state != CallSlot::kSlow)) return false;
  }
  regs.rip = base_ + called;
  regs.rax = static_cast<uint64_t>(result);
  regs.orig_rax = static_cast<uint64_t>(-1);
  OMFS_RETURN_IF_ERROR(task.SetRegs(regs));
  return true;
}

absl::Status DeputyBlob::Remove(RemoteCalls& calls) {
  return calls.Do("munmap", SYS_munmap, {base_, kSize}).status();
}

}  // namespace omfs::migration
