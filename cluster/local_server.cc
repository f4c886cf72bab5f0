#include "cluster/local_server.h"

#include <sys/eventfd.h>
#include <poll.h>
#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/net/frame.h"
#include "proto/local.pb.h"

namespace omfs {
namespace {

constexpr size_t kMaxRequest = 64 * 1024;
constexpr size_t kMaxConnections = 512;
constexpr size_t kMaxConnectionsOfUser = 64;  // root has no such limit
constexpr timeval kIdleLimit{30, 0};

absl::Status SendReply(int fd, const local::Reply& reply) {
  return SendFrame(fd, reply.SerializeAsString());
}

local::Reply Refusal(int error, const std::string& text) {
  local::Reply reply;
  reply.set_error(error);
  reply.set_text(text);
  return reply;
}

}  // namespace

class LocalServer::Impl {
 public:
  Impl(ScopedFd listener, const std::string& path, Handler handler)
      : listener_(std::move(listener)),
        path_(path),
        handler_(std::move(handler)),
        wake_(eventfd(0, EFD_CLOEXEC)),
        acceptor_([this] { AcceptLoop(); }) {}

  ~Impl() { Stop(); }

  void Stop() {
    std::unique_lock lock(mutex_);
    if (!stopping_) {
      stopping_ = true;
      unlink(path_.c_str());
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
      // Wakes connections that wait for their next request; a reply can still be written.
      for (const auto& [fd, uid] : connections_) shutdown(fd, SHUT_RD);
    }
    ended_.wait(lock, [this] { return connections_.empty(); });
    lock.unlock();
    if (acceptor_.joinable()) acceptor_.join();
  }

 private:
  void AcceptLoop() {
    for (;;) {
      pollfd p[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      if (poll(p, 2, -1) < 0 && errno != EINTR) return;
      if (p[1].revents != 0) return;
      if (p[0].revents == 0) continue;
      ScopedFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd) {
        Admit(std::move(fd));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        spdlog::error("local_accept error={}", Quoted(strerror(errno)));
        poll(nullptr, 0, 100);  // the listener stays readable: do not spin on it
      }
    }
  }

  void Admit(ScopedFd fd) {
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kIdleLimit, sizeof kIdleLimit);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kIdleLimit, sizeof kIdleLimit);
    const auto caller = PeerCredentials(fd.get());
    if (!caller.ok()) return;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      const bool full = connections_.size() >= kMaxConnections ||
                        (caller->uid != 0 && of_user_[caller->uid] >= kMaxConnectionsOfUser);
      if (full) {
        (void)SendReply(fd.get(), Refusal(EAGAIN, "too many connections to omfsd"));
        return;
      }
      connections_[fd.get()] = caller->uid;
      ++of_user_[caller->uid];
    }
    std::thread([this, fd = std::move(fd), caller = *caller]() mutable {
      Serve(fd.get(), caller);
      std::lock_guard lock(mutex_);
      connections_.erase(fd.get());
      if (--of_user_[caller.uid] == 0) of_user_.erase(caller.uid);
      fd.reset();
      ended_.notify_all();
    }).detach();
  }

  void Serve(int fd, const ucred& caller) {
    for (;;) {
      const auto bytes = ReceiveFrame(fd, kMaxRequest);
      if (!bytes.ok()) {
        if (absl::IsDataLoss(bytes.status())) {
          spdlog::warn("local_refused uid={} pid={} reason={}", caller.uid, caller.pid,
                       Quoted(Text(bytes.status())));
        }
        return;
      }
      local::Request request;
      if (!request.ParseFromString(*bytes)) {
        spdlog::warn("local_refused uid={} pid={} reason=\"not a request\"", caller.uid, caller.pid);
        return;
      }
      if (!SendReply(fd, handler_(request, caller)).ok()) return;
    }
  }

  const ScopedFd listener_;
  const std::string path_;
  const Handler handler_;
  const ScopedFd wake_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool stopping_ = false;
  std::map<int, uid_t> connections_;  // by descriptor
  std::map<uid_t, size_t> of_user_;
  std::thread acceptor_;  // last: starts when all else is there
};

LocalServer::LocalServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalServer::~LocalServer() { Stop(); }
void LocalServer::Stop() { impl_->Stop(); }

std::unique_ptr<LocalServer> LocalServer::Start(ScopedFd listener, const std::string& path,
                                                Handler handler) {
  return std::unique_ptr<LocalServer>(
      new LocalServer(std::make_unique<Impl>(std::move(listener), path, std::move(handler))));
}

}  // namespace omfs
