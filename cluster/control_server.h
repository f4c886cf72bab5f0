// The control plane's server: gRPC with mutual TLS on config.listen:control_port.
//
// TLS lets a caller without a certificate in, because a node that joins has none yet; one with a certificate of
// another CA is refused in the handshake. So every method but Cluster.Join first asks who the caller is: the node
// number in its certificate.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"

namespace omfs::control {
class ReceiveRequest;
class ReceiveReply;
}  // namespace omfs::control

namespace omfs {

class ControlServer {
 public:
  // Takes a guest of the calling node. Called from several threads at once.
  using ReceiveHandler = std::function<absl::StatusOr<control::ReceiveReply>(
      const control::ReceiveRequest& request)>;

  // Errors name address and port, or the file of pki that cannot be used.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(const Config& config,
                                                              ReceiveHandler receive);
  // Refuses new calls, waits shortly for those under way. Idempotent.
  void Stop();
  ~ControlServer();

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omfs
