// MountControl: what an administrator may do to the mounts of single nodes, as the root file system's file ".mounts" offers it.
#pragma once

#include <optional>
#include <string>

#include "omfs/base/errno_or.h"
#include "omfs/base/ids.h"

namespace omfs {

// Thread-safe. ENOENT: there is no such node.
class MountControl {
 public:
  virtual ~MountControl() = default;
  // Every waiting and later call on the node's files fails at once, until the node has been reached again or Mount.
  virtual Errno Abort(NodeId node) = 0;
  // Takes an abort back, and mounts the node's directory again if it is not mounted any more. hard: from now on (Link);
  // nullopt: as it was. Other errors: of mount(2), which is logged.
  virtual Errno Mount(NodeId node, std::optional<bool> hard) = 0;
  // A line "NUMBER STATE hard|soft mounted|ended" for each node; STATE: connected, unreachable, aborted.
  virtual std::string Report() = 0;
};

}  // namespace omfs
