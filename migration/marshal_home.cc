// The home's side of marshalling: the deputy's data area is filled before the call and read after
// it.

#include <algorithm>
#include <cstring>

#include "migration/marshal.h"
#include "migration/marshal_layout.h"
#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

template <typename T>
void Store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// msghdr of <linux/socket.h> (struct user_msghdr).
constexpr size_t kMsgName = 0, kMsgNameLen = 8, kMsgIov = 16, kMsgIovLen = 24, kMsgFlags = 48;

// The iovec array for contiguous data at `data`, as the deputy sees it.
void WriteIovecs(const ForwardCall& call, const CallPart& part, uint64_t data, uint8_t* to) {
  for (uint32_t k = 0; k < part.length_count; ++k) {
    const uint32_t length = call.lengths[part.first_length + k];
    Store<uint64_t>(to + k * kIovecSize, data);
    Store<uint64_t>(to + k * kIovecSize + 8, length);
    data += length;
  }
}

// Buffers that only as many bytes are taken from as the kernel says it wrote need not be cleared.
bool ReadsByResult(ArgKind kind) {
  return kind == ArgKind::kOutBuf || kind == ArgKind::kOutArray || kind == ArgKind::kIovOut ||
         kind == ArgKind::kMsgOut;
}

void Add(ForwardResult& result, uint8_t arg, std::span<const uint8_t> bytes) {
  if (bytes.empty()) return;
  if (result.parts.empty() || result.parts.back().arg != arg)
    result.parts.push_back({arg, static_cast<uint32_t>(result.data.size()), 0});
  result.parts.back().size += static_cast<uint32_t>(bytes.size());
  result.data.insert(result.data.end(), bytes.begin(), bytes.end());
}

}  // namespace

absl::StatusOr<PlacedCall> Place(const ForwardCall& call, uint64_t data_base,
                                 std::span<uint8_t> area) {
  const SyscallSpec* spec = FindSyscall(call.nr);
  const AreaLayout layout = LayOut(call);
  if (spec == nullptr || layout.size > area.size())
    return InvalidArgument("system call {} needs {} bytes of {}", call.nr, layout.size,
                           area.size());
  PlacedCall placed{.nr = call.nr,
                    .words = call.words,
                    .offsets = layout.offsets,
                    .data_offsets = layout.data_offsets};
  for (size_t k = 0; k < call.parts.size(); ++k) {
    const CallPart& part = call.parts[k];
    const auto in = call.InBytes(part);
    uint8_t* const data = area.data() + layout.data_offsets[k];
    const size_t data_size = part.capacity - part.name_size;
    if (part.shape == CallPart::Shape::kMessage) {
      uint8_t* const header = area.data() + layout.offsets[k];
      std::memset(header, 0, kMsghdrSize);
      if (part.name_size != 0) Store(header + kMsgName, data_base + layout.name_offsets[k]);
      Store(header + kMsgNameLen, static_cast<int32_t>(part.name_size));
      Store(header + kMsgIov, data_base + layout.vector_offsets[k]);
      Store(header + kMsgIovLen, uint64_t{part.length_count});
    }
    if (part.shape != CallPart::Shape::kFlat)
      WriteIovecs(call, part, data_base + layout.data_offsets[k],
                  area.data() + layout.vector_offsets[k]);
    const size_t name_in = std::min<size_t>(part.name_size, in.size());
    std::copy_n(in.begin(), name_in, area.begin() + layout.name_offsets[k]);
    std::copy(in.begin() + name_in, in.end(), data);
    if (!ReadsByResult(ResolveArg(*spec, call.words, part.arg).kind)) {
      const size_t filled = in.size() - name_in;
      std::memset(data + filled, 0, data_size - filled);
    }
    placed.words[part.arg] = data_base + layout.offsets[k];
  }
  return placed;
}

ForwardResult Collect(const ForwardCall& call, const PlacedCall& placed, int64_t rax,
                      std::span<const uint8_t> area) {
  ForwardResult result;
  result.rax = rax;
  const SyscallSpec* spec = FindSyscall(call.nr);
  const AreaLayout layout = LayOut(call);
  if (spec == nullptr || layout.size > area.size()) return result;
  for (size_t k = 0; k < call.parts.size(); ++k) {
    const CallPart& part = call.parts[k];
    const ArgSpec arg = ResolveArg(*spec, call.words, part.arg);
    OutBytes expected = ExpectedOut(arg, part, rax);
    const auto data = area.subspan(layout.data_offsets[k], part.capacity - part.name_size);
    switch (arg.kind) {
      case ArgKind::kMsgOut: {
        if (rax < 0) break;
        const uint8_t* header = area.data() + layout.offsets[k];
        uint8_t head[kMessageHead];
        const auto name_size = Load<uint32_t>(header + kMsgNameLen);
        Store(head, name_size);
        Store(head + 4, Load<uint32_t>(header + kMsgFlags));
        Add(result, part.arg, head);
        Add(result, part.arg,
            area.subspan(layout.name_offsets[k], std::min(name_size, part.name_size)));
        Add(result, part.arg, data.first(expected.min - kMessageHead));
        break;
      }
      case ArgKind::kSizePtr: {
        // Written only when the kernel changed it: some calls with an error, or none at all.
        const auto before = call.InBytes(part);
        if (!std::equal(before.begin(), before.end(), data.begin())) Add(result, part.arg, data);
        break;
      }
      case ArgKind::kOutSized:
      case ArgKind::kInOutSized: {
        if (rax < 0) break;
        for (size_t j = 0; j < call.parts.size(); ++j) {
          if (call.parts[j].arg != arg.ref) continue;
          const auto written = Load<int32_t>(area.data() + layout.data_offsets[j]);
          expected.max = std::min<uint64_t>(expected.max, std::max(written, 0));
          Add(result, part.arg, data.first(expected.max));
        }
        break;
      }
      default:
        Add(result, part.arg, data.first(expected.min));
        break;
    }
  }
  return result;
}

}  // namespace omfs::migration
