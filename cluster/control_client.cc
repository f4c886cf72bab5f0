#include "cluster/control_client.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cluster/control_channel.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "proto/control.grpc.pb.h"

namespace omfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr auto kPingInterval = milliseconds(1000);
constexpr auto kPingDeadline = milliseconds(2500);
constexpr auto kUpFor = milliseconds(4000);  // since the last answer
constexpr auto kConnectDeadline = seconds(5);
constexpr auto kReceiveDeadline = seconds(30);

struct Peer {
  NodeEntry entry;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<control::Cluster::Stub> cluster;
  std::unique_ptr<control::Migration::Stub> migration;
  // The rest is guarded by Impl::mutex_.
  bool asking = false;
  bool ever_answered = false;
  Clock::time_point answered;
  std::string version;
  std::string failure = "not asked yet";
};

// One ping under way; deletes itself in its callback.
struct PingCall {
  grpc::ClientContext context;
  control::PingRequest request;
  control::PingReply reply;
};

std::string NameOf(const NodeEntry& n) { return fmt::format("node {} ({})", n.id.value, n.address); }

}  // namespace

class ControlClient::Impl {
 public:
  explicit Impl(const Config& config, const ControlKeys& keys) : self_(config.node) {
    for (const NodeEntry& entry : config.nodes) {
      if (entry.id == self_) continue;
      Peer& peer = peers_[entry.id];
      peer.entry = entry;
      peer.channel = MakeControlChannel(keys, entry.address, entry.control_port, entry.id);
      peer.cluster = control::Cluster::NewStub(peer.channel);
      peer.migration = control::Migration::NewStub(peer.channel);
    }
  }

  ~Impl() { Stop(); }

  void StartPings() { pinger_ = std::thread([this] { PingLoop(); }); }

  void Stop() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (grpc::ClientContext* context : under_way_) context->TryCancel();
    changed_.notify_all();
    changed_.wait(lock, [this] { return under_way_.empty(); });
    lock.unlock();
    if (pinger_.joinable()) pinger_.join();
  }

  NodeHealth Health(NodeId node) const {
    if (node == self_) return {true, "version " OMFS_RELEASE};
    std::lock_guard lock(mutex_);
    const auto it = peers_.find(node);
    if (it == peers_.end()) return {false, "not in the node map"};
    const Peer& peer = it->second;
    if (peer.ever_answered && Clock::now() - peer.answered < kUpFor) return {true, peer.version};
    return {false, peer.failure};
  }

  absl::StatusOr<control::ReceiveReply> Receive(NodeId node,
                                                const control::ReceiveRequest& request) {
    const auto it = peers_.find(node);
    if (it == peers_.end()) return InvalidArgument("node {} is not in the node map", node.value);
    Peer& peer = it->second;
    if (!peer.channel->WaitForConnected(std::chrono::system_clock::now() + kConnectDeadline)) {
      const NodeHealth health = Health(node);
      return Unavailable("{} cannot be reached{}{}", NameOf(peer.entry), health.up ? "" : ": ",
                         health.up ? "" : health.detail);
    }
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kReceiveDeadline);
    if (!Begin(&context)) return Unavailable("omfsd is ending");
    control::ReceiveReply reply;
    const grpc::Status status = peer.migration->Receive(&context, request, &reply);
    End(&context);
    OMFS_RETURN_IF_ERROR(FromGrpc(status, NameOf(peer.entry)));
    return reply;
  }

 private:
  bool Begin(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    under_way_.insert(context);
    return true;
  }
  void End(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    under_way_.erase(context);
    changed_.notify_all();
  }

  void PingLoop() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      for (auto& [id, peer] : peers_) {
        if (peer.asking) continue;
        peer.asking = true;
        lock.unlock();
        Ping(peer);
        lock.lock();
        if (stopping_) return;
      }
      changed_.wait_for(lock, kPingInterval, [this] { return stopping_; });
    }
  }

  void Ping(Peer& peer) {
    auto* call = new PingCall;
    call->context.set_deadline(std::chrono::system_clock::now() + kPingDeadline);
    call->request.set_node(self_.value);
    if (!Begin(&call->context)) {
      delete call;
      return;
    }
    peer.cluster->async()->Ping(&call->context, &call->request, &call->reply,
                                [this, call, &peer](const grpc::Status& status) {
                                  Answered(peer, status, call->reply);
                                  End(&call->context);
                                  delete call;
                                });
  }

  void Answered(Peer& peer, const grpc::Status& status, const control::PingReply& reply) {
    const absl::Status result = FromGrpc(status, NameOf(peer.entry));
    std::lock_guard lock(mutex_);
    peer.asking = false;
    const bool was_up = peer.ever_answered && Clock::now() - peer.answered < kUpFor;
    if (result.ok()) {
      peer.answered = Clock::now();
      peer.ever_answered = true;
      peer.version = fmt::format("version {}, wire {}..{}", reply.version(),
                                 reply.wire_version_min(), reply.wire_version_max());
      if (!was_up) spdlog::info("node_up node={}", peer.entry.id.value);
    } else if (!stopping_) {
      if (peer.failure != Text(result)) {
        spdlog::info("node_no_answer node={} reason={}", peer.entry.id.value, Quoted(Text(result)));
      }
    }
    peer.failure = result.ok() ? NameOf(peer.entry) + " does not answer" : Text(result);
  }

  const NodeId self_;
  std::map<NodeId, Peer> peers_;  // the map itself never changes
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::set<grpc::ClientContext*> under_way_;
  std::thread pinger_;
};

ControlClient::ControlClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlClient::~ControlClient() = default;

absl::StatusOr<std::unique_ptr<ControlClient>> ControlClient::Make(const Config& config) {
  OMFS_ASSIGN_OR_RETURN(const ControlKeys keys, LoadControlKeys(config.pki_dir));
  return std::unique_ptr<ControlClient>(new ControlClient(std::make_unique<Impl>(config, keys)));
}

NodeHealth ControlClient::Health(NodeId node) const { return impl_->Health(node); }
void ControlClient::StartPings() { impl_->StartPings(); }
void ControlClient::Stop() { impl_->Stop(); }

absl::StatusOr<control::ReceiveReply> ControlClient::Receive(
    NodeId node, const control::ReceiveRequest& request) {
  return impl_->Receive(node, request);
}

}  // namespace omfs
