// What the magic names of /mfs need to know about processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "omfs/base/ids.h"

namespace omfs {

// A process, not to be confused with a later one of the same pid.
struct ProcessKey {
  pid_t pid = 0;            // of the process (thread group)
  uint64_t start_time = 0;  // clock ticks since boot
  friend auto operator<=>(const ProcessKey&, const ProcessKey&) = default;
};

struct ProcessInfo {
  ProcessKey key;
  pid_t parent = 0;
};

// The process a thread belongs to; nullopt when it is gone or cannot be seen.
std::optional<ProcessInfo> FindProcess(pid_t thread);

// Where processes are. The interface that migration plugs into.
class ProcessView {
 public:
  struct Nodes {
    NodeId here;       // runs now
    NodeId home;       // was created
    NodeId last_exec;  // called execve last
  };
  virtual ~ProcessView() = default;
  virtual Nodes Of(pid_t thread) = 0;
};

// Without migration every process is, was and stays on this node.
class LocalProcessView : public ProcessView {
 public:
  explicit LocalProcessView(NodeId self) : self_(self) {}
  Nodes Of(pid_t) override { return {self_, self_, self_}; }

 private:
  const NodeId self_;
};

// A node number that processes set for themselves and their descendants. Thread-safe.
class NodePerProcess {
 public:
  void Set(pid_t thread, NodeId node);
  void Clear(pid_t thread);
  // What the process or its nearest ancestor that has one set.
  std::optional<NodeId> Get(pid_t thread);

 private:
  void DropDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::mutex mu_;
  std::map<ProcessKey, NodeId> nodes_ ABSL_GUARDED_BY(mu_);
  size_t next_sweep_ ABSL_GUARDED_BY(mu_) = 256;
};

}  // namespace omfs
