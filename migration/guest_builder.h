// GuestBuilder: makes a guest out of an image.
//
// The guest is born as a fork of the keeper in the guest's namespaces with the home's pid, takes on ids, limits,
// descriptors and root by itself, and then stops. From there on the keeper works from outside with remote system calls:
// throws away the inherited memory, maps the image's mappings, and finally sets signal state, filter and registers. The
// guest's first own instruction is the one at which the process was stopped at home.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "migration/guest_stub.h"
#include "migration/guest_world.h"
#include "migration/link.h"
#include "migration/remote_calls.h"

namespace omfs::migration {

class GuestBuilder {
 public:
  GuestBuilder(const Config& config, const Image& image) : config_(config), image_(image) {}

  // Makes the child and its empty mappings; afterwards file and memory frames may be applied.
  absl::Status Begin();
  absl::Status Apply(const Frame& frame);
  // Completes it; the guest is then stopped in front of its first instruction.
  absl::Status Finish();

  // What stands in the guest's table for a descriptor of the home process: neither readable nor writable nor seekable, so
  // that a call that does not pass the keeper fails with EBADF or ESPIPE. (An O_PATH descriptor would be the obvious thing,
  // but cannot be handed to another process.)
  int placeholder() const { return placeholder_.get(); }
  bool started() const { return task_.has_value(); }
  TracedTask& task() { return *task_; }
  ScopedFd TakeListener() { return std::move(listener_); }
  uint64_t stub() const { return stub_; }
  RemotePtr site() const { return RemotePtr(stub_); }
  RemotePtr scratch() const { return RemotePtr(stub_ + GuestStub::kCodeSize); }
  // Names of the guest's mapped files; its /proc/PID/maps shows "/memfd:omfs-file-<index> (deleted)".
  static constexpr char kFilePrefix[] = "omfs-file-";
  static std::string FileName(size_t index);

 private:
  struct ChildPlan;
  absl::Status MakeFiles();
  absl::Status Fork();
  absl::Status ClearMemory(RemoteCalls& calls);
  absl::Status PlaceVdso(RemoteCalls& calls);
  absl::Status MapMemory(RemoteCalls& calls);
  absl::Status InstallFilter(RemoteCalls& calls);
  absl::Status RestoreFileLimit(RemoteCalls& calls);
  absl::Status RestoreSignals(RemoteCalls& calls);
  absl::Status RestoreLayout(RemoteCalls& calls);

  const Config& config_;
  const Image& image_;
  std::optional<GuestWorld> world_;
  std::vector<ScopedFd> files_;  // memfds with the content of image_.files, same numbers in the child
  std::optional<TracedTask> task_;
  ScopedFd listener_;
  ScopedFd placeholder_;
  uint64_t stub_ = 0;
};

}  // namespace omfs::migration
