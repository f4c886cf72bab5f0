#include "omfs/server/data_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/server/intent.h"
#include "omfs/server/listener.h"
#include "omfs/server/lock_table.h"
#include "omfs/server/native_guard.h"
#include "omfs/server/orphans.h"
#include "omfs/wire/request.h"

// Shutting down goes against the way of a request: first no more requests come in, then those under
// way are finished (those that wait for locks are given up), then the connections close, then the
// sessions end. The store keeps the sessions: a client that finds the next omfsd resumes its own.

namespace omfs {
namespace {

constexpr size_t kWorkers = 64;
constexpr auto kTick = std::chrono::seconds(1);
// More than a lease for clients to come back and make their opens again.
constexpr auto kReclaimTime = std::chrono::seconds(10);
// How long the fd-keeper waits for the next daemon, more than ten leases: an upgrade takes its time, and what clients
// have open is good again whenever they come back.
constexpr auto kKeeperPatience = std::chrono::minutes(10);

}  // namespace

class DataServer::Impl {
 public:
  Impl(const Config& config, std::shared_ptr<TlsContext> tls, std::shared_ptr<Store> store,
       std::unique_ptr<Export> tree, std::string fdkeeper)
      : config_(config),
        store_(std::move(store)),
        tree_(std::move(tree)),
        fdkeeper_(std::move(fdkeeper)),
        clock_(config_.clock_offset_ms * 1'000'000),
        locks_([this](const omfs_fh& object) { lock_waiters_.Wake(object); }),
        caps_([this](const CapRecall& recall) { SendRecall(recall); },
              [this](const omfs_fh& object) { guard_.Idle(object); }),
        guard_(tree_.get(), &caps_),
        stamps_(&clock_, store_.get()),
        orphans_(tree_.get()),
        services_{*tree_, locks_, lock_waiters_, caps_, guard_, contents_, stamps_, orphans_, config_.root_squash, store_->epoch(),
                  [this](const std::shared_ptr<Operation>& op) { dispatcher_.Resume(op); },
                  [this](const std::shared_ptr<Operation>& op, const std::vector<CapClaim>& claims) {
                    return dispatcher_.RecordIntent(op, claims);
                  }},
        sessions_(store_.get(), std::chrono::milliseconds(config_.lease_ms),
                  [this](Session& s) { OnSessionEnd(s); }),
        workers_(kWorkers),
        dispatcher_(services_, &sessions_, store_.get(), &workers_),
        greeting_(&config_, store_->epoch(), tree_.get(), &sessions_, &caps_),
        listener_(std::move(tls), &greeting_, &dispatcher_, &clock_) {}

  ~Impl() { Stop(); }

  absl::Status Start() {
    OMFS_RETURN_IF_ERROR(stamps_.Load());
    tree_->set_stamps(&stamps_);
    OMFS_RETURN_IF_ERROR(DecideFatesOfIntents());
    OMFS_RETURN_IF_ERROR(sessions_.Load());
    caps_.StartGrace(sessions_.Caching());
    StartOrphans();
    NativeWatch::Options watching;
    watching.patience = std::chrono::milliseconds(config_.lease_ms) * 2;
    OMFS_RETURN_IF_ERROR(guard_.Start(watching));
    lock_waiters_.Start([this](const auto& op) { return dispatcher_.TryAgain(op); },
                        [this](const auto& op, Errno e) { dispatcher_.GiveUp(op, e); });
    OMFS_RETURN_IF_ERROR(listener_.Start(config_.listen, config_.data_port));
    ticking_ = std::thread([this] { Tick(); });
    SPDLOG_INFO("native changes: {}", guard_.Describe());
    SPDLOG_INFO("data server: export={} address={} port={} epoch={}", Quoted(config_.export_path),
                config_.listen, listener_.port(), store_->epoch());
    return absl::OkStatus();
  }

  ErrnoOr<omfs_fh> Identify(int fd) const { return tree_->HandleOf(fd); }

  ErrnoOr<ScopedFd> Descriptor(SessionId id, OpenId open_id, const omfs_fh& object) const {
    const std::shared_ptr<Session> session = sessions_.Find(id);
    if (session == nullptr || session->client().node != config_.node) return Errno(ESTALE);
    const OpenRef open = session->opens().Find(open_id);
    if (open == nullptr || !HandleEqual()(open->inode->handle(), object)) return Errno(ESTALE);
    if (!S_ISREG(open->inode->type())) return Errno(EINVAL);
    ScopedFd fd(fcntl(open->inode->fd(), F_DUPFD_CLOEXEC, 0));
    if (!fd) return Errno::Last();
    return fd;
  }

  void Stop() {
    std::call_once(stop_once_, [this] {
      {
        std::lock_guard lock(mutex_);
        stopping_ = true;
      }
      tick_.notify_all();
      if (ticking_.joinable()) ticking_.join();
      listener_.StopReading();
      lock_waiters_.Stop();
      guard_.Stop();
      workers_.Drain();
      listener_.Close();
      orphans_.Stop();
      sessions_.Suspend();
    });
  }

