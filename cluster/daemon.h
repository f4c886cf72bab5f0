// The node daemon's parts and the order they start and stop in: certificates, local socket's name, store, data server,
// control plane (server and client), agents, local requests; and the kernel client's links when its module is loaded.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/daemon_config.h"

namespace omfs {

class Daemon {
 public:
  // config_path: the configuration file to hand to agents when no flag overrides it. Errors are one line that names
  // what cannot be used.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const DaemonConfig& config,
                                                       const std::string& config_path);
  // Orderly end: guests are sent home and deputies call theirs back within a few seconds, then the servers end.
  // Idempotent.
  void Stop();
  ~Daemon();

 private:
  class Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omfs
