#include "migration/descriptor_room.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace omfs::migration {
namespace {

// prlimit64 made by the process for itself; `set` may be null. The limits before are returned.
absl::StatusOr<rlimit> OwnLimit(RemoteCalls& calls, RemotePtr scratch, const rlimit* set) {
  std::array<rlimit, 2> words{};
  static_assert(sizeof words == 32);
  std::array<rlimit, 2> saved;
  OMFS_RETURN_IF_ERROR(calls.task().Read(scratch, std::as_writable_bytes(std::span(saved))));
  if (set != nullptr) words[0] = *set;
  OMFS_RETURN_IF_ERROR(calls.task().Write(scratch, std::as_bytes(std::span(words))));
  const auto made = calls.Do("prlimit", SYS_prlimit64,
                             {0, RLIMIT_NOFILE, set != nullptr ? scratch.value : 0, scratch.value + sizeof(rlimit)});
  const absl::Status read = calls.task().Read(scratch, std::as_writable_bytes(std::span(words)));
  OMFS_RETURN_IF_ERROR(calls.task().Write(scratch, std::as_bytes(std::span(saved))));
  OMFS_RETURN_IF_ERROR(made.status());
  OMFS_RETURN_IF_ERROR(read);
  return words[1];
}

}  // namespace

absl::StatusOr<DescriptorRoom> DescriptorRoom::Make(RemoteCalls& calls, RemotePtr scratch, int highest) {
  OMFS_ASSIGN_OR_RETURN(const rlimit original, OwnLimit(calls, scratch, nullptr));
  const rlim_t used = std::max<rlim_t>(original.rlim_cur, static_cast<rlim_t>(highest + 1));
  const rlim_t wanted = used >= kEnough ? kEnough : std::min(used + kNeeded, kEnough);
  if (original.rlim_cur >= wanted) return DescriptorRoom(scratch, original, false);
  rlimit raised{wanted, std::max(original.rlim_max, wanted)};
  if (raised.rlim_max > original.rlim_max && prlimit(calls.task().pid(), RLIMIT_NOFILE, &raised, nullptr) != 0) {
    return FailedPrecondition(
        "its hard limit of {} open files leaves no room for a move (omfsd would need CAP_SYS_RESOURCE to raise it)",
        original.rlim_max);
  }
  OMFS_RETURN_IF_ERROR(OwnLimit(calls, scratch, &raised).status());
  return DescriptorRoom(scratch, original, true);
}

absl::Status DescriptorRoom::GiveBack(RemoteCalls& calls) {
  if (!raised_) return absl::OkStatus();
  raised_ = false;
  return OwnLimit(calls, scratch_, &original_).status();
}

}  // namespace omfs::migration
