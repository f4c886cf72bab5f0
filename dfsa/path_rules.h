// Path rules: does a path of a migrated process name an object below /mfs that can be reached where the process is?
//
// Two steps. The text decides whether the path begins in the tree of a node (/mfs/<n>/..., or a magic name that stands for
// one). Then the walk itself is tried in that node's tree with openat2(RESOLVE_BENEATH): symbolic links that are absolute,
// `..` that climbs out, and other mounts make it fail with EXDEV, and the call is then the home's, whose own walk gives
// what it would give to any process there. Sending a call home is always right; only running it here needs proof.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"

namespace omfs::dfsa {

struct MfsPath {
  NodeId node;       // none: the path does not begin in a node's tree
  std::string rest;  // relative to the node's root; empty = the root itself
};

class PathRules {
 public:
  // mount_point: where /mfs is. home: the process's home node.
  PathRules(std::string mount_point, NodeId here, NodeId home)
      : mount_point_(std::move(mount_point)), here_(here), home_(home) {}

  // A node's tree can be reached here: root is any descriptor of its root directory.
  void AddNode(NodeId node, ScopedFd root) { roots_[node] = std::move(root); }

  // The textual step, for an absolute path.
  MfsPath Parse(std::string_view absolute) const;

  // Both steps. follow: a symbolic link as last component is followed.
  bool RunsHere(std::string_view absolute, bool follow) const;

 private:
  bool WalkStays(int root, const std::string& rest, bool follow) const;

  std::string mount_point_;
  NodeId here_, home_;
  std::map<NodeId, ScopedFd> roots_;
};

}  // namespace omfs::dfsa
