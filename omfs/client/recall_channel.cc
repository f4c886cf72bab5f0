#include "omfs/client/recall_channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/client/hello.h"
#include "omfs/client/hlc.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

constexpr std::chrono::milliseconds kRetry{50};
// Recalls that are worked on at the same time. Each may wait for the kernel; further ones wait for
// these.
constexpr size_t kMostWorkers = 64;

absl::StatusOr<Recall> ReadRecall(TlsStream& stream, uint64_t generation) {
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  OMFS_RETURN_IF_ERROR(stream.ReadExact(packed));
  Header h;
  OMFS_RETURN_IF_ERROR(Header::Unpack(packed, &h));
  ClientClock::Get().Observe(h.hlc);
  if (h.op != OMFS_OP_RECALL || h.reply() || h.payload_len != 0) {
    return InvalidArgument("{} where a recall was due", OpName(h.op));
  }
  std::vector<std::byte> meta(h.meta_len);
  OMFS_RETURN_IF_ERROR(stream.ReadExact(meta));
  OMFS_ASSIGN_OR_RETURN(const auto r, DecodeRequest<omfs_recall_req>(h.op, meta));
  Recall recall;
  recall.fh = Fh{r.fixed.fh};
  recall.kind = Le32(r.fixed.kind);
  recall.caps = Le32(r.fixed.caps);
  recall.name = std::string(r.parts[0]);
  recall.stamp = {generation, h.cap_seq};
  return recall;
}

void SendAnswer(TlsStream& stream, uint64_t session, uint64_t seq) {
  Header h;
  h.op = OMFS_OP_RECALL;
  h.flags = OMFS_F_REPLY | OMFS_F_SERVER;
  h.session = session;
  h.cap_seq = seq;
  h.hlc = ClientClock::Get().Reading();
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  h.Pack(packed);
  // One that cannot be sent is asked for again when there is a new connection.
  if (!stream.Write(packed).ok()) stream.Shutdown();
}

}  // namespace

RecallChannel::RecallChannel(Link* link, std::function<void()> prepare, Handler handle)
    : link_(link), prepare_(std::move(prepare)), handle_(std::move(handle)) {
  thread_ = std::thread([this] { Run(); });
}

RecallChannel::~RecallChannel() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    if (stream_) stream_->Shutdown();
  }
  stop_.notify_all();
  work_.notify_all();
  thread_.join();
  std::vector<std::thread> workers;
  {
    std::lock_guard lock(mu_);
    workers.swap(workers_);
  }
  for (std::thread& t : workers) t.join();
}

bool RecallChannel::connected() const {
  std::lock_guard lock(mu_);
  return stream_ != nullptr && connected_generation_ == link_->generation();
}

void RecallChannel::Run() {
  for (;;) {
    const SessionKey key = link_->session_key();
    if (key.session != 0) {
      const absl::Status why = Serve(key);
      std::lock_guard lock(mu_);
      stream_.reset();
      if (!stopping_)
        spdlog::debug("recall connection ended node={} why={}", link_->node().value,
                      Quoted(Text(why)));
    }
    std::unique_lock lock(mu_);
    if (stop_.wait_for(lock, kRetry, [this] { return stopping_; })) return;
  }
}

absl::Status RecallChannel::Serve(const SessionKey& key) {
  prepare_();
  const LinkOptions& o = link_->options();
  OMFS_ASSIGN_OR_RETURN(std::unique_ptr<TlsStream> made,
                        TlsStream::Connect(link_->tls(), o.address, o.port, o.node,
                                           static_cast<int>(o.connect_timeout.count())));
  std::shared_ptr<TlsStream> stream = std::move(made);
  OMFS_ASSIGN_OR_RETURN(const omfs_hello_rep rep,
                        SayHello(*stream, {.client_id = key.client_id,
                                           .boot = key.boot,
                                           .session = key.session,
                                           .features = OMFS_FEATURE_RECALLS,
                                           .slots = 2,
                                           .own_node = link_->tls()->node()}));
  if (Le64(rep.session) != key.session || (Le32(rep.features) & OMFS_FEATURE_RECALLS) == 0) {
    return FailedPrecondition("does not take the connection for the session's recalls");
  }
  // No time limit: recalls may not come for days. A dead owner is noticed by the calls' connection,
  // and TCP itself.
  const int on = 1, idle = 5;
  setsockopt(stream->fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(stream->fd(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  {
    std::lock_guard lock(mu_);
    if (stopping_) return absl::CancelledError("stopping");
    stream_ = stream;
    connected_generation_ = key.generation;
  }
  spdlog::debug("recall connection node={} generation={}", link_->node().value, key.generation);
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(Recall recall, ReadRecall(*stream, key.generation));
    Post(stream, key.session, std::move(recall));
  }
}

void RecallChannel::Post(const std::shared_ptr<TlsStream>& stream, uint64_t session,
                         Recall recall) {
  std::lock_guard lock(mu_);
  jobs_.push_back({stream, std::move(recall), session});
  if (jobs_.size() > idle_ && workers_.size() < kMostWorkers)
    workers_.emplace_back([this] { Work(); });
  work_.notify_one();
}

void RecallChannel::Work() {
  std::unique_lock lock(mu_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    auto once = std::make_shared<std::atomic<bool>>(false);
    handle_(job.recall,
            [once, stream = job.stream, session = job.session, seq = job.recall.stamp.seq] {
              if (!once->exchange(true)) SendAnswer(*stream, session, seq);
            });
    job = Job();
    lock.lock();
  }
}

}  // namespace omfs
