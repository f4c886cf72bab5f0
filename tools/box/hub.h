// The hub and the nodes' inits: the processes whose lives are the box's (see box.h).
#pragma once

#include "tools/box/box.h"

namespace omfs::box {

// Starts the hub and the inits, with network and mounts ready in every node, and fills in box->hub and box->inits
// (saved as they become known). The hub ends, and the box with it, when *keep is closed before KeepHub was called.
absl::Status StartHub(Box* box, const std::string& ip, ScopedFd* keep);
// Lets the hub live on after its starter.
absl::Status KeepHub(const ScopedFd& keep);

// Kills hub and inits and waits until every process of the box is gone.
absl::Status KillHub(const Box& box);

// Takes a node's link down or up; runs in the hub's network namespace.
absl::Status SetLink(const Box& box, const std::string& ip, int node, bool up);
// Whether it is up.
absl::StatusOr<bool> LinkIsUp(const Box& box, int node);

}  // namespace omfs::box
