#include "omfs/server/local_files.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/wire/local_files.h"

namespace omfs {
namespace {

constexpr size_t kMaxConnections = 128;

absl::StatusOr<ScopedFd> Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return InvalidArgument("{}: too long for a socket's name", path);
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ScopedFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoStatus(errno, "socket");
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || chmod(path.c_str(), 0600) != 0 ||
      listen(fd.get(), 64) != 0) {
    return ErrnoStatus(errno, path);
  }
  return fd;
}

bool IsRoot(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

bool Reply(int fd, int error, int descriptor) {
  LocalFilesReply reply{error};
  iovec part{&reply, sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof reply);
}

template <size_t N>
std::string TextOf(const char (&text)[N]) {
  return std::string(text, strnlen(text, N));
}

}  // namespace

class LocalFiles::Impl {
 public:
  Impl(ScopedFd listener, std::string path, Find find)
      : path_(std::move(path)), find_(std::move(find)), listener_(std::move(listener)), wake_(eventfd(0, EFD_CLOEXEC)) {
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~Impl() { Stop(); }

  std::vector<Mount> Mounts() const {
    std::vector<Mount> mounts;
    std::lock_guard lock(mutex_);
    for (const auto& [fd, mount] : connections_) {
      if (!mount.path.empty()) mounts.push_back(mount);
    }
    return mounts;
  }

  void Stop() {
    std::unique_lock lock(mutex_);
    if (!stopping_) {
      stopping_ = true;
      unlink(path_.c_str());
      eventfd_write(wake_.get(), 1);
      for (const auto& [fd, mount] : connections_) shutdown(fd, SHUT_RDWR);
    }
    ended_.wait(lock, [this] { return connections_.empty(); });
    lock.unlock();
    if (acceptor_.joinable()) acceptor_.join();
  }

 private:
  void Accept() {
    for (;;) {
      pollfd fds[] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      poll(fds, 2, -1);
      if (fds[1].revents != 0) return;
      if (fds[0].revents == 0) continue;
      ScopedFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd) {
        Admit(std::move(fd));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        SPDLOG_ERROR("{}: {}", path_, strerror(errno));
        poll(nullptr, 0, 100);  // the listener stays readable: do not spin on it
      }
    }
  }

  void Admit(ScopedFd fd) {
    if (!IsRoot(fd.get())) return;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || connections_.size() >= kMaxConnections) return;
      connections_.emplace(fd.get(), Mount());
    }
    std::thread([this, fd = std::move(fd)]() mutable {
      ThreadIdentity::Enter();
      while (Serve(fd.get())) {
      }
      std::lock_guard lock(mutex_);
      connections_.erase(fd.get());
      fd.reset();
      ended_.notify_all();
    }).detach();
  }

  // One request. False: the connection is over.
  bool Serve(int fd) {
    LocalFilesRequest request;
    if (recv(fd, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) return false;
    if (request.version != kLocalFilesVersion) {
      SPDLOG_WARN("{}: a program of version {} was refused, this is {}", path_, request.version, kLocalFilesVersion);
      return false;
    }
    switch (request.kind) {
      case LocalFilesRequest::kDescriptor: {
        const auto found = find_(SessionId{request.session}, OpenId{request.open}, request.object);
        return found.ok() ? Reply(fd, 0, found->get()) : Reply(fd, found.error().value, -1);
      }
      case LocalFilesRequest::kMount: {
        {
          std::lock_guard lock(mutex_);
          connections_[fd] = {TextOf(request.path), request.passthrough != 0, TextOf(request.detail)};
        }
        return Reply(fd, 0, -1);
      }
      default:
        return Reply(fd, EINVAL, -1);
    }
  }

  const std::string path_;
  const Find find_;
  const ScopedFd listener_;
  const ScopedFd wake_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  bool stopping_ = false;             // guarded by mutex_
  std::map<int, Mount> connections_;  // by descriptor; guarded by mutex_
  std::thread acceptor_;
};

absl::StatusOr<std::unique_ptr<LocalFiles>> LocalFiles::Start(const std::string& path, Find find) {
  OMFS_ASSIGN_OR_RETURN(ScopedFd listener, Listen(path));
  return std::unique_ptr<LocalFiles>(new LocalFiles(std::make_unique<Impl>(std::move(listener), path, std::move(find))));
}

LocalFiles::LocalFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalFiles::~LocalFiles() { Stop(); }
std::vector<LocalFiles::Mount> LocalFiles::Mounts() const { return impl_->Mounts(); }
void LocalFiles::Stop() { impl_->Stop(); }

}  // namespace omfs
