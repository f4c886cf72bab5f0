// The directories that a node mounts over, and /run/omfs-box itself, on the host.
//
// A mount point has to exist in the host's tree, which the nodes share. Missing ones are made when the first box comes up
// and removed when the last one goes, if they are still empty. Which were made is written down in /run/omfs-box; whoever
// changes any of this holds a lock on that directory.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace omfs::box {

// Where a node finds its own directories: name within DIR/node<K>, mount point.
struct MountPoint {
  const char* source;
  const char* target;
};
inline constexpr MountPoint kMountPoints[] = {{"etc", "/etc/omfs"},
                                              {"state", "/var/lib/omfs"},
                                              {"run", "/run/omfs"},
                                              {"mnt", "/mfs"}};

// Makes /run/omfs-box/NAME and the mount points. kAlreadyExists when the box is up or was not taken down.
absl::Status ReserveBox(const std::string& name);
// Removes /run/omfs-box/NAME and, after the last box, all that ReserveBox made.
absl::Status ReleaseBox(const std::string& name);

}  // namespace omfs::box
