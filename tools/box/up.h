// Bringing a box up and taking it down.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/box/box.h"

namespace omfs::box {

struct UpOptions {
  std::string name = "box";
  int nodes = 3;
  std::string dir;  // empty: /var/tmp/omfs-box-NAME
  std::string fs = "fuse";
  std::vector<std::string> skews;     // "K=SECONDS": the clock that node K stamps files by is so far ahead (or behind, if < 0)
  std::vector<std::string> settings;  // "KEY=VALUE", more lines of every node's omfs.conf
};

// Prints progress. After an error nothing of the box is left.
absl::Status Up(const UpOptions& options);

// Leaves no process, mount, namespace or file of the box, in whatever state it is. false: there was no such box.
absl::StatusOr<bool> Down(const std::string& name);

// omfs-box start: starts the daemons of a node that do not run, and waits until they serve.
absl::Status StartNodeDaemons(const Box& box, int node);

}  // namespace omfs::box
