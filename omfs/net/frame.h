// Framed messages on a local stream socket: a 4-byte little-endian length, then the bytes (a protobuf).
// Used between the tools, omfsd and the agents it starts (proto/local.proto). Not for bytes from other nodes.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

inline constexpr size_t kMaxFrame = 16 * 1024 * 1024;

// Writes one frame; blocks.
absl::Status SendFrame(int fd, const std::string& bytes);
// Reads one frame of at most max bytes; blocks. kOutOfRange "closed" at a clean end of stream.
absl::StatusOr<std::string> ReceiveFrame(int fd, size_t max = kMaxFrame);

// Connects to / listens on a Unix stream socket. Listening replaces a dead socket file but fails with
// "already in use" when somebody answers on it. mode: permissions of the socket file.
absl::StatusOr<ScopedFd> ConnectUnix(const std::string& path);
absl::StatusOr<ScopedFd> ListenUnix(const std::string& path, mode_t mode);
// Credentials of the process at the other end, as of its connect.
absl::StatusOr<ucred> PeerCredentials(int fd);

}  // namespace omfs
