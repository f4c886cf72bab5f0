#include "omfs/client/local_owner.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "omfs/wire/local_files.h"

namespace omfs {
namespace {

// omfsd waits for nobody before it answers.
constexpr timeval kPatience{3, 0};
constexpr int kPauseMs = 500;  // before omfsd is looked for again

ErrnoOr<ScopedFd> Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Errno(ENAMETOOLONG);
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ScopedFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return Errno::Last();
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Errno::Last();
  return fd;
}

// What omfsd answers: its errno, and the descriptor if it sent one. Not ok(): it did not answer.
struct Answer {
  Errno error;
  ScopedFd descriptor;
};

ErrnoOr<Answer> Exchange(int fd, const LocalFilesRequest& request) {
  if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof request)) return Errno(EPIPE);
  LocalFilesReply reply;
  iovec part{&reply, sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  Answer answer;
  for (cmsghdr* c = n >= 0 ? CMSG_FIRSTHDR(&message) : nullptr; c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int))) continue;
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(c), sizeof descriptor);
    answer.descriptor.reset(descriptor);
  }
  if (n != static_cast<ssize_t>(sizeof reply)) return Errno(EPIPE);
  answer.error = Errno(reply.error);
  return answer;
}

template <size_t N>
void Put(char (&to)[N], const std::string& text) {
  memcpy(to, text.data(), std::min(text.size(), N));
}

}  // namespace

LocalOwner::~LocalOwner() {
  if (!announcing_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  announcing_.join();
}

ErrnoOr<ScopedFd> LocalOwner::Descriptor(uint64_t session, uint64_t open, const Fh& object) {
  LocalFilesRequest request;
  request.kind = LocalFilesRequest::kDescriptor;
  request.session = session;
  request.open = open;
  request.object = object.raw;
  std::lock_guard lock(mu_);
  // Of a connection that a former omfsd has left behind nothing can be learned but that.
  const bool had_one = connection_.valid();
  for (int attempt = had_one ? 0 : 1; attempt < 2; ++attempt) {
    if (!connection_) {
      auto made = Connect(path_);
      if (!made.ok()) return made.error();
      connection_ = std::move(*made);
    }
    auto answer = Exchange(connection_.get(), request);
    if (!answer.ok()) {
      connection_.reset();
      continue;
    }
    if (!answer->error.ok()) return answer->error;
    if (!answer->descriptor) return Errno(EPROTO);
    return std::move(answer->descriptor);
  }
  return Errno(EPIPE);
}

void LocalOwner::Announce(const std::string& mount_path, bool passthrough, const std::string& detail) {
  mount_path_ = mount_path;
  passthrough_ = passthrough;
  detail_ = detail;
  stop_.reset(eventfd(0, EFD_CLOEXEC));
  announcing_ = std::thread([this] { KeepAnnounced(); });
}

void LocalOwner::KeepAnnounced() {
  LocalFilesRequest request;
  request.kind = LocalFilesRequest::kMount;
  request.passthrough = passthrough_ ? 1 : 0;
  Put(request.path, mount_path_);
  Put(request.detail, detail_);
  pollfd fds[] = {{-1, 0, 0}, {stop_.get(), POLLIN, 0}};
  for (;;) {
    ScopedFd connection;
    if (auto made = Connect(path_); made.ok() && Exchange(made->get(), request).ok()) connection = std::move(*made);
    // Until the connection ends: omfsd sends nothing by itself.
    fds[0] = {connection.get(), POLLIN, 0};
    while (poll(fds, 2, connection ? -1 : kPauseMs) < 0 && errno == EINTR) {
    }
    if (fds[1].revents != 0) return;
  }
}

}  // namespace omfs
