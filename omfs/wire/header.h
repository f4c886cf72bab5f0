// The 64-byte header of every message, in host byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "proto/omfs_wire.h"

namespace omfs {

using PackedHeader = std::span<std::byte, OMFS_HDR_SIZE>;
using ConstPackedHeader = std::span<const std::byte, OMFS_HDR_SIZE>;

struct Header {
  uint16_t version = OMFS_VERSION;
  uint16_t op = 0;      // enum omfs_op
  uint32_t flags = 0;   // OMFS_F_*
  uint32_t status = 0;  // reply: 0 or a positive errno
  uint64_t session = 0;
  uint16_t slot = 0;
  uint16_t credits = 0;
  uint32_t sequence = 0;
  uint32_t meta_len = 0;
  uint32_t payload_len = 0;
  uint64_t hlc = 0;
  uint32_t crc = 0;
  uint32_t caps = 0;     // OMFS_CAPS(object, directory)
  uint64_t cap_seq = 0;

  uint32_t object_caps() const { return caps & 0xffff; }
  uint32_t dir_caps() const { return caps >> 16; }
  bool reply() const { return (flags & OMFS_F_REPLY) != 0; }

  void Pack(PackedHeader out) const;

  // Reads and checks a header. kInvalidArgument: these bytes are no header of this protocol (the
  // message says which field and value). kUnimplemented: a header of a version that is not spoken
  // here; *out is filled all the same, so that a server can answer EPROTONOSUPPORT.
  static absl::Status Unpack(ConstPackedHeader in, Header* out);

  friend bool operator==(const Header&, const Header&) = default;
};

// "RENAME", or "op 77" for a number that is no operation.
std::string OpName(uint16_t op);

}  // namespace omfs
