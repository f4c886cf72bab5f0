#include "cluster/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include "cluster/agents.h"
#include "cluster/control_client.h"
#include "cluster/control_server.h"
#include "cluster/files.h"
#include "cluster/kernel_link.h"
#include "cluster/local_client.h"
#include "cluster/local_server.h"
#include "cluster/migrator.h"
#include "cluster/pki.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/net/frame.h"
#include "omfs/net/tls.h"
#include "omfs/server/data_server.h"
#include "omfs/server/local_files.h"
#include "omfs/store/store.h"
#include "omfs/wire/local_files.h"

namespace omfs {
namespace {

constexpr auto kAgentsEnd = std::chrono::seconds(5);

int ErrnoOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return 0;
    case absl::StatusCode::kNotFound: return ESRCH;
    case absl::StatusCode::kPermissionDenied: return EPERM;
    case absl::StatusCode::kInvalidArgument: return EINVAL;
    case absl::StatusCode::kFailedPrecondition: return EBUSY;
    case absl::StatusCode::kUnimplemented: return ENOSYS;
    case absl::StatusCode::kUnavailable: return EHOSTUNREACH;
    case absl::StatusCode::kDeadlineExceeded: return ETIMEDOUT;
    default: return EIO;
  }
}

local::Reply ReplyOf(const absl::Status& status) {
  local::Reply reply;
  reply.set_error(ErrnoOf(status));
  if (!status.ok()) reply.set_text(Text(status));
  return reply;
}

}  // namespace

class Daemon::Impl {
 public:
  explicit Impl(const Config& config) : config_(config) {}
  ~Impl() {
    Stop();
    // A start that failed leaves no socket behind either.
    if (!local_ && !socket_path_.empty()) unlink(socket_path_.c_str());
  }

  absl::Status Start(const std::string& text, const std::string& config_path, bool overridden) {
    OMFS_ASSIGN_OR_RETURN(tls_, TlsContext::Load(config_.pki_dir));
    if (tls_->node() != config_.node) {
      return FailedPrecondition("{}/{} is the certificate of node {}, not of node {}",
                                config_.pki_dir, kNodeCertificate, tls_->node().value,
                                config_.node.value);
    }
    OMFS_RETURN_IF_ERROR(MakeDirectories(config_.run_dir, 0755));
    const std::string socket_path = config_.run_dir + "/" + kLocalSocketName;
    OMFS_ASSIGN_OR_RETURN(ScopedFd socket, ListenUnix(socket_path, 0666));
    socket_path_ = socket_path;
    // The agents read a file; what flags changed must stand in one.
    std::string agents_config = config_path;
    if (overridden) {
      agents_config = config_.run_dir + "/omfsd.conf";
      OMFS_RETURN_IF_ERROR(WriteFileAtomically(agents_config, text, 0644));
    }
    OMFS_RETURN_IF_ERROR(MakeDirectories(config_.state_dir, 0755));
    OMFS_ASSIGN_OR_RETURN(store_, Store::Open(config_.state_dir));
    OMFS_ASSIGN_OR_RETURN(client_, ControlClient::Make(config_));
    agents_ = std::make_unique<Agents>(config_.node, agents_config);
    migrator_ = std::make_unique<Migrator>(config_, client_.get(), agents_.get());
    OMFS_ASSIGN_OR_RETURN(
        control_, ControlServer::Start(config_, [this](const control::ReceiveRequest& request) {
          return migrator_->Receive(request);
        }));
    const auto fdkeeper = FindProgram("omfs-fdkeeper");
    if (!fdkeeper.ok()) spdlog::error("no fd-keeper, files without a name will not outlive omfsd: {}", Text(fdkeeper.status()));
    OMFS_ASSIGN_OR_RETURN(data_, DataServer::Start(config_, tls_, store_, fdkeeper.value_or("")));
    OMFS_ASSIGN_OR_RETURN(local_files_, LocalFiles::Start(config_.run_dir + "/" + kLocalFilesSocket,
                                                         [this](SessionId session, OpenId open, const omfs_fh& object) {
                                                           return data_->Descriptor(session, open, object);
                                                         }));
    client_->StartPings();
    if (KernelClientPresent()) kernel_ = std::make_unique<KernelClient>(tls_, config_.node, OtherNodes());
    local_ = LocalServer::Start(std::move(socket), socket_path,
                                [this](const local::Request& request, const ucred& caller) {
                                  return Answer(request, caller);
                                });
    return absl::OkStatus();
  }

