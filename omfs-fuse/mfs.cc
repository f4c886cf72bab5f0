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
    options.on_demand = false;
    options.caps = config.cache;
    mfs->clients_[n.id] = std::make_shared<NodeClient>(options, tls);
  }
  auto root = std::make_shared<RootFs>(config.node, config.nodes, std::move(magic_clients),
                                       std::make_shared<LocalProcessView>(config.node));
  OMFS_ASSIGN_OR_RETURN(
      std::unique_ptr<FuseSession> session,
      FuseSession::Start(root, mount_point, "omfs", flags, std::move(root_ended)));
  mfs->sessions_.push_back(std::move(session));
  // The root is being served, so the walk to each mount point is answered. Never done from inside a
  // request: mounting waits for operations under way in the directory it covers.
  for (const auto& [id, client] : mfs->clients_) {
    const std::string path = fmt::format("{}/{}", mount_point, id.value);
    auto own = id == config.node ? std::make_unique<OwnFiles>(config, path) : nullptr;
    auto fs = std::make_shared<NodeFs>(client, config.cache, std::move(own));
    OMFS_ASSIGN_OR_RETURN(
        session, FuseSession::Start(fs, path, fmt::format("omfs:{}", id.value), flags,
                                    [path] { spdlog::info("mount ended path={}", path); }));
    if (config.cache) fs->StartCaching(session->kernel_cache());
    mfs->sessions_.push_back(std::move(session));
  }
  return mfs;
}

Mfs::~Mfs() { Unmount(); }

bool Mfs::Unmount() {
  bool all = true;
  while (!sessions_.empty()) {
    all = sessions_.back()->Stop() && all;
    sessions_.pop_back();
  }
  return all;
}

NodeClient* Mfs::client(NodeId node) const {
  const auto it = clients_.find(node);
  return it == clients_.end() ? nullptr : it->second.get();
}

}  // namespace omfs