  std::string NativeChanges() const { return guard_.Describe(); }
  ServerStats stats() const {
    const Orphans::Stats orphans = orphans_.stats();
    return {sessions_.sessions(), sessions_.opens(), orphans.kept, orphans.keeper_runs};
  }
  uint16_t port() const { return listener_.port(); }

 private:
  // On a thread of its own, as it takes on clients' identities.
  absl::Status DecideFatesOfIntents() {
    absl::Status result;
    std::thread([&] {
      ThreadIdentity::Enter();
      OpenTable::Numbers none(store_->epoch());
      result = DecideFates(services_, store_.get(), &none);
    }).join();
    return result;
  }

  void SendRecall(const CapRecall& recall) {
    const std::shared_ptr<Session> session = sessions_.Find(recall.session);
    const std::shared_ptr<Connection> connection = session != nullptr ? session->recalls() : nullptr;
    if (connection == nullptr) return;  // sent when there is one (CapTable::Reconnected)
    omfs_recall_req req{};
    req.fh = recall.object;
    req.kind = Le32(recall.kind);
    req.caps = Le32(recall.caps);
    MetaWriter meta;
    EncodeRequest(OMFS_OP_RECALL, {}, req, &meta, recall.entry);
    Header h;
    h.op = OMFS_OP_RECALL;
    h.flags = OMFS_F_SERVER;
    h.session = recall.session.value;
    h.cap_seq = recall.seq;
    connection->Send(h, meta.bytes(), {});
  }

  void StartOrphans() {
    const std::chrono::milliseconds lease(config_.lease_ms);
    Orphans::Options options;
    options.keeper.program = fdkeeper_;
    options.keeper.state_dir = config_.state_dir;
    options.keeper.patience = std::chrono::ceil<std::chrono::seconds>(lease * 10) + kKeeperPatience;
    options.grace = lease * 2 + kReclaimTime;
    orphans_.Start(options, sessions_.Remembered());
  }

  void OnSessionEnd(Session& session) {
    caps_.EndSession(session.id());
    orphans_.Gone(session.client().client_id);
    lock_waiters_.EndSession(session.id());
    locks_.EndSession(session.id());
  }

  void Tick() {
    ThreadIdentity::Enter();
    const auto interval = std::min<std::chrono::milliseconds>(
        kTick, std::chrono::milliseconds(config_.lease_ms / 4 + 1));
    std::unique_lock lock(mutex_);
    while (!tick_.wait_for(lock, interval, [this] { return stopping_; })) {
      lock.unlock();
      sessions_.Expire();
      if (caps_.in_grace() && std::chrono::steady_clock::now() - started_ > std::chrono::milliseconds(config_.lease_ms)) {
        SPDLOG_INFO("grace period ended by time: not all clients have come back");
        caps_.EndGrace();
      }
      // Whoever lives but leaves a recall unanswered does not keep others waiting either.
      for (const SessionId id : caps_.Overdue(std::chrono::milliseconds(config_.lease_ms))) {
        const std::shared_ptr<Session> session = sessions_.Find(id);
        if (session == nullptr) continue;
        SPDLOG_WARN("a recall was not answered within the lease, session ended: node={} session={}",
                    session->client().node.value, id.value);
        sessions_.End(session);
      }
      listener_.Sweep();
      tree_->Sweep();
      orphans_.Tick();
      lock.lock();
    }
  }

  const Config config_;
  const std::shared_ptr<Store> store_;
  const std::unique_ptr<Export> tree_;
  const std::string fdkeeper_;
  HybridClock clock_;
  LockWaiters lock_waiters_;
  LockTable locks_;
  CapTable caps_;
  NativeGuard guard_;
  ContentsLock contents_;
  Stamps stamps_;
  Orphans orphans_;
  Services services_;
  SessionTable sessions_;
  WorkerPool workers_;
  Dispatcher dispatcher_;
  Greeting greeting_;
  Listener listener_;

  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::once_flag stop_once_;
  std::mutex mutex_;
  std::condition_variable tick_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread ticking_;
};

absl::StatusOr<std::unique_ptr<DataServer>> DataServer::Start(const Config& config,
                                                              std::shared_ptr<TlsContext> tls,
                                                              std::shared_ptr<Store> store,
                                                              const std::string& fdkeeper) {
  OMFS_RETURN_IF_ERROR(ThreadIdentity::Prepare());
  OMFS_ASSIGN_OR_RETURN(auto tree,
                        Export::Open(config.export_path, store->handle_secret(), store->epoch()));
  auto impl = std::make_unique<Impl>(config, std::move(tls), std::move(store), std::move(tree), fdkeeper);
  OMFS_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<DataServer>(new DataServer(std::move(impl)));
}

DataServer::DataServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DataServer::~DataServer() = default;

std::string DataServer::NativeChanges() const { return impl_->NativeChanges(); }
ServerStats DataServer::stats() const { return impl_->stats(); }
ErrnoOr<omfs_fh> DataServer::Identify(int fd) const { return impl_->Identify(fd); }

ErrnoOr<ScopedFd> DataServer::Descriptor(SessionId session, OpenId open, const omfs_fh& object) const {
  return impl_->Descriptor(session, open, object);
}
uint16_t DataServer::port() const { return impl_->port(); }
void DataServer::Stop() { impl_->Stop(); }

}  // namespace omfs
