// The agents of a node: deputies of processes that live here, keepers of other nodes' guests. Starts them, finds them,
// and remembers for a few minutes what the ended ones said last, so that `mosctl why` can still tell.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/agent.h"
#include "cluster/processes.h"
#include "omfs/base/ids.h"
#include "proto/local.pb.h"

namespace omfs {

// Where a keeper waits for a guest, and what it wants to hear first.
struct Ticket {
  uint16_t port = 0;
  std::string token;
};

// Thread-safe.
class Agents {
 public:
  // config_path is handed to the agents.
  Agents(NodeId self, std::string config_path) : self_(self), config_path_(std::move(config_path)) {}

  // The deputy's agent of a process of this node; nullptr when it has none.
  std::shared_ptr<Agent> FindDeputy(pid_t pid);
  // Starts one. launch: the process is about to execve.
  absl::StatusOr<std::shared_ptr<Agent>> StartDeputy(pid_t pid, const ProcessFacts& facts, bool launch);
  // Starts a keeper for a process of another node and waits until it listens.
  absl::StatusOr<Ticket> StartKeeper(NodeId home, pid_t pid);

  // Processes with a living agent.
  std::vector<local::ProcessInfo> List();

  struct Known {
    bool ended;  // the agent: the process came home for good, or is gone
    local::ProcessInfo process;
    local::WhyReply why;
  };
  // What is known about a process by its home number; nullopt: it was never moved, or long ago.
  std::optional<Known> Find(pid_t pid);

  // Asks every agent to bring its process home, waits at most this long for them to end, and hangs up on the others.
  void Stop(std::chrono::milliseconds limit);

 private:
  struct Entry {
    std::shared_ptr<Agent> agent;
    local::ProcessInfo initial;  // until the agent says more
    uint64_t start_time = 0;     // of a deputy's process
    bool keeper = false;
  };
  static local::ProcessInfo InfoOf(const Entry& entry);
  void ForgetOldLocked();

  const NodeId self_;
  const std::string config_path_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::vector<Entry> entries_;
};

}  // namespace omfs
