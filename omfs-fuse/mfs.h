// Mfs: a mounted /mfs - the root file system and one submount per node of the node map.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs-fuse/session.h"
#include "omfs/base/config.h"
#include "omfs/client/node_client.h"
#include "omfs/net/tls.h"

namespace omfs {

class Mfs {
 public:
  // Mounts everything at mount_point. Connections to the nodes are made in the background; a node
  // that cannot be reached answers EHOSTDOWN below its directory. root_ended: called when the root
  // mount has ended, e.g. by umount(8). flags: MS_* for all mounts. Errors leave nothing mounted.
  static absl::StatusOr<std::unique_ptr<Mfs>> Mount(const Config& config,
                                                    std::shared_ptr<TlsContext> tls,
                                                    const std::string& mount_point,
                                                    unsigned long flags,
                                                    std::function<void()> root_ended);
  ~Mfs();

  // Unmounts everything, submounts first. False if a connection goes on because its mount is also
  // seen in another mount namespace; the process should then end without waiting. Idempotent.
  bool Unmount();

  // The client of a node, or nullptr. For tests and measurements.
  NodeClient* client(NodeId node) const;

 private:
  Mfs() = default;

  std::map<NodeId, std::shared_ptr<NodeClient>> clients_;
  std::vector<std::unique_ptr<FuseSession>> sessions_;  // the root first
};

}  // namespace omfs
