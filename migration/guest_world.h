// GuestWorld: the surroundings of a guest on the node where it runs.
//
// A guest must see nothing of this node but the files of /mfs: everything else belongs to its home. So it lives in
// namespaces of its own: mounts (a read-only root that holds only /mfs), pids (its home pid is free there), network
// (none), IPC, and, when the nodes' kernels differ, time (so that CLOCK_MONOTONIC goes on from the home's value).
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"
#include "omfs/base/scoped_fd.h"
#include "proto/migration.pb.h"

namespace omfs::migration {

class GuestWorld {
 public:
  // Makes the namespaces; the calling process stays in its own mount namespace and pid namespace, its children are born
  // into the new ones. Call once, single-threaded, after every connection to the outside has been made.
  static absl::StatusOr<GuestWorld> Make(const Config& config, const Image& image);
  GuestWorld(GuestWorld&& other) noexcept
      : root_(std::move(other.root_)), init_(std::exchange(other.init_, 0)) {}
  ~GuestWorld();

  // In the child that becomes the guest: enters its root. Returns an errno.
  int EnterRoot() const;

 private:
  GuestWorld() = default;
  std::string root_;  // where the guest's root is assembled, in this process's mount namespace
  pid_t init_ = 0;    // pid 1 of the guest's pid namespace
};

}  // namespace omfs::migration
