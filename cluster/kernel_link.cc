#include "cluster/kernel_link.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

#include "omfs-kernel/omfs_dev.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kConnectTimeoutMs = 5000;
constexpr auto kHelloTimeout = std::chrono::seconds(5);
constexpr auto kRetryInterval = std::chrono::seconds(1);
constexpr uint32_t kSlots = 64;
constexpr size_t kCarryBytes = 256 * 1024;

uint64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

absl::Status SendHello(TlsStream& stream, NodeId self) {
  omfs_hello_req hello{};
  if (RAND_bytes(hello.client_id, sizeof hello.client_id) != 1) return Internal("no random bytes");
  hello.boot = Le64(NowNs());
  hello.version_min = Le16(OMFS_VERSION);
  hello.version_max = Le16(OMFS_VERSION);
  hello.slots = Le32(kSlots);
  hello.node = Le16(self.value);

  MetaWriter meta;
  EncodeRequest(OMFS_OP_HELLO, Credentials(), hello, &meta);
  Header header;
  header.op = OMFS_OP_HELLO;
  header.meta_len = meta.size();
  header.hlc = NowNs() & ~uint64_t{0xffff};
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  header.Pack(packed);
  const iovec parts[] = {{packed.data(), packed.size()},
                         {const_cast<std::byte*>(meta.bytes().data()), meta.size()}};
  return stream.Write(parts);
}

// As TlsStream::ReadExact, but an owner that hangs must not keep this node from ending.
absl::Status ReadWithin(TlsStream& stream, std::span<std::byte> buffer, Clock::time_point deadline) {
  while (!buffer.empty()) {
    OMFS_ASSIGN_OR_RETURN(const size_t n, stream.TryRead(buffer));
    buffer = buffer.subspan(n);
    if (n > 0) continue;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd p{stream.fd(), POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&p, 1, static_cast<int>(left.count())) : 0;
    if (ready == 0) return Unavailable("HELLO is not answered");
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
  }
  return absl::OkStatus();
}

absl::StatusOr<omfs_hello_rep> ReceiveHello(TlsStream& stream) {
  const auto deadline = Clock::now() + kHelloTimeout;
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  OMFS_RETURN_IF_ERROR(ReadWithin(stream, packed, deadline));
  Header header;
  OMFS_RETURN_IF_ERROR(Header::Unpack(packed, &header));
  if (!header.reply() || header.op != OMFS_OP_HELLO) return InvalidArgument("no reply to HELLO");
  if (header.status != 0) return ErrnoStatus(static_cast<int>(header.status), "HELLO refused");
  omfs_hello_rep rep;
  if (header.meta_len != sizeof rep || header.payload_len != 0) {
    return InvalidArgument("HELLO's reply is malformed");
  }
  OMFS_RETURN_IF_ERROR(
      ReadWithin(stream, {reinterpret_cast<std::byte*>(&rep), sizeof rep}, deadline));
  return rep;
}

omfs_dev_attach AttachArgument(const omfs_hello_rep& hello, int fd) {
  omfs_dev_attach arg{};
  arg.dev_version = OMFS_DEV_VERSION;
  arg.fd = fd;
  arg.session = Le64(hello.session);
  arg.node = Le16(hello.node);
  arg.wire_version = Le16(hello.version);
  arg.slots = std::min<uint32_t>(Le32(hello.slots), OMFS_MAX_SLOTS);
  arg.lease_ms = Le32(hello.lease_ms);
  arg.max_payload = std::min<uint32_t>(Le32(hello.max_payload), OMFS_MAX_PAYLOAD);
  arg.root = hello.root;
  return arg;
}

}  // namespace

bool KernelClientPresent() { return access(OMFS_DEV_PATH, F_OK) == 0; }

