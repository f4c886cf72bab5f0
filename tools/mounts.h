// mosctl abort, mount, mounts: single nodes' mounts, by way of the file .mounts of the mounted /mfs (omfs-fuse/root_fs.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace omfs {

struct NodeMountState {
  uint32_t node = 0;
  std::string owner;  // connected, unreachable, aborted
  bool hard = false;
  bool mounted = false;
};

// node: number or name. Errors: no such node, /mfs is not mounted, not root; each names what was wrong.
absl::Status AbortNode(const std::string& config_path, const std::string& node);
absl::Status MountNode(const std::string& config_path, const std::string& node, std::optional<bool> hard);
absl::StatusOr<std::vector<NodeMountState>> ListMounts(const std::string& config_path);

}  // namespace omfs
