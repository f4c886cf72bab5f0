// A client for tests that speaks the wire protocol message by message, so that a test can also do
// what no real client would: cut a message off, repeat it, send garbage.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "omfs/net/tls.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs::testing {

struct RawReply {
  Header header;
  std::vector<std::byte> meta;
  std::vector<std::byte> payload;

  uint32_t status() const { return header.status; }
  std::string payload_text() const {
    return {reinterpret_cast<const char*>(payload.data()), payload.size()};
  }
  template <WirePod T>
  T As() const {
    T out{};
    if (meta.size() >= sizeof out) memcpy(&out, meta.data(), sizeof out);
    return out;
  }
};

class RawClient {
 public:
  // One client instance; Connect makes connections for its session.
  RawClient(std::shared_ptr<TlsContext> tls, uint16_t port, uint8_t id, uint64_t boot = 1);

  absl::Status Connect();
  // HELLO; fills session, epoch, root. The reply's status is returned, or nullopt when the
  // connection closed.
  std::optional<RawReply> Hello(uint16_t version_min = OMFS_VERSION,
                                uint16_t version_max = OMFS_VERSION);
  // Connect and Hello, which must succeed.
  void Start();
  void Disconnect() { stream_.reset(); }

  // A request on a slot: the next sequence, or again the last one.
  template <WirePod Fixed>
  std::vector<std::byte> Encode(uint16_t op, const Fixed& fixed, std::string_view first = {},
                                std::string_view second = {}, std::string_view payload = {},
                                uint16_t slot = 0) {
    MetaWriter meta;
    EncodeRequest(op, creds, fixed, &meta, first, second);
    return Frame(op, meta.bytes(), payload, slot);
  }
  template <WirePod Fixed>
  RawReply Call(uint16_t op, const Fixed& fixed, std::string_view first = {},
                std::string_view second = {}, std::string_view payload = {}, uint16_t slot = 0) {
    return Exchange(Encode(op, fixed, first, second, payload, slot));
  }

  absl::Status Send(std::span<const std::byte> bytes);
  // nullopt: the connection closed.
  std::optional<RawReply> Receive();
  // Send and Receive; a closed connection is status ECONNRESET.
  RawReply Exchange(std::span<const std::byte> message);

  // Short forms.
  omfs_entry_rep Lookup(const omfs_fh& dir, const std::string& name);
  RawReply Create(const omfs_fh& dir, const std::string& name, uint32_t flags, uint32_t mode,
                  uint32_t inline_bytes = 0);
  RawReply Open(const omfs_fh& fh, uint32_t flags, uint32_t inline_bytes = 0);
  RawReply Write(uint64_t open_id, uint64_t offset, std::string_view data, uint32_t flags = 0);
  RawReply Read(uint64_t open_id, uint64_t offset, uint32_t size, uint16_t slot = 0);
  RawReply Close(uint64_t open_id, uint64_t lock_owner = 0);
  RawReply Lock(uint64_t open_id, uint64_t owner, short type, uint64_t start, uint64_t end,
                uint32_t flags = 0, uint16_t slot = 0);

  Credentials creds;
  omfs_fh root{};
  uint64_t session = 0;
  uint64_t epoch = 0;
  bool resumed = false;
  uint32_t flags = OMFS_F_CACHE;  // of requests
  std::array<uint32_t, OMFS_MAX_SLOTS> sequence{};
  uint64_t hlc = 0;  // that requests carry
  uint16_t node;  // that HELLO claims

 private:
  std::vector<std::byte> Frame(uint16_t op, std::span<const std::byte> meta,
                               std::string_view payload, uint16_t slot);

  std::shared_ptr<TlsContext> tls_;
  uint16_t port_;
  std::array<uint8_t, 16> id_{};
  uint64_t boot_;
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace omfs::testing
