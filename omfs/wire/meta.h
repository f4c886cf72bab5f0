// Metadata: what stands between a message's header and its payload. A writer appends the parts, a
// reader takes them in the same order; both work on the packed structures of proto/omfs_wire.h,
// whose fields stay in wire byte order (see endian.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/omfs_wire.h"

namespace omfs {

// Who asks, in host byte order.
struct Credentials {
  uint32_t uid = 0;              // fsuid
  uint32_t gid = 0;              // fsgid
  uint32_t umask = 0;            // 0..0777
  std::vector<uint32_t> groups;  // supplementary

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// Whether name may stand for a directory entry on the wire: 1..255 bytes, no '/', no NUL, not "."
// or "..".
bool ValidName(std::string_view name);

template <typename T>
concept WirePod = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>;

// Not thread-safe.
class MetaWriter {
 public:
  template <WirePod T>
  MetaWriter& Pod(const T& value) {
    return Bytes({reinterpret_cast<const char*>(&value), sizeof value});
  }
  MetaWriter& Bytes(std::string_view bytes);
  MetaWriter& Creds(const Credentials& creds);

  std::span<const std::byte> bytes() const { return bytes_; }
  std::vector<std::byte> Take() && { return std::move(bytes_); }
  size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads over bytes it does not own; what it returns as a view points into them. Every error is
// kInvalidArgument and names the part that was wrong. Not thread-safe.
class MetaReader {
 public:
  explicit MetaReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <WirePod T>
  absl::Status Pod(T* out) {
    return Copy(out, sizeof *out);
  }
  absl::StatusOr<std::string_view> Bytes(size_t size, std::string_view what);
  // A directory entry's name, see ValidName.
  absl::StatusOr<std::string_view> Name(size_t size);
  absl::Status Creds(Credentials* out);
  // Nothing may follow the last part.
  absl::Status End() const;

  size_t left() const { return rest_.size(); }

 private:
  absl::Status Copy(void* out, size_t size);

  std::span<const std::byte> rest_;
};

}  // namespace omfs
