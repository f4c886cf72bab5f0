// The fd-keeper: a tiny process beside omfsd that holds descriptors, so that what has no name any more but is open
// through /mfs outlives omfsd.
//
// An object without a name lives as long as some process has a descriptor of it. While omfsd is dead - killed, or
// replaced by a newer one - that process is the keeper. omfsd hands it a descriptor at the moment the object becomes
// nameless (omfs/server/orphans.h says when); the next omfsd asks for all of them. The keeper knows nothing of files:
// it maps keys to descriptors.
//
// The socket is of type SOCK_SEQPACKET, so that a message is a datagram: this fixed structure and at most one
// descriptor (SCM_RIGHTS). A descriptor that was sent is safe at once, also before the keeper has read it: it lies in
// the keeper's socket. PUT and DROP are therefore not answered. Both ends are on one machine, possibly of different
// builds: the format below never changes, a new one gets another version.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "omfs/base/scoped_fd.h"

namespace omfs::fdkeeper {

// Opaque to the keeper; omfsd's are file handles (struct omfs_fh), which name the export too.
using Key = std::array<uint8_t, 64>;

enum class Op : uint16_t {
  kPut = 1,   // omfsd: hold this descriptor under the key, in place of an earlier one
  kDrop = 2,  // omfsd: close what is held under the key, if anything is
  kNext = 3,  // omfsd: give me what follows the key, in the keys' order; answered with kItem or kEnd
  kItem = 4,  // keeper: key and descriptor, which it goes on holding
  kEnd = 5,   // keeper: nothing follows
};

struct Message {
  Op op = Op::kEnd;
  uint64_t count = 0;  // kItem, kEnd: how many are held; else 0
  Key key{};

  friend bool operator==(const Message&, const Message&) = default;
};

inline constexpr size_t kMessageSize = 80;
using Packed = std::array<std::byte, kMessageSize>;

Packed Pack(const Message& message);
// nullopt: not a message of this version. descriptors: how many came with it.
std::optional<Message> Parse(std::span<const std::byte> bytes, size_t descriptors);

// Sends a message, with a descriptor unless fd is -1. flags: of sendmsg. Returns a positive errno or 0.
int Send(int socket, const Message& message, int fd = -1, int flags = 0);

enum class Received { kMessage, kClosed, kNothing, kGarbage };
// Takes one message from the socket; a descriptor that came with it is the caller's. kNothing: none is there (or none
// has come within the socket's timeout). Descriptors of what is no message are closed.
Received Receive(int socket, Message* message, ScopedFd* fd);

}  // namespace omfs::fdkeeper
