#include "omfs-fuse/node_mounts.h"

#include "omfs-fuse/mount_point.h"
#include "omfs-fuse/node_fs.h"
#include "omfs-fuse/own_files.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {

NodeMounts::NodeMounts(const Config& config, std::shared_ptr<TlsContext> tls, std::string top, unsigned long flags)
    : config_(config), tls_(std::move(tls)), top_(std::move(top)), flags_(flags) {
  for (const NodeEntry& n : config_.nodes) {
    NodeMount& m = mounts_[n.id];
    m.entry = n;
    m.path = fmt::format("{}/{}", top_, n.id.value);
    m.client = MakeClient(n, config_.hard);
  }
}

std::string NodeMounts::SourceOf(NodeId node) { return fmt::format("omfs:{}", node.value); }

std::shared_ptr<NodeClient> NodeMounts::MakeClient(const NodeEntry& entry, bool hard) const {
  LinkOptions options;
  options.node = entry.id;
  options.address = entry.address;
  options.port = entry.data_port;
  options.caps = config_.cache;
  options.hard = hard;
  return std::make_shared<NodeClient>(options, tls_);
}

std::shared_ptr<NodeClient> NodeMounts::client(NodeId node) const {
  std::lock_guard lock(mu_);
  const auto it = mounts_.find(node);
  return it == mounts_.end() ? nullptr : it->second.client;
}

absl::Status NodeMounts::MountAll() {
  std::lock_guard mounting(mounting_mu_);
  for (const NodeEntry& n : config_.nodes) OMFS_RETURN_IF_ERROR(MountOne(n.id));
  return absl::OkStatus();
}

absl::Status NodeMounts::MountOne(NodeId node) {
  std::string path;
  std::shared_ptr<NodeClient> client;
  {
    std::lock_guard lock(mu_);
    path = mounts_[node].path;
    client = mounts_[node].client;
  }
  auto ended = std::make_shared<std::atomic<bool>>(false);
  auto own = node == config_.node ? std::make_unique<OwnFiles>(config_, path) : nullptr;
  auto fs = std::make_shared<NodeFs>(client, config_.cache, std::move(own));
  const std::weak_ptr<NodeClient> weak = client;
  const auto on_end = [path, node, ended, weak] {
    *ended = true;
    // Nobody waits for what it still does; so it need not wait for ever.
    if (const auto c = weak.lock()) c->link().set_hard(false);
    spdlog::info("mount ended path={} mounted_again_by={}", path, Quoted(fmt::format("mosctl mount {}", node.value)));
  };
  OMFS_ASSIGN_OR_RETURN(std::unique_ptr<FuseSession> session,
                        FuseSession::Start(fs, path, SourceOf(node), flags_, on_end));
  if (config_.cache) fs->StartCaching(session->kernel_cache());
  std::lock_guard lock(mu_);
  NodeMount& m = mounts_[node];
  m.session = std::move(session);
  m.ended = std::move(ended);
  return absl::OkStatus();
}

bool NodeMounts::UnmountAll() {
  std::lock_guard mounting(mounting_mu_);
  closed_ = true;
  bool all = true;
  std::vector<std::unique_ptr<FuseSession>> sessions;
  {
    std::lock_guard lock(mu_);
    for (auto& [id, m] : mounts_) {
      if (m.session) sessions.push_back(std::move(m.session));
    }
  }
  for (const auto& session : sessions) all = session->Stop() && all;
  return all;
}

Errno NodeMounts::Abort(NodeId node) {
  const std::shared_ptr<NodeClient> c = client(node);
  if (c == nullptr) return Errno(ENOENT);
  spdlog::warn("aborted by the administrator node={}", node.value);
  c->link().Abort();
  return Errno();
}

bool NodeMounts::IsThere(const NodeMount& m) const {
  return m.session != nullptr && !*m.ended && IsMounted(m.path, SourceOf(m.entry.id));
}

Errno NodeMounts::Mount(NodeId node, std::optional<bool> hard) {
  std::lock_guard mounting(mounting_mu_);
  if (closed_) return Errno(ESHUTDOWN);
  std::shared_ptr<NodeClient> old;
  std::string path;
  {
    std::lock_guard lock(mu_);
    const auto it = mounts_.find(node);
    if (it == mounts_.end()) return Errno(ENOENT);
    NodeMount& m = it->second;
    if (IsThere(m)) {
      if (hard) m.client->link().set_hard(*hard);
      m.client->link().Resurrect();
      return Errno();
    }
    old = m.client;
    path = m.path;
    m.client = MakeClient(m.entry, hard.value_or(config_.hard));
    // What is detached but in use goes on by itself.
    if (!*m.ended) old = nullptr;
    m.session.reset();
  }
  if (old != nullptr) old->link().Abort();
  if (const absl::Status s = UnmountFuse(path); !s.ok()) spdlog::warn("{}", Text(s));
  if (const absl::Status s = MountOne(node); !s.ok()) {
    spdlog::error("cannot mount again: {}", Text(s));
    return Errno(EBUSY);
  }
  spdlog::info("mounted again path={}", path);
  return Errno();
}

std::string NodeMounts::Report() {
  std::lock_guard lock(mu_);
  std::string text;
  for (const auto& [id, m] : mounts_) {
    Link& link = m.client->link();
    const char* state = link.connected() ? "connected" : link.aborted() ? "aborted" : "unreachable";
    text += fmt::format("{} {} {} {}\n", id.value, state, link.hard() ? "hard" : "soft", IsThere(m) ? "mounted" : "ended");
  }
  return text;
}

}  // namespace omfs
