#include "omfs/fdkeeper/message.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace omfs::fdkeeper {
namespace {

constexpr uint32_t kMagic = 0x4b44466f;  // "oFDK"
constexpr uint16_t kVersion = 1;

struct Wire {
  uint32_t magic;
  uint16_t version;
  uint16_t op;
  uint64_t count;
  uint8_t key[64];
};
static_assert(sizeof(Wire) == kMessageSize);

bool CarriesDescriptor(Op op) { return op == Op::kPut || op == Op::kItem; }

}  // namespace

Packed Pack(const Message& message) {
  Wire w{};
  w.magic = kMagic;
  w.version = kVersion;
  w.op = static_cast<uint16_t>(message.op);
  w.count = message.count;
  memcpy(w.key, message.key.data(), sizeof w.key);
  Packed out;
  memcpy(out.data(), &w, sizeof w);
  return out;
}

std::optional<Message> Parse(std::span<const std::byte> bytes, size_t descriptors) {
  Wire w;
  if (bytes.size() != sizeof w) return std::nullopt;
  memcpy(&w, bytes.data(), sizeof w);
  if (w.magic != kMagic || w.version != kVersion) return std::nullopt;
  if (w.op < static_cast<uint16_t>(Op::kPut) || w.op > static_cast<uint16_t>(Op::kEnd)) return std::nullopt;
  Message message;
  message.op = static_cast<Op>(w.op);
  message.count = w.count;
  memcpy(message.key.data(), w.key, sizeof w.key);
  if (descriptors != (CarriesDescriptor(message.op) ? 1U : 0U)) return std::nullopt;
  const bool answer = message.op == Op::kItem || message.op == Op::kEnd;
  if (!answer && message.count != 0) return std::nullopt;
  return message;
}

int Send(int socket, const Message& message, int fd, int flags) {
  Packed packed = Pack(message);
  iovec part{packed.data(), packed.size()};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  if (fd >= 0) {
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  while (sendmsg(socket, &m, flags | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

Received Receive(int socket, Message* message, ScopedFd* fd) {
  std::byte bytes[kMessageSize + 1];  // one more: a longer message shows
  iovec part{bytes, sizeof bytes};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? Received::kNothing : Received::kClosed;
  size_t descriptors = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    // The room for one is rounded up and may hold two.
    for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int one;
      memcpy(&one, CMSG_DATA(c) + at, sizeof one);
      ++descriptors;
      fd->reset(one);
    }
  }
  if ((m.msg_flags & MSG_CTRUNC) != 0) ++descriptors;
  if (n == 0 && descriptors == 0) return Received::kClosed;
  const auto parsed = Parse(std::span(bytes, static_cast<size_t>(n)), descriptors);
  if (!parsed) {
    fd->reset();
    return Received::kGarbage;
  }
  *message = *parsed;
  return Received::kMessage;
}

}  // namespace omfs::fdkeeper
