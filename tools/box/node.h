// Doing something inside a node of a box.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/box/box.h"

namespace omfs::box {

// Opens a node's init as a pidfd; kFailedPrecondition when it does not live.
absl::StatusOr<ScopedFd> OpenNode(const Box& box, int node);

// Moves the calling process into the node's namespaces, working directory "/". Of the pid namespace only children made
// afterwards are members.
absl::Status EnterNode(const ScopedFd& node_init);

// Puts the programs' directory in front of PATH.
void SetNodePath(const Box& box);

// Runs f in a fresh child that is a member of the node, with its own /proc; f's result is the child's exit status. It
// gets SIGKILL after limit_ms, or when the caller is told to end (a signal that would end it): kDeadlineExceeded, kCancelled.
absl::StatusOr<int> InNode(const Box& box, int node, int limit_ms, const std::function<int()>& f);

struct Output {
  int exit_status = 0;
  std::string out;     // stdout
  std::string errors;  // stderr
};
// Runs a program of the build in the node.
absl::StatusOr<Output> RunInNode(const Box& box, int node, const std::vector<std::string>& argv);

// omfs-box exec: runs a command in the node with this process's descriptors, and gives the exit status a shell would
// show. user: name or number, empty = root.
int ExecInNode(const Box& box, int node, const std::string& user, char** argv);

// While one lives, signals that ask this process to end only make InNode and Interrupted tell so.
class CatchEndSignals {
 public:
  CatchEndSignals();
  ~CatchEndSignals();
};
bool Interrupted();

}  // namespace omfs::box
