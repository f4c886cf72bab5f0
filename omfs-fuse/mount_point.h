// A FUSE mount made with mount(2): the connection to the kernel and the place in the tree.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

// Whether a FUSE file system can be mounted on path; the message says what is wrong. What a dead
// predecessor left there ("Transport endpoint is not connected") is detached.
absl::Status PrepareMountPoint(const std::string& path);

// A new connection, not mounted yet.
absl::StatusOr<ScopedFd> OpenFuseDevice();

// Mounts the connection at path. source: shown as the device, e.g. "omfs:2". flags: MS_*. The
// connection must be served soon after: who touches the path waits for it.
absl::Status MountFuse(int device, const std::string& path, const std::string& source,
                       unsigned long flags);

// Whether a mount of this source is the topmost one on path, which is absolute and normal.
bool IsMounted(const std::string& path, const std::string& source);

// Unmounts path; when it is in use, aborts the connection and detaches the mount. Not mounted (any
// more) is success.
absl::Status UnmountFuse(const std::string& path);

}  // namespace omfs
