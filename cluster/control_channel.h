// What both ends of the control plane (gRPC) share: channels to nodes, credentials, gRPC's own log.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"

namespace omfs {

// Sends what gRPC itself wants to log to this program's log instead of its stderr: refused handshakes as warnings, the
// rest as debug lines. Called once, before any other use of gRPC.
void TakeOverGrpcLog();

// The node's own key, its certificate chain (with the CA's, so that a joining node can check its fingerprint) and the CA.
struct ControlKeys {
  std::string key_pem;
  std::string chain_pem;
  std::string ca_pem;
};
absl::StatusOr<ControlKeys> LoadControlKeys(const std::string& pki_dir);

// "1.2.3.4:4661", "[::1]:4661".
std::string HostPort(const std::string& address, uint16_t port);

// A channel to a node whose certificate must name it. keys without key and chain: for joining.
// It connects when first used and reconnects within about a second when the node is back.
std::shared_ptr<grpc::Channel> MakeControlChannel(const ControlKeys& keys, const std::string& address,
                                                  uint16_t port, NodeId node);

// One line for a failed call; what names the other end ("node 3").
absl::Status FromGrpc(const grpc::Status& status, const std::string& what);

}  // namespace omfs
