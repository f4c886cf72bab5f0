#include "omfs/server/connection.h"

#include <sys/socket.h>

#include <array>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/session.h"
#include "omfs/wire/crc32c.h"
#include "omfs/wire/request.h"

namespace omfs {

Connection::Connection(std::unique_ptr<TlsStream> stream, std::string address, HybridClock* clock)
    : stream_(std::move(stream)), address_(std::move(address)), clock_(clock) {}

std::string Connection::Name() const {
  return fmt::format("node {} at {}", peer().value, address_);
}

absl::Status Connection::Receive(Message* message) {
  std::array<std::byte, OMFS_HDR_SIZE> raw;
  // The first byte apart: an end of stream before it is an ordinary one.
  if (!stream_->ReadExact(std::span(raw).first(1)).ok()) return absl::OutOfRangeError("closed");
  const auto truncated = [](const absl::Status& why) {
    return absl::DataLossError("truncated message: " + Text(why));
  };
  if (absl::Status s = stream_->ReadExact(std::span(raw).subspan(1)); !s.ok()) return truncated(s);
  Header& h = message->header;
  OMFS_RETURN_IF_ERROR(Header::Unpack(raw, &h));
  if (h.reply() && !carries_recalls_) return InvalidArgument("a reply where a request is due");
  if (h.payload_len > MaxPayload(h.op)) {
    return InvalidArgument("{} with {} bytes of payload", OpName(h.op), h.payload_len);
  }
  message->meta.resize(h.meta_len);
  if (absl::Status s = stream_->ReadExact(message->meta); !s.ok()) return truncated(s);
  message->payload = Buffer(h.payload_len);
  if (absl::Status s = stream_->ReadExact(message->payload.span()); !s.ok()) return truncated(s);
  if (h.flags & OMFS_F_CRC) {
    const uint32_t crc = Crc32c(message->payload.span(), Crc32c(message->meta));
    if (crc != h.crc) return InvalidArgument("checksum {:08x} instead of {:08x}", crc, h.crc);
  }
  if (!clock_->Merge(h.hlc) && !clock_complained_) {
    clock_complained_ = true;
    SPDLOG_WARN("{}: its clock is more than a day ahead of this node's: time stamps do not follow it", Name());
  }
  return absl::OkStatus();
}

void Connection::Send(const Header& header, std::span<const std::byte> meta,
                      std::span<const std::byte> payload) {
  Header h = header;
  if ((h.flags & OMFS_F_SERVER) == 0) h.flags |= OMFS_F_REPLY;
  h.meta_len = static_cast<uint32_t>(meta.size());
  h.payload_len = static_cast<uint32_t>(payload.size());
  h.hlc = clock_->Seen();
  h.crc = (h.flags & OMFS_F_CRC) ? Crc32c(payload, Crc32c(meta)) : 0;
  std::array<std::byte, OMFS_HDR_SIZE> raw;
  h.Pack(raw);
  const auto part = [](std::span<const std::byte> bytes) {
    return iovec{const_cast<std::byte*>(bytes.data()), bytes.size()};
  };
  const std::array<iovec, 3> parts = {part(raw), part(meta), part(payload)};
  if (!stream_->Write(parts).ok()) Close();
}

void Connection::StopReading() { shutdown(stream_->fd(), SHUT_RD); }

void Connection::Close() { stream_->Shutdown(); }

std::shared_ptr<Session> Connection::session() const {
  std::lock_guard lock(mutex_);
  return session_;
}

void Connection::set_session(std::shared_ptr<Session> session) {
  std::lock_guard lock(mutex_);
  session_ = std::move(session);
}

}  // namespace omfs
