#include "cluster/control_server.h"

#include <charconv>
#include <chrono>
#include <ctime>
#include <mutex>
#include <string_view>

#include "cluster/control_channel.h"
#include "cluster/files.h"
#include "cluster/pki.h"
#include "cluster/token.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/net/tls.h"
#include "proto/control.grpc.pb.h"
#include "proto/omfs_wire.h"

namespace omfs {
namespace {

constexpr int kMaxMessage = 1 << 20;
constexpr int kMaxThreads = 32;
constexpr size_t kMaxRequestPem = 64 * 1024;

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), Text(status));
}

// The node the caller's certificate names; not valid() without a certificate. gRPC has checked it against the CA.
NodeId Caller(const grpc::ServerContext& context) {
  const auto auth = context.auth_context();
  if (!auth || !auth->IsPeerAuthenticated()) return NodeId();
  for (const grpc::string_ref& name : auth->FindPropertyValues("x509_subject_alternative_name")) {
    std::string_view s(name.data(), name.size());
    if (!s.starts_with("node-") || !s.ends_with(".omfs")) continue;
    s = s.substr(5, s.size() - 10);
    uint16_t number = 0;
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
    if (error == std::errc() && end == s.data() + s.size()) return NodeId(number);
  }
  return NodeId();
}

grpc::Status RefuseStranger(const grpc::ServerContext& context, const char* method) {
  spdlog::warn("control_refused peer={} method={} reason=\"no certificate of the cluster\"",
               Quoted(context.peer()), method);
  return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "no certificate of the cluster");
}

class ClusterService final : public control::Cluster::Service {
 public:
  explicit ClusterService(const Config& config) : config_(config) {}

  grpc::Status Join(grpc::ServerContext* context, const control::JoinRequest* request,
                    control::JoinReply* reply) override {
    const absl::Status status = Join(*request, reply);
    if (status.ok()) {
      spdlog::info("node_joined node={} peer={}", request->node(), Quoted(context->peer()));
    } else {
      spdlog::warn("join_refused node={} peer={} reason={}", request->node(),
                   Quoted(context->peer()), Quoted(Text(status)));
    }
    return ToGrpc(status);
  }

  grpc::Status Ping(grpc::ServerContext* context, const control::PingRequest* request,
                    control::PingReply* reply) override {
    if (!Caller(*context).valid()) return RefuseStranger(*context, "Ping");
    reply->set_node(config_.node.value);
    reply->set_version(OMFS_RELEASE);
    reply->set_wire_version_min(OMFS_VERSION_MIN);
    reply->set_wire_version_max(OMFS_VERSION);
    return grpc::Status::OK;
  }

 private:
  absl::Status Join(const control::JoinRequest& request, control::JoinReply* reply) {
    const std::string& pki = config_.pki_dir;
    if (!FileExists(pki + "/" + kCaKey)) {
      return FailedPrecondition("node {} does not hold the cluster's CA", config_.node.value);
    }
    if (request.node() < 1 || request.node() > 65535) {
      return InvalidArgument("node number {} is not in 1..65535", request.node());
    }
    if (request.csr_pem().size() > kMaxRequestPem) return InvalidArgument("certificate request too long");
    const NodeId node(static_cast<uint16_t>(request.node()));
    OMFS_ASSIGN_OR_RETURN(const JoinToken token, ParseToken(request.token()));
    // Checking and recording a number are one step: of two joins for it only one may succeed.
    std::lock_guard lock(join_mutex_);
    OMFS_RETURN_IF_ERROR(CheckToken(pki, token, node, time(nullptr)));
    OMFS_ASSIGN_OR_RETURN(*reply->mutable_certificate_pem(),
                          SignNodeRequest(pki, request.csr_pem(), node));
    OMFS_ASSIGN_OR_RETURN(*reply->mutable_ca_pem(), ReadWholeFile(pki + "/" + kCaCertificate));
    return absl::OkStatus();
  }

  const Config config_;
  std::mutex join_mutex_;
};

class MigrationService final : public control::Migration::Service {
 public:
  explicit MigrationService(ControlServer::ReceiveHandler receive) : receive_(std::move(receive)) {}

  grpc::Status Receive(grpc::ServerContext* context, const control::ReceiveRequest* request,
                       control::ReceiveReply* reply) override {
    const NodeId caller = Caller(*context);
    if (!caller.valid()) return RefuseStranger(*context, "Receive");
    if (request->home() != caller.value) {
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "a node can only send its own processes");
    }
    absl::StatusOr<control::ReceiveReply> result = receive_(*request);
    if (!result.ok()) {
      spdlog::warn("receive_refused home={} pid={} reason={}", request->home(), request->pid(),
                   Quoted(Text(result.status())));
      return ToGrpc(result.status());
    }
    *reply = std::move(*result);
    return grpc::Status::OK;
  }

 private:
  const ControlServer::ReceiveHandler receive_;
};

}  // namespace

class ControlServer::Impl {
 public:
  Impl(const Config& config, ReceiveHandler receive)
      : cluster_(config), migration_(std::move(receive)) {}

  absl::Status Start(const Config& config) {
    OMFS_ASSIGN_OR_RETURN(const ControlKeys keys, LoadControlKeys(config.pki_dir));
    grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    ssl.pem_root_certs = keys.ca_pem;
    ssl.pem_key_cert_pairs.push_back({keys.key_pem, keys.chain_pem});
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(HostPort(config.listen, config.control_port),
                             grpc::SslServerCredentials(ssl), &port);
    // Otherwise a second daemon on the same port would take half of the first one's calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    grpc::ResourceQuota quota("omfs-control");
    quota.SetMaxThreads(kMaxThreads);
    builder.SetResourceQuota(quota);
    builder.RegisterService(&cluster_);
    builder.RegisterService(&migration_);
    server_ = builder.BuildAndStart();
    if (server_ && port != 0) return absl::OkStatus();
    // gRPC keeps the reason to itself; asking the kernel again gives it.
    OMFS_RETURN_IF_ERROR(ListenTcp(config.listen, config.control_port).status());
    return Internal("control plane on {}: gRPC cannot start (keys in {}?)",
                    HostPort(config.listen, config.control_port), config.pki_dir);
  }

  void Stop() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
  }

 private:
  ClusterService cluster_;
  MigrationService migration_;
  std::unique_ptr<grpc::Server> server_;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() { Stop(); }
void ControlServer::Stop() { impl_->Stop(); }

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(const Config& config,
                                                                    ReceiveHandler receive) {
  auto impl = std::make_unique<Impl>(config, std::move(receive));
  OMFS_RETURN_IF_ERROR(impl->Start(config));
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

}  // namespace omfs
