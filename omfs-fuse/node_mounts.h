// NodeMounts: the submounts of /mfs, one for each node, and their clients.
//
// A submount can end before /mfs does: by umount(8), with -f (the kernel fails all its requests and aborts the connection) or -l
// (it is out of sight, and goes on for those who have files open), or by the connection's "abort" in /sys/fs/fuse. Its directory
// then is the root file system's again (EHOSTDOWN), or, where the kernel found it in use and left it, answers ENOTCONN. `Mount`
// makes a new one, with a client of its own: what is left of the old one keeps its own session until nobody uses it any more.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "omfs-fuse/mount_control.h"
#include "omfs-fuse/session.h"
#include "omfs/base/config.h"
#include "omfs/client/node_client.h"
#include "omfs/net/tls.h"

namespace omfs {

// Thread-safe.
class NodeMounts : public MountControl {
 public:
  // flags: MS_*, for all. Clients are made at once, in the background.
  NodeMounts(const Config& config, std::shared_ptr<TlsContext> tls, std::string top, unsigned long flags);

  // The root file system is mounted and served by now. Never called from inside a request on a node's directory: mounting waits
  // for operations under way in the directory it covers.
  absl::Status MountAll();
  // False if a connection goes on because its mount is also seen in another mount namespace. No more mounts afterwards.
  bool UnmountAll();

  Errno Abort(NodeId node) override;
  Errno Mount(NodeId node, std::optional<bool> hard) override;
  std::string Report() override;

  // Null: no such node.
  std::shared_ptr<NodeClient> client(NodeId node) const;

 private:
  struct NodeMount {
    NodeEntry entry;
    std::string path;
    std::shared_ptr<NodeClient> client;
    std::unique_ptr<FuseSession> session;            // null: not mounted yet
    std::shared_ptr<std::atomic<bool>> ended;        // of the session
  };

  std::shared_ptr<NodeClient> MakeClient(const NodeEntry& entry, bool hard) const;
  absl::Status MountOne(NodeId node);
  bool IsThere(const NodeMount& m) const;
  static std::string SourceOf(NodeId node);

  const Config config_;
  const std::shared_ptr<TlsContext> tls_;
  const std::string top_;
  const unsigned long flags_;
  std::mutex mounting_mu_;  // held while mounting and unmounting; before mu_
  mutable std::mutex mu_;
  std::map<NodeId, NodeMount> mounts_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mounting_mu_) = false;
};

}  // namespace omfs
