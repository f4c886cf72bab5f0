// The layout of every operation's request metadata, as one table (request.cc): credentials, fixed
// structure, variable parts. Clients encode with it, the server decodes with it, so that the two
// cannot differ.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "omfs/wire/meta.h"

namespace omfs {

template <WirePod Fixed>
struct Request {
  Credentials creds;  // as default-constructed for HELLO and CANCEL, which carry none
  Fixed fixed;        // fields in wire byte order
  // The variable parts, empty where the operation has none: name; old and new name (RENAME); name
  // and target (SYMLINK); export path (HELLO). They point into the decoded metadata.
  std::array<std::string_view, 2> parts;
};

// PING and BYE, and other requests without a fixed structure.
struct NoFixedPart {};

namespace wire_internal {
// size: of the fixed structure, 0 for NoFixedPart. Checks that it is the operation's.
absl::Status Decode(uint16_t op, std::span<const std::byte> meta, Credentials* creds, void* fixed,
                    size_t size, std::array<std::string_view, 2>* parts);
void Encode(uint16_t op, const Credentials& creds, std::span<std::byte> fixed,
            std::array<std::string_view, 2> parts, MetaWriter* out);
}  // namespace wire_internal

// Takes the metadata of a request apart and checks lengths and names. kInvalidArgument says what
// was wrong.
template <WirePod Fixed>
absl::StatusOr<Request<Fixed>> DecodeRequest(uint16_t op, std::span<const std::byte> meta) {
  Request<Fixed> r;
  const size_t size = std::is_empty_v<Fixed> ? 0 : sizeof(Fixed);
  absl::Status s = wire_internal::Decode(op, meta, &r.creds, &r.fixed, size, &r.parts);
  if (!s.ok()) return s;
  return r;
}

// Appends the metadata of a request. Fills in the length fields of the variable parts; the caller
// has checked names with ValidName and knows that Fixed is the operation's structure (asserted).
template <WirePod Fixed>
void EncodeRequest(uint16_t op, const Credentials& creds, Fixed fixed, MetaWriter* out,
                   std::string_view first = {}, std::string_view second = {}) {
  const size_t size = std::is_empty_v<Fixed> ? 0 : sizeof(Fixed);
  wire_internal::Encode(op, creds, {reinterpret_cast<std::byte*>(&fixed), size}, {first, second},
                        out);
}

// Checks the metadata of any operation's request, and that only WRITE and SETXATTR carry a payload.
// kNotFound: no such operation. Else as DecodeRequest.
absl::Status CheckRequest(uint16_t op, std::span<const std::byte> meta, uint32_t payload_len);

// The longest payload a request of the operation may carry; 0 also for what is no operation.
uint32_t MaxPayload(uint16_t op);

// True for the operations that change something that a second execution would change again: their
// requests carry OMFS_F_CACHE.
bool IsNonIdempotent(uint16_t op);

}  // namespace omfs
