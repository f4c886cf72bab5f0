// HELLO: the first exchange on every connection to an owner.
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "omfs/net/tls.h"
#include "proto/omfs_wire.h"

namespace omfs {

struct HelloWish {
  std::array<uint8_t, 16> client_id{};
  uint64_t boot = 0;      // of the client instance, ns since 1970
  uint64_t session = 0;   // the one that is to be resumed; 0: none
  uint32_t features = 0;  // OMFS_FEATURE_*
  uint32_t slots = 0;
  NodeId own_node;
};

// Says HELLO and waits for the answer, which has been checked for what its fields must be.
// kFailedPrecondition: the owner refuses. kInvalidArgument: the answer makes no sense.
absl::StatusOr<omfs_hello_rep> SayHello(TlsStream& stream, const HelloWish& wish);

}  // namespace omfs
