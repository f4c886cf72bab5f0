#include "migration/marshal_layout.h"

#include <algorithm>
#include <cstring>

#include "migration/syscall_table_requests.h"
#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

constexpr size_t kAlign = 16;
constexpr uint8_t kMaxAlignLog2 = 12;

uint64_t AlignUp(uint64_t value, uint64_t align) { return (value + align - 1) & ~(align - 1); }

ArgSpec FromRequest(const RequestSpec* request) {
  if (request == nullptr) return {.kind = ArgKind::kValue};
  return {.kind = request->kind, .size = request->size};
}

// The number the length pointer `ref` brings, or nothing when it is missing.
std::optional<uint64_t> PointedLength(const ForwardCall& call, size_t ref) {
  const CallPart* part = call.PartOf(ref);
  if (part == nullptr || part->in_size != 4) return std::nullopt;
  int32_t value;
  std::memcpy(&value, call.data.data() + part->in_offset, sizeof value);
  return value < 0 ? 0 : static_cast<uint64_t>(value);
}

uint64_t SumOfLengths(const ForwardCall& call, const CallPart& part) {
  uint64_t sum = 0;
  for (size_t i = 0; i < part.length_count; ++i) sum += call.lengths[part.first_length + i];
  return sum;
}

bool SizesAre(const CallPart& part, uint64_t in, uint64_t capacity) {
  return part.in_size == in && part.capacity == capacity;
}

bool IsString(const ForwardCall& call, const CallPart& part, size_t max) {
  if (part.in_size != part.capacity || part.in_size == 0 || part.in_size > max + 1) return false;
  const auto bytes = call.InBytes(part);
  return std::find(bytes.begin(), bytes.end(), 0) == bytes.end() - 1;
}

// Whether the part's sizes are what its row and the other words make of it.
bool PartFits(const ForwardCall& call, const ArgSpec& arg, const CallPart& part) {
  const bool vector = arg.kind == ArgKind::kIovIn || arg.kind == ArgKind::kIovOut;
  const bool message = arg.kind == ArgKind::kMsgIn || arg.kind == ArgKind::kMsgOut;
  const auto shape = vector    ? CallPart::Shape::kVector
                     : message ? CallPart::Shape::kMessage
                               : CallPart::Shape::kFlat;
  if (part.shape != shape || part.align_log2 < 4 || part.align_log2 > kMaxAlignLog2) return false;
  if (shape == CallPart::Shape::kFlat && part.length_count != 0) return false;
  if (shape != CallPart::Shape::kMessage && part.name_size != 0) return false;
  if (part.capacity > LimitOf(arg) + kMaxTransfer) return false;

  switch (arg.kind) {
    case ArgKind::kPath:
    case ArgKind::kString:
      return IsString(call, part, arg.size);
    case ArgKind::kIn:
    case ArgKind::kInOut:
      return SizesAre(part, arg.size, arg.size);
    case ArgKind::kOut:
      return SizesAre(part, 0, arg.size);
    case ArgKind::kSizePtr:
      return SizesAre(part, 4, 4);
    case ArgKind::kInBuf:
    case ArgKind::kInOutBuf:
    case ArgKind::kFdSet: {
      const auto bytes = CountedBytes(arg, call.words);
      return bytes && *bytes <= LimitOf(arg) && SizesAre(part, *bytes, *bytes);
    }
    case ArgKind::kOutBuf:
    case ArgKind::kOutArray: {
      const auto bytes = CountedBytes(arg, call.words);
      return bytes && *bytes <= LimitOf(arg) && SizesAre(part, 0, *bytes);
    }
    case ArgKind::kOutSized:
    case ArgKind::kInOutSized: {
      const auto bytes = PointedLength(call, arg.ref);
      const uint64_t in = arg.kind == ArgKind::kInOutSized && bytes ? *bytes : 0;
      return bytes && *bytes <= LimitOf(arg) && SizesAre(part, in, *bytes);
    }
    case ArgKind::kIovIn:
    case ArgKind::kIovOut: {
      const uint64_t sum = SumOfLengths(call, part);
      return part.length_count <= kMaxIovecs && part.length_count == call.words[arg.ref] &&
             sum <= LimitOf(arg) && SizesAre(part, arg.kind == ArgKind::kIovIn ? sum : 0, sum);
    }
    case ArgKind::kMsgIn:
    case ArgKind::kMsgOut: {
      const uint64_t sum = SumOfLengths(call, part);
      const uint64_t total = sum + part.name_size;
      return part.length_count <= kMaxIovecs && sum <= kMaxTransfer &&
             part.name_size <= LimitOf(arg) &&
             SizesAre(part, arg.kind == ArgKind::kMsgIn ? total : 0, total);
    }
    default:
      return false;
  }
}

}  // namespace

ArgSpec ResolveArg(const SyscallSpec& spec, const SyscallArgs& words, size_t index) {
  const ArgSpec& arg = spec.args[index];
  switch (arg.kind) {
    case ArgKind::kIoctl:
      return FromRequest(FindIoctl(words[1]));
    case ArgKind::kFcntl:
      return FromRequest(FindFcntl(words[1]));
    case ArgKind::kPrctl:
      return FromRequest(FindPrctl(words[0]));
    default:
      return arg;
  }
}

bool IsPointer(ArgKind kind) {
  switch (kind) {
    case ArgKind::kUnused:
    case ArgKind::kValue:
    case ArgKind::kOffset:
    case ArgKind::kFd:
    case ArgKind::kDirFd:
      return false;
    default:
      return true;
  }
}

