// Bytes of forwarded calls and their results. All numbers little-endian.
//
//   call    u8 version | u8 1 | u16 nr | u8 parts | u8[3] 0 | u32 lengths | u32 data bytes | u64
//   words[6]
//           parts x { u8 arg | u8 shape | u8 align | u8 0 | u32 in | u32 capacity | u32 lengths |
//           u32 name } u32 lengths[] | data
//   result  u8 version | u8 2 | u8 parts | u8 0 | u32 data bytes | i64 rax
//           parts x { u8 arg | u8[3] 0 | u32 size }
//           data
//
// The parts' data and lengths follow each other in the parts' order, so offsets do not travel. Both
// parsers accept exactly what the serialisers make and nothing beyond: every count is checked
// against what is there before anything is allocated for it, and the sums must use the bytes up.

#include <bit>
#include <cstring>

#include "migration/marshal.h"
#include "migration/marshal_layout.h"
#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint8_t kCallType = 1;
constexpr uint8_t kResultType = 2;
constexpr size_t kPartSize = 20;
constexpr size_t kResultPartSize = 8;

class Writer {
 public:
  explicit Writer(size_t size) { bytes_.reserve(size); }
  template <typename T>
  void Put(T value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), p, p + sizeof value);
  }
  void Zeros(size_t n) { bytes_.insert(bytes_.end(), n, 0); }
  void Append(const std::vector<uint8_t>& data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
  }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

// Reads past the end give 0 and make ok() false.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  template <typename T>
  T Get() {
    T value{};
    if (bytes_.size() < sizeof value) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  void ExpectZeros(size_t n) {
    for (size_t i = 0; i < n; ++i)
      if (Get<uint8_t>() != 0) ok_ = false;
  }
  std::span<const uint8_t> rest() const { return bytes_; }
  bool ok() const { return ok_; }

 private:
  std::span<const uint8_t> bytes_;
  bool ok_ = true;
};

}  // namespace

std::vector<uint8_t> Serialise(const ForwardCall& call) {
  Writer w(68 + call.parts.size() * kPartSize + call.lengths.size() * 4 + call.data.size());
  w.Put(kMarshalVersion);
  w.Put(kCallType);
  w.Put(call.nr);
  w.Put(static_cast<uint8_t>(call.parts.size()));
  w.Zeros(3);
  w.Put(static_cast<uint32_t>(call.lengths.size()));
  w.Put(static_cast<uint32_t>(call.data.size()));
  for (uint64_t word : call.words) w.Put(word);
  for (const CallPart& part : call.parts) {
    w.Put(part.arg);
    w.Put(static_cast<uint8_t>(part.shape));
    w.Put(part.align_log2);
    w.Zeros(1);
    w.Put(part.in_size);
    w.Put(part.capacity);
    w.Put(part.length_count);
    w.Put(part.name_size);
  }
  for (uint32_t length : call.lengths) w.Put(length);
  w.Append(call.data);
  return w.Take();
}

absl::StatusOr<ForwardCall> ParseCall(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxMessage) return InvalidArgument("call of {} bytes", bytes.size());
  Reader r(bytes);
  const auto version = r.Get<uint8_t>();
  const auto type = r.Get<uint8_t>();
  if (!r.ok() || version != kMarshalVersion || type != kCallType)
    return InvalidArgument("not a call of version {}", kMarshalVersion);
  ForwardCall call;
  call.nr = r.Get<uint16_t>();
  const auto parts = r.Get<uint8_t>();
  r.ExpectZeros(3);
  const auto lengths = r.Get<uint32_t>();
  const auto data_size = r.Get<uint32_t>();
  for (uint64_t& word : call.words) word = r.Get<uint64_t>();
  if (!r.ok() || parts > call.words.size() ||
      r.rest().size() != parts * kPartSize + uint64_t{lengths} * 4 + data_size)
    return InvalidArgument("call whose counts do not fit its {} bytes", bytes.size());

  uint64_t data_used = 0, lengths_used = 0;
  for (int k = 0; k < parts; ++k) {
    CallPart part;
    part.arg = r.Get<uint8_t>();
    const auto shape = r.Get<uint8_t>();
    part.align_log2 = r.Get<uint8_t>();
    r.ExpectZeros(1);
    part.in_size = r.Get<uint32_t>();
    part.capacity = r.Get<uint32_t>();
    part.length_count = r.Get<uint32_t>();
    part.name_size = r.Get<uint32_t>();
    part.shape = static_cast<CallPart::Shape>(shape);
    part.in_offset = static_cast<uint32_t>(data_used);
    part.first_length = static_cast<uint32_t>(lengths_used);
    data_used += part.in_size;
    lengths_used += part.length_count;
    const bool ascending = call.parts.empty() || call.parts.back().arg < part.arg;
    if (!r.ok() || shape > 2 || part.arg >= call.words.size() || !ascending ||
        data_used > data_size || lengths_used > lengths || part.in_size > part.capacity ||
        part.name_size > part.capacity)
      return InvalidArgument("call with a malformed part {}", k);
    call.parts.push_back(part);
  }
  if (data_used != data_size || lengths_used != lengths)
    return InvalidArgument("call with bytes that belong to no part");
  call.lengths.reserve(lengths);
  for (uint32_t k = 0; k < lengths; ++k) call.lengths.push_back(r.Get<uint32_t>());
  call.data.assign(r.rest().begin(), r.rest().end());
  OMFS_RETURN_IF_ERROR(CheckCall(call));
  return call;
}

std::vector<uint8_t> Serialise(const ForwardResult& result) {
  Writer w(16 + result.parts.size() * kResultPartSize + result.data.size());
  w.Put(kMarshalVersion);
  w.Put(kResultType);
  w.Put(static_cast<uint8_t>(result.parts.size()));
  w.Zeros(1);
  w.Put(static_cast<uint32_t>(result.data.size()));
  w.Put(result.rax);
  for (const ForwardResult::Part& part : result.parts) {
    w.Put(part.arg);
    w.Zeros(3);
    w.Put(part.size);
  }
  w.Append(result.data);
  return w.Take();
}

absl::StatusOr<ForwardResult> ParseResult(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxMessage) return InvalidArgument("result of {} bytes", bytes.size());
  Reader r(bytes);
  const auto version = r.Get<uint8_t>();
  const auto type = r.Get<uint8_t>();
  if (!r.ok() || version != kMarshalVersion || type != kResultType)
    return InvalidArgument("not a result of version {}", kMarshalVersion);
  ForwardResult result;
  const auto parts = r.Get<uint8_t>();
  r.ExpectZeros(1);
  const auto data_size = r.Get<uint32_t>();
  result.rax = r.Get<int64_t>();
  if (!r.ok() || parts > 6 || r.rest().size() != parts * kResultPartSize + uint64_t{data_size})
    return InvalidArgument("result whose counts do not fit its {} bytes", bytes.size());
  uint64_t used = 0;
  for (int k = 0; k < parts; ++k) {
    ForwardResult::Part part;
    part.arg = r.Get<uint8_t>();
    r.ExpectZeros(3);
    part.size = r.Get<uint32_t>();
    part.offset = static_cast<uint32_t>(used);
    used += part.size;
    const bool ascending = result.parts.empty() || result.parts.back().arg < part.arg;
    if (!r.ok() || part.arg >= 6 || part.size == 0 || !ascending || used > data_size)
      return InvalidArgument("result with a malformed part {}", k);
    result.parts.push_back(part);
  }
  if (used != data_size) return InvalidArgument("result with bytes that belong to no part");
  result.data.assign(r.rest().begin(), r.rest().end());
  return result;
}

}  // namespace omfs::migration
