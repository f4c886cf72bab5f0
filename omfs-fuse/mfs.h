// Mfs: a mounted /mfs - the root file system and one submount per node of the node map.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "omfs-fuse/node_mounts.h"
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

  // The client of a node's mount as it is now, or nullptr. For tests and measurements.
  NodeClient* client(NodeId node) const;

 private:
  Mfs() = default;

  std::unique_ptr<FuseSession> root_;
  std::shared_ptr<NodeMounts> nodes_;  // the root's file system knows it as well
};

}  // namespace omfs
