// Fuzz target: bytes are taken as a message to the keeper, and received from a real socket with none, one or two
// descriptors.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "omfs/fdkeeper/message.h"

using omfs::ScopedFd;
using namespace omfs::fdkeeper;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> in(reinterpret_cast<const std::byte*>(data), size);
  for (size_t descriptors = 0; descriptors < 3; ++descriptors) {
    const auto message = Parse(in, descriptors);
    // Whatever is accepted must mean the same bytes again.
    if (message && memcmp(Pack(*message).data(), data, size) != 0) std::abort();
    if (message && descriptors > 1) std::abort();
  }
  // The same from a socket: nothing that is refused may leave a descriptor behind.
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  const ScopedFd a(ends[0]), b(ends[1]);
  char control[CMSG_SPACE(2 * sizeof(int))] = {};
  iovec part{const_cast<uint8_t*>(data), size};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  const size_t descriptors = size % 3;
  if (descriptors > 0) {
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    for (size_t i = 0; i < descriptors; ++i) memcpy(CMSG_DATA(c) + i * sizeof(int), &ends[0], sizeof(int));
  }
  if (sendmsg(a.get(), &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return 0;
  Message message;
  ScopedFd fd;
  const Received received = Receive(b.get(), &message, &fd);
  if (received != Received::kMessage && fd.valid()) std::abort();
  // The lowest free number tells whether one was left open.
  fd.reset();
  const ScopedFd next(dup(a.get()));
  static int highest = -1;
  if (highest >= 0 && next.get() > highest) std::abort();
  highest = next.get();
  return 0;
}