absl::StatusOr<std::unique_ptr<KernelLink>> KernelLink::Make(const std::shared_ptr<TlsContext>& tls,
                                                             NodeId self, const NodeEntry& owner) {
  ScopedFd device(open(OMFS_DEV_PATH, O_RDWR | O_CLOEXEC));
  if (!device) return ErrnoStatus(errno, OMFS_DEV_PATH);
  OMFS_ASSIGN_OR_RETURN(
      auto stream,
      TlsStream::Connect(tls, owner.address, owner.data_port, owner.id, kConnectTimeoutMs));
  OMFS_RETURN_IF_ERROR(SendHello(*stream, self));
  OMFS_ASSIGN_OR_RETURN(const omfs_hello_rep hello, ReceiveHello(*stream));
  if (Le16(hello.node) != owner.id.value) {
    return InvalidArgument("reached node {} instead of node {}", Le16(hello.node), owner.id.value);
  }

  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  ScopedFd ours(pair[0]), modules(pair[1]);
  omfs_dev_attach arg = AttachArgument(hello, modules.get());
  if (ioctl(device.get(), OMFS_DEV_ATTACH, &arg) != 0) return ErrnoStatus(errno, OMFS_DEV_PATH);

  std::unique_ptr<KernelLink> link(new KernelLink(std::move(stream), std::move(ours)));
  link->device_ = std::move(device);
  link->id_ = arg.id;
  link->out_ = std::thread([l = link.get()] { l->CarryOut(); });
  link->in_ = std::thread([l = link.get()] { l->CarryIn(); });
  return link;
}

KernelLink::KernelLink(std::unique_ptr<TlsStream> stream, ScopedFd socket)
    : stream_(std::move(stream)), socket_(std::move(socket)) {}

KernelLink::~KernelLink() {
  End();
  Wait();
}

void KernelLink::Wait() {
  if (out_.joinable()) out_.join();
  if (in_.joinable()) in_.join();
}

void KernelLink::End() {
  stream_->Shutdown();
  shutdown(socket_.get(), SHUT_RDWR);
}

void KernelLink::CarryOut() {
  std::vector<std::byte> buffer(kCarryBytes);
  for (;;) {
    const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || !stream_->Write(std::span(buffer).first(n)).ok()) break;
  }
  End();
}

void KernelLink::CarryIn() {
  std::vector<std::byte> buffer(kCarryBytes);
  for (;;) {
    const absl::StatusOr<size_t> n = stream_->TryRead(buffer);
    if (!n.ok()) break;
    if (*n == 0) {
      pollfd p{stream_->fd(), POLLIN, 0};
      if (poll(&p, 1, -1) < 0 && errno != EINTR) break;
      continue;
    }
    size_t sent = 0;
    while (sent < *n) {
      const ssize_t w = send(socket_.get(), buffer.data() + sent, *n - sent, MSG_NOSIGNAL);
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) break;
      sent += w;
    }
    if (sent < *n) break;
  }
  End();
}

KernelClient::KernelClient(std::shared_ptr<TlsContext> tls, NodeId self,
                           std::vector<NodeEntry> owners)
    : tls_(std::move(tls)), self_(self), links_(owners.size()) {
  for (size_t i = 0; i < owners.size(); ++i) {
    keepers_.emplace_back([this, owner = owners[i], i] { Keep(owner, i); });
  }
}

KernelClient::~KernelClient() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    for (KernelLink* link : links_) {
      if (link != nullptr) link->End();
    }
  }
  stop_changed_.notify_all();
  for (std::thread& t : keepers_) t.join();
}

bool KernelClient::Pause() {
  std::unique_lock lock(mutex_);
  stop_changed_.wait_for(lock, kRetryInterval, [this] { return stop_; });
  return !stop_;
}

void KernelClient::Keep(const NodeEntry& owner, size_t index) {
  std::string last_error;
  do {
    auto link = KernelLink::Make(tls_, self_, owner);
    if (!link.ok()) {
      // Said once, not at each attempt.
      if (const std::string error = Text(link.status()); error != last_error) {
        spdlog::warn("kernel client: no link node={} error={}", owner.id.value, Quoted(error));
        last_error = error;
      }
      continue;
    }
    last_error.clear();
    spdlog::info("kernel client: link node={} conn={}", owner.id.value, (*link)->id());
    {
      std::lock_guard lock(mutex_);
      links_[index] = link->get();
      if (stop_) (*link)->End();
    }
    (*link)->Wait();
    {
      std::lock_guard lock(mutex_);
      links_[index] = nullptr;
    }
    spdlog::info("kernel client: link ended node={} conn={}", owner.id.value, (*link)->id());
  } while (Pause());
}

}  // namespace omfs
