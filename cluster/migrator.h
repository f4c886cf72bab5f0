// Moving processes: what omfsd does between a user's request and the agents' work.
//
// A move is: look the process up and check that the caller may move it; ask the destination for a ticket (a keeper that
// waits for the image) - so that a node that cannot be reached costs the process nothing; start the deputy's agent if the
// process has none; tell it where to go; wait for its answer. A process that is away on another node comes home
// first.
#pragma once

#include <sys/socket.h>

#include <set>

#include "absl/status/statusor.h"
#include "cluster/agents.h"
#include "cluster/control_client.h"
#include "omfs/base/config.h"
#include "proto/control.pb.h"
#include "proto/local.pb.h"

namespace omfs {

// Thread-safe.
class Migrator {
 public:
  // Both must outlive this.
  Migrator(const Config& config, ControlClient* control, Agents* agents)
      : config_(config), control_(control), agents_(agents) {}

  // Moves a process to a node (0 or this node: home); returns when it is there.
  // no_dfsa: its file calls below /mfs are forwarded home too, until it has been home again.
  absl::Status Migrate(pid_t pid, uint32_t node, uid_t user, bool no_dfsa);
  // Prepares the caller's next execve to happen at the node; returns when its agent watches it.
  absl::Status Launch(const ucred& caller, uint32_t node, bool no_dfsa);
  // For another node: starts a keeper for one of its processes.
  absl::StatusOr<control::ReceiveReply> Receive(const control::ReceiveRequest& request);
  // The answer to "why is process pid where it is?".
  absl::StatusOr<local::WhyReply> Why(pid_t pid);

 private:
  absl::StatusOr<NodeEntry> Destination(uint32_t node) const;
  absl::StatusOr<local::AgentCommand> Prepare(const NodeEntry& node, pid_t pid,
                                              const ProcessFacts& facts);
  absl::Status MigrateExclusively(pid_t pid, uint32_t node, const ProcessFacts& facts, bool no_dfsa);

  const Config config_;
  ControlClient* const control_;
  Agents* const agents_;
  std::mutex mutex_;
  std::set<pid_t> moving_;
};

}  // namespace omfs