  void Stop() {
    // First what others wait for, then those who wait.
    if (agents_) agents_->Stop(kAgentsEnd);
    kernel_.reset();
    if (client_) client_->Stop();
    if (local_) local_->Stop();
    if (control_) control_->Stop();
    if (local_files_) local_files_->Stop();
    if (data_) data_->Stop();
  }

 private:
  std::vector<NodeEntry> OtherNodes() const {
    std::vector<NodeEntry> others;
    for (const NodeEntry& n : config_.nodes) {
      if (n.id != config_.node) others.push_back(n);
    }
    return others;
  }

  local::Reply Answer(const local::Request& request, const ucred& caller) {
    local::Reply reply;
    switch (request.kind_case()) {
      case local::Request::kStatus:
        FillStatus(reply.mutable_status());
        return reply;
      case local::Request::kList:
        for (const local::ProcessInfo& p : agents_->List()) *reply.mutable_list()->add_processes() = p;
        return reply;
      case local::Request::kMigrate:
        return ReplyOf(migrator_->Migrate(request.migrate().pid(), request.migrate().node(), caller.uid,
                                           request.migrate().no_dfsa()));
      case local::Request::kLaunch:
        return ReplyOf(migrator_->Launch(caller, request.launch().node(), request.launch().no_dfsa()));
      case local::Request::kWhy: {
        auto why = migrator_->Why(request.why().pid());
        if (!why.ok()) return ReplyOf(why.status());
        *reply.mutable_why() = std::move(*why);
        return reply;
      }
      case local::Request::kIdentify:
        if (caller.uid != 0) return ReplyOf(absl::PermissionDeniedError("only root may identify open files"));
        return Identify(request.identify());
      case local::Request::KIND_NOT_SET:
        break;
    }
    return ReplyOf(absl::UnimplementedError("omfsd does not know this request"));
  }

  local::Reply Identify(const local::IdentifyRequest& request) {
    local::Reply reply;
    const ScopedFd fd(open(fmt::format("/proc/{}/fd/{}", request.pid(), request.fd()).c_str(), O_PATH | O_CLOEXEC));
    if (!fd) return ReplyOf(ErrnoStatus(errno, "open file"));
    const auto handle = data_->Identify(fd.get());
    if (!handle.ok()) return ReplyOf(ErrnoStatus(handle.error().value, "open file"));
    reply.set_handle(&*handle, sizeof *handle);
    return reply;
  }

  void FillStatus(local::StatusReply* status) {
    status->set_node(config_.node.value);
    status->set_export_path(config_.export_path);
    status->set_native_changes(data_->NativeChanges());
    for (const NodeEntry& n : config_.nodes) {
      const NodeHealth health = client_->Health(n.id);
      local::NodeStatus* out = status->add_nodes();
      out->set_node(n.id.value);
      out->set_name(n.name);
      out->set_address(n.address);
      out->set_up(health.up);
      out->set_detail(health.detail);
    }
    for (const LocalFiles::Mount& m : local_files_->Mounts()) {
      local::OwnMount* out = status->add_own_mounts();
      out->set_path(m.path);
      out->set_passthrough(m.passthrough);
      out->set_detail(m.detail);
    }
    const ServerStats stats = data_->stats();
    status->set_sessions(stats.sessions);
    status->set_opens(stats.opens);
    status->set_nameless(stats.nameless);
    status->set_fd_keeper(stats.keeper_runs);
  }

  const Config config_;
  std::string socket_path_;  // once it is ours
  std::shared_ptr<TlsContext> tls_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<DataServer> data_;
  std::unique_ptr<LocalFiles> local_files_;
  std::unique_ptr<ControlClient> client_;
  std::unique_ptr<Agents> agents_;
  std::unique_ptr<Migrator> migrator_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<KernelClient> kernel_;
  std::unique_ptr<LocalServer> local_;
};

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;
void Daemon::Stop() { impl_->Stop(); }

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const DaemonConfig& config,
                                                      const std::string& config_path) {
  auto impl = std::make_unique<Impl>(config.config);
  OMFS_RETURN_IF_ERROR(impl->Start(config.text, config_path, config.overridden));
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

}  // namespace omfs