bool HasOut(ArgKind kind) {
  switch (kind) {
    case ArgKind::kOutBuf:
    case ArgKind::kInOutBuf:
    case ArgKind::kOutArray:
    case ArgKind::kOut:
    case ArgKind::kInOut:
    case ArgKind::kOutSized:
    case ArgKind::kInOutSized:
    case ArgKind::kSizePtr:
    case ArgKind::kIovOut:
    case ArgKind::kMsgOut:
    case ArgKind::kFdSet:
      return true;
    default:
      return false;
  }
}

std::optional<uint64_t> CountedBytes(const ArgSpec& arg, const SyscallArgs& words) {
  uint64_t count = words[arg.ref];
  if (arg.len == LenType::kU32) count = static_cast<uint32_t>(count);
  if (arg.len == LenType::kI32) {
    const auto value = static_cast<int32_t>(count);
    if (value < 0) return std::nullopt;
    count = static_cast<uint64_t>(value);
  }
  if (arg.kind == ArgKind::kFdSet) return (count + 63) / 64 * 8;
  uint64_t bytes;
  if (__builtin_mul_overflow(count, arg.size, &bytes)) return UINT64_MAX;
  return bytes;
}

OutBytes ExpectedOut(const ArgSpec& arg, const CallPart& part, int64_t rax) {
  const uint64_t capacity = part.capacity;
  const uint64_t result = rax > 0 ? static_cast<uint64_t>(rax) : 0;
  const bool now = arg.when == When::kAlways || (arg.when == When::kSuccess && rax >= 0) || rax > 0;
  switch (arg.kind) {
    case ArgKind::kOutBuf:
    case ArgKind::kIovOut: {
      const uint64_t n = std::min(result, capacity);
      return {n, n};
    }
    case ArgKind::kOutArray: {
      const uint64_t n = std::min(result, capacity / arg.size) * arg.size;
      return {n, n};
    }
    case ArgKind::kOut:
    case ArgKind::kInOut:
    case ArgKind::kInOutBuf:
    case ArgKind::kFdSet:
      return now ? OutBytes{capacity, capacity} : OutBytes{};
    case ArgKind::kSizePtr:
      return {0, capacity};
    case ArgKind::kOutSized:
    case ArgKind::kInOutSized:
      return {0, rax >= 0 ? capacity : 0};
    case ArgKind::kMsgOut: {
      if (rax < 0) return {};
      const uint64_t data = std::min<uint64_t>(result, capacity - part.name_size);
      return {kMessageHead + data, kMessageHead + data + part.name_size};
    }
    default:
      return {};
  }
}

AreaLayout LayOut(const ForwardCall& call) {
  AreaLayout layout;
  uint64_t at = 0;
  auto take = [&at](uint64_t size, uint64_t align) {
    at = AlignUp(at, align);
    const uint64_t start = at;
    at += size;
    return static_cast<uint32_t>(start);
  };
  for (const CallPart& part : call.parts) {
    uint32_t head = 0, name = 0, vector = 0;
    if (part.shape == CallPart::Shape::kMessage) {
      head = take(kMsghdrSize, kAlign);
      name = take(part.name_size, kAlign);
    }
    if (part.shape != CallPart::Shape::kFlat)
      vector = take(uint64_t{part.length_count} * kIovecSize, kAlign);
    const uint32_t data = take(part.capacity - part.name_size, uint64_t{1} << part.align_log2);
    layout.data_offsets.push_back(data);
    layout.name_offsets.push_back(name);
    layout.vector_offsets.push_back(vector);
    layout.offsets.push_back(part.shape == CallPart::Shape::kFlat     ? data
                             : part.shape == CallPart::Shape::kVector ? vector
                                                                      : head);
  }
  layout.size = at;
  return layout;
}

absl::Status CheckCall(const ForwardCall& call) {
  const SyscallSpec* spec = FindSyscall(call.nr);
  if (spec == nullptr || !spec->assigned() || !spec->forwardable())
    return InvalidArgument("system call {} is not one that is forwarded", call.nr);
  SyscallArgs seen = call.words;
  for (const CallPart& part : call.parts) {
    if (seen[part.arg] != 0)
      return InvalidArgument("{}: argument {} given twice", spec->name, part.arg);
    seen[part.arg] = kBadPointer;  // any address: NULL it is not
  }
  const SyscallClass cls = Decide(call.nr, seen).cls;
  if (cls == SyscallClass::kRecall || cls == SyscallClass::kLocal)
    return InvalidArgument("{}: these arguments are not forwarded", spec->name);
  for (size_t i = 0; i < call.words.size(); ++i) {
    const ArgSpec arg = ResolveArg(*spec, call.words, i);
    const CallPart* part = call.PartOf(i);
    if (part != nullptr) {
      if (!PartFits(call, arg, *part))
        return InvalidArgument("{}: argument {} does not fit its row", spec->name, i);
      continue;
    }
    const uint64_t word = call.words[i];
    const bool pointer = IsPointer(arg.kind);
    if ((arg.kind == ArgKind::kUnused && word != 0) ||
        (pointer && word != 0 && word != kBadPointer))
      return InvalidArgument("{}: argument {} is not what its row says", spec->name, i);
  }
  if (LayOut(call).size > kDataAreaSize)
    return InvalidArgument("{}: does not fit the data area", spec->name);
  return absl::OkStatus();
}

}  // namespace omfs::migration
