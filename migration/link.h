// Link: the framed connection between a deputy's agent and a keeper.
//
// A frame is: type (4 bytes), length (4 bytes), both little-endian, then `length` bytes. Control messages are protobufs
// (proto/migration.proto); memory, forwarded calls and their results are raw, so that the hot paths copy little.
// One thread reads; sending is thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/net/tls.h"
#include "proto/migration.pb.h"

namespace omfs::migration {

enum class FrameType : uint32_t {
  kMessage = 1,  // LinkMessage
  kMemory = 2,   // u64 address, then page contents
  kFileData = 3, // u64 index in Image.files, u64 offset, then contents
  kCall = 4,     // u64 call number, then a ForwardCall (migration/marshal.h)
  kResult = 5,   // u64 call number, then a ForwardResult
};

struct Frame {
  FrameType type = FrameType::kMessage;
  std::vector<std::byte> body;
};

inline constexpr size_t kMaxFrameBody = 4 * 1024 * 1024;

class Link {
 public:
  explicit Link(std::unique_ptr<TlsStream> stream) : stream_(std::move(stream)) {}

  int fd() const { return stream_->fd(); }
  NodeId peer() const { return stream_->peer(); }

  absl::Status Send(FrameType type, std::span<const iovec> parts);
  absl::Status SendMessage(const LinkMessage& m);
  // Memory of `bytes` at `address` (kMemory), split into frames.
  absl::Status SendMemory(uint64_t address, std::span<const std::byte> bytes);

  // Blocks for the next frame.
  absl::StatusOr<Frame> Receive();
  // The next frame if it is here completely; false if not. Must be called until false before polling fd() again.
  absl::StatusOr<bool> TryReceive(Frame* out);

  void Shutdown() { stream_->Shutdown(); }

 private:
  // Bytes of the next frame that buffer_ misses; 0 = complete. Error for a frame that cannot be.
  absl::StatusOr<size_t> Missing() const;
  Frame Take();

  std::unique_ptr<TlsStream> stream_;
  std::vector<std::byte> buffer_;  // the frame under way
};

absl::StatusOr<LinkMessage> ParseMessage(const Frame& f);

}  // namespace omfs::migration
