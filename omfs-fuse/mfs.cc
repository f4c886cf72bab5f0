#include "omfs-fuse/mfs.h"

#include "omfs-fuse/mount_point.h"
#include "omfs-fuse/root_fs.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {

absl::StatusOr<std::unique_ptr<Mfs>> Mfs::Mount(const Config& config,
                                                std::shared_ptr<TlsContext> tls,
                                                const std::string& mount_point, unsigned long flags,
                                                std::function<void()> root_ended) {
  OMFS_RETURN_IF_ERROR(PrepareMountPoint(mount_point));
  std::unique_ptr<Mfs> mfs(new Mfs());
  // The magic directory caches nothing, and has sessions of its own: what is done in one session is not recalled from it.
  std::map<NodeId, std::shared_ptr<NodeClient>> magic_clients;
  for (const NodeEntry& n : config.nodes) {
    LinkOptions options;
    options.node = n.id;
    options.address = n.address;
    options.port = n.data_port;
    options.on_demand = true;
    magic_clients[n.id] = std::make_shared<NodeClient>(options, tls);
  }
  mfs->nodes_ = std::make_shared<NodeMounts>(config, tls, mount_point, flags);
  auto root = std::make_shared<RootFs>(config.node, config.nodes, std::move(magic_clients),
                                       std::make_shared<LocalProcessView>(config.node), mfs->nodes_);
  OMFS_ASSIGN_OR_RETURN(mfs->root_,
                        FuseSession::Start(root, mount_point, "omfs", flags, std::move(root_ended)));
  // The root is being served, so the walk to each mount point is answered.
  OMFS_RETURN_IF_ERROR(mfs->nodes_->MountAll());
  return mfs;
}

Mfs::~Mfs() { Unmount(); }

bool Mfs::Unmount() {
  bool all = nodes_ == nullptr || nodes_->UnmountAll();
  if (root_ != nullptr) all = root_->Stop() && all;
  root_.reset();
  return all;
}

NodeClient* Mfs::client(NodeId node) const { return nodes_->client(node).get(); }

}  // namespace omfs
