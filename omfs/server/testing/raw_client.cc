#include "omfs/server/testing/raw_client.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "omfs/base/status.h"

namespace omfs::testing {

RawClient::RawClient(std::shared_ptr<TlsContext> tls, uint16_t port, uint8_t id, uint64_t boot)
    : node(tls->node().value), tls_(std::move(tls)), port_(port), boot_(boot) {
  id_[0] = id;
}

absl::Status RawClient::Connect() {
  auto stream = TlsStream::Connect(tls_, "127.0.0.1", port_, NodeId(), 5000);
  if (!stream.ok()) return stream.status();
  stream_ = std::move(*stream);
  return absl::OkStatus();
}

std::optional<RawReply> RawClient::Hello(uint16_t version_min, uint16_t version_max) {
  omfs_hello_req r{};
  memcpy(r.client_id, id_.data(), id_.size());
  r.boot = Le64(boot_);
  r.version_min = Le16(version_min);
  r.version_max = Le16(version_max);
  r.slots = Le32(16);
  r.node = Le16(node);
  MetaWriter meta;
  EncodeRequest(OMFS_OP_HELLO, creds, r, &meta);
  Header h;
  h.op = OMFS_OP_HELLO;
  h.session = session;
  h.meta_len = static_cast<uint32_t>(meta.size());
  std::vector<std::byte> bytes(OMFS_HDR_SIZE);
  h.Pack(PackedHeader(bytes.data(), OMFS_HDR_SIZE));
  bytes.insert(bytes.end(), meta.bytes().begin(), meta.bytes().end());
  if (!Send(bytes).ok()) return std::nullopt;
  auto reply = Receive();
  if (reply && reply->status() == 0) {
    const auto rep = reply->As<omfs_hello_rep>();
    session = Le64(rep.session);
    epoch = Le64(rep.epoch);
    root = rep.root;
    resumed = Le32(rep.resumed) != 0;
    if (!resumed) sequence.fill(0);
  }
  return reply;
}

void RawClient::Start() {
  const absl::Status s = Connect();
  ASSERT_TRUE(s.ok()) << s;
  const auto reply = Hello();
  ASSERT_TRUE(reply.has_value());
  ASSERT_EQ(reply->status(), 0U);
}

std::vector<std::byte> RawClient::Frame(uint16_t op, std::span<const std::byte> meta,
                                        std::string_view payload, uint16_t slot) {
  Header h;
  h.op = op;
  h.flags = flags;
  h.session = session;
  h.slot = slot;
  h.sequence = ++sequence[slot];
  h.meta_len = static_cast<uint32_t>(meta.size());
  h.payload_len = static_cast<uint32_t>(payload.size());
  std::vector<std::byte> out(OMFS_HDR_SIZE);
  h.hlc = hlc;
  h.Pack(PackedHeader(out.data(), OMFS_HDR_SIZE));
  out.insert(out.end(), meta.begin(), meta.end());
  const auto* p = reinterpret_cast<const std::byte*>(payload.data());
  out.insert(out.end(), p, p + payload.size());
  return out;
}

absl::Status RawClient::Send(std::span<const std::byte> bytes) {
  if (stream_ == nullptr) return absl::UnavailableError("not connected");
  return stream_->Write(bytes);
}

std::optional<RawReply> RawClient::Receive() {
  RawReply reply;
  std::array<std::byte, OMFS_HDR_SIZE> raw;
  if (stream_ == nullptr || !stream_->ReadExact(raw).ok()) return std::nullopt;
  EXPECT_TRUE(Header::Unpack(raw, &reply.header).ok());
  EXPECT_TRUE(reply.header.reply());
  reply.meta.resize(reply.header.meta_len);
  reply.payload.resize(reply.header.payload_len);
  if (!stream_->ReadExact(reply.meta).ok() || !stream_->ReadExact(reply.payload).ok()) {
    return std::nullopt;
  }
  return reply;
}

RawReply RawClient::Exchange(std::span<const std::byte> message) {
  std::optional<RawReply> reply;
  if (Send(message).ok()) reply = Receive();
  if (!reply) {
    reply.emplace();
    reply->header.status = ECONNRESET;
  }
  return std::move(*reply);
}

omfs_entry_rep RawClient::Lookup(const omfs_fh& dir, const std::string& name) {
  omfs_lookup_req r{};
  r.dir = dir;
  const RawReply reply = Call(OMFS_OP_LOOKUP, r, name);
  EXPECT_EQ(reply.status(), 0U) << name;
  return reply.As<omfs_entry_rep>();
}

RawReply RawClient::Create(const omfs_fh& dir, const std::string& name, uint32_t open_flags,
                           uint32_t mode, uint32_t inline_bytes) {
  omfs_create_req r{};
  r.dir = dir;
  r.flags = Le32(open_flags);
  r.mode = Le32(mode);
  r.inline_bytes = Le32(inline_bytes);
  return Call(OMFS_OP_CREATE, r, name);
}

RawReply RawClient::Open(const omfs_fh& fh, uint32_t open_flags, uint32_t inline_bytes) {
  omfs_open_req r{};
  r.fh = fh;
  r.flags = Le32(open_flags);
  r.inline_bytes = Le32(inline_bytes);
  return Call(OMFS_OP_OPEN, r);
}

RawReply RawClient::Write(uint64_t open_id, uint64_t offset, std::string_view data,
                          uint32_t write_flags) {
  omfs_write_req r{};
  r.open_id = Le64(open_id);
  r.offset = Le64(offset);
  r.flags = Le32(write_flags);
  return Call(OMFS_OP_WRITE, r, {}, {}, data);
}

RawReply RawClient::Read(uint64_t open_id, uint64_t offset, uint32_t size, uint16_t slot) {
  omfs_read_req r{};
  r.open_id = Le64(open_id);
  r.offset = Le64(offset);
  r.len = Le32(size);
  return Call(OMFS_OP_READ, r, {}, {}, {}, slot);
}

RawReply RawClient::Close(uint64_t open_id, uint64_t lock_owner) {
  omfs_close_req r{};
  r.open_id = Le64(open_id);
  r.lock_owner = Le64(lock_owner);
  return Call(OMFS_OP_CLOSE, r);
}

RawReply RawClient::Lock(uint64_t open_id, uint64_t owner, short type, uint64_t start, uint64_t end,
                         uint32_t lock_flags, uint16_t slot) {
  omfs_lock_req r{};
  r.open_id = Le64(open_id);
  r.owner = Le64(owner);
  r.flags = Le32(lock_flags);
  r.lock.start = Le64(start);
  r.lock.end = Le64(end);
  r.lock.type = Le32(static_cast<uint32_t>(type));
  r.lock.pid = Le32(4242);
  return Call(OMFS_OP_SETLK, r, {}, {}, {}, slot);
}

}  // namespace omfs::testing
