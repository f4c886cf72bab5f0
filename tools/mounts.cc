#include "tools/mounts.h"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"
#include "tools/tool.h"

namespace omfs {
namespace {

absl::StatusOr<ScopedFd> OpenMounts(const Config& config, int flags) {
  const std::string path = config.mount_point + "/.mounts";
  ScopedFd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd) return fd;
  if (errno == ENOENT || errno == ENOTCONN) return Unavailable("{} is not mounted by omfs-fuse", config.mount_point);
  return ErrnoStatus(errno, path);
}

absl::Status Order(const std::string& config_path, const std::string& verb, const std::string& node,
                   const std::string& how) {
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadToolConfig(config_path));
  const NodeEntry* entry = config.FindByName(node);
  if (entry == nullptr) return InvalidArgument("{}: no such node", node);
  OMFS_ASSIGN_OR_RETURN(const ScopedFd fd, OpenMounts(config, O_WRONLY));
  const std::string line = fmt::format("{} {}{}\n", verb, entry->id.value, how);
  if (write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    return ErrnoStatus(errno, fmt::format("{} node {}", verb, node));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AbortNode(const std::string& config_path, const std::string& node) {
  return Order(config_path, "abort", node, "");
}

absl::Status MountNode(const std::string& config_path, const std::string& node, std::optional<bool> hard) {
  return Order(config_path, "mount", node, !hard ? "" : *hard ? " hard" : " soft");
}

absl::StatusOr<std::vector<NodeMountState>> ListMounts(const std::string& config_path) {
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadToolConfig(config_path));
  OMFS_ASSIGN_OR_RETURN(const ScopedFd fd, OpenMounts(config, O_RDONLY));
  std::string text;
  char chunk[4096];
  ssize_t n;
  while ((n = read(fd.get(), chunk, sizeof chunk)) > 0) text.append(chunk, n);
  if (n < 0) return ErrnoStatus(errno, config.mount_point + "/.mounts");
  std::vector<NodeMountState> mounts;
  std::istringstream lines(text);
  std::string how, there;
  for (NodeMountState m; lines >> m.node >> m.owner >> how >> there;) {
    m.hard = how == "hard";
    m.mounted = there == "mounted";
    mounts.push_back(m);
  }
  return mounts;
}

}  // namespace omfs
