#include "omfs/net/frame.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "omfs/base/status.h"

namespace omfs {
namespace {

absl::StatusOr<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path) return InvalidArgument("socket path too long: {}", path);
  memcpy(a.sun_path, path.c_str(), path.size() + 1);
  return a;
}

// Bytes read; fewer than size only at end of stream.
absl::StatusOr<size_t> ReadFully(int fd, void* data, size_t size) {
  size_t got = 0;
  while (got < size) {
    const ssize_t n = recv(fd, static_cast<char*>(data) + got, size - got, 0);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "local socket");
    got += n;
  }
  return got;
}

}  // namespace

absl::Status SendFrame(int fd, const std::string& bytes) {
  if (bytes.size() > kMaxFrame) return InvalidArgument("message of {} bytes is too long", bytes.size());
  const uint32_t size = bytes.size();
  std::string out(reinterpret_cast<const char*>(&size), 4);
  out += bytes;
  size_t sent = 0;
  while (sent < out.size()) {
    const ssize_t n = send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "local socket");
    sent += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReceiveFrame(int fd, size_t max) {
  uint32_t size = 0;
  OMFS_ASSIGN_OR_RETURN(size_t n, ReadFully(fd, &size, 4));
  if (n == 0) return absl::OutOfRangeError("closed");
  if (n < 4 || size > max) return absl::DataLossError("broken frame on local socket");
  std::string bytes(size, '\0');
  OMFS_ASSIGN_OR_RETURN(n, ReadFully(fd, bytes.data(), size));
  if (n < size) return absl::DataLossError("truncated frame on local socket");
  return bytes;
}

absl::StatusOr<ScopedFd> ConnectUnix(const std::string& path) {
  OMFS_ASSIGN_OR_RETURN(const sockaddr_un a, UnixAddress(path));
  ScopedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) {
    return ErrnoStatus(errno, path);
  }
  return fd;
}

absl::StatusOr<ScopedFd> ListenUnix(const std::string& path, mode_t mode) {
  OMFS_ASSIGN_OR_RETURN(const sockaddr_un a, UnixAddress(path));
  if (ConnectUnix(path).ok()) return absl::AlreadyExistsError(path + ": already in use");
  unlink(path.c_str());
  ScopedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoStatus(errno, "socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 ||
      chmod(path.c_str(), mode) != 0 || listen(fd.get(), 128) != 0) {
    return ErrnoStatus(errno, path);
  }
  return fd;
}

absl::StatusOr<ucred> PeerCredentials(int fd) {
  ucred c{};
  socklen_t len = sizeof c;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0) return ErrnoStatus(errno, "SO_PEERCRED");
  return c;
}

}  // namespace omfs
