// Calls to other nodes' control planes, and who of them is up.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/token.h"
#include "omfs/base/config.h"

namespace omfs::control {
class ReceiveRequest;
class ReceiveReply;
}  // namespace omfs::control

namespace omfs {

struct NodeHealth {
  bool up = false;     // answered within the last few seconds
  std::string detail;  // its version, or why it is not up
};

// Keeps one channel per node of the map and, once told to, pings each about once a second. Thread-safe.
class ControlClient {
 public:
  static absl::StatusOr<std::unique_ptr<ControlClient>> Make(const Config& config);
  ~ControlClient();

  // Called at most once. Without it every other node counts as down.
  void StartPings();

  NodeHealth Health(NodeId node) const;
  // Asks a node to take a guest. Blocks until it answers, a few seconds at most when it cannot be reached.
  absl::StatusOr<control::ReceiveReply> Receive(NodeId node, const control::ReceiveRequest& request);
  // Fails calls under way and ends the pings. Idempotent.
  void Stop();

 private:
  class Impl;
  explicit ControlClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Joined {
  std::string certificate_pem;
  std::string ca_pem;
};
// Sends a certificate request to the CA's node that the token names, after checking that it holds the CA with the
// token's fingerprint.
absl::StatusOr<Joined> JoinCluster(const JoinToken& token, NodeId node,
                                   const std::string& request_pem);

}  // namespace omfs
