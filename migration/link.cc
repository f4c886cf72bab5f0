#include "migration/link.h"

#include <algorithm>
#include <cstring>

#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

constexpr size_t kHeader = 8;

uint32_t Load32(const std::byte* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

}  // namespace

absl::Status Link::Send(FrameType type, std::span<const iovec> parts) {
  uint32_t header[2] = {static_cast<uint32_t>(type), 0};
  iovec v[8];
  if (parts.size() >= std::size(v)) return Internal("frame of {} parts", parts.size());
  v[0] = {header, sizeof header};
  size_t total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    v[i + 1] = parts[i];
    total += parts[i].iov_len;
  }
  if (total > kMaxFrameBody) return InvalidArgument("frame of {} bytes is too long", total);
  header[1] = static_cast<uint32_t>(total);
  return stream_->Write(std::span<const iovec>(v, parts.size() + 1));
}

absl::Status Link::SendMessage(const LinkMessage& m) {
  std::string bytes = m.SerializeAsString();
  const iovec v{bytes.data(), bytes.size()};
  return Send(FrameType::kMessage, std::span<const iovec>(&v, 1));
}

absl::Status Link::SendMemory(uint64_t address, std::span<const std::byte> bytes) {
  constexpr size_t kPiece = 256 * 1024;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    const iovec v[2] = {{&address, sizeof address}, {const_cast<std::byte*>(piece.data()), piece.size()}};
    OMFS_RETURN_IF_ERROR(Send(FrameType::kMemory, v));
    address += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Link::Missing() const {
  if (buffer_.size() < kHeader) return kHeader - buffer_.size();
  const uint32_t type = Load32(buffer_.data());
  const uint32_t length = Load32(buffer_.data() + 4);
  if (type < 1 || type > 5 || length > kMaxFrameBody) {
    return absl::DataLossError(fmt::format("broken frame: type {} length {}", type, length));
  }
  return kHeader + length - buffer_.size();
}

Frame Link::Take() {
  Frame f;
  f.type = static_cast<FrameType>(Load32(buffer_.data()));
  buffer_.erase(buffer_.begin(), buffer_.begin() + kHeader);
  f.body = std::move(buffer_);
  buffer_.clear();
  return f;
}

absl::StatusOr<Frame> Link::Receive() {
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const size_t missing, Missing());
    if (missing == 0) return Take();
    const size_t have = buffer_.size();
    // TryReceive may have left part of a frame: continue it.
    buffer_.resize(have + missing);
    const absl::Status s = stream_->ReadExact(std::span(buffer_).subspan(have));
    if (!s.ok()) return s;
  }
}

absl::StatusOr<bool> Link::TryReceive(Frame* out) {
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const size_t missing, Missing());
    if (missing == 0) {
      *out = Take();
      return true;
    }
    const size_t have = buffer_.size();
    buffer_.resize(have + missing);
    auto n = stream_->TryRead(std::span(buffer_).subspan(have));
    buffer_.resize(have + (n.ok() ? *n : 0));
    if (!n.ok()) return n.status();
    if (*n == 0) return false;
  }
}

absl::StatusOr<LinkMessage> ParseMessage(const Frame& f) {
  LinkMessage m;
  if (f.type != FrameType::kMessage ||
      !m.ParseFromArray(f.body.data(), static_cast<int>(f.body.size()))) {
    return absl::DataLossError("expected a control message on the migration link");
  }
  return m;
}

}  // namespace omfs::migration
