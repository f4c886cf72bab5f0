// What marshalling on both sides agrees on: an argument's kind once the request is known, and its
// sizes. Internal to marshal*.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "migration/marshal.h"
#include "migration/syscall_table.h"

namespace omfs::migration {

inline constexpr uint64_t kMaxIovecs = 1024;  // UIO_MAXIOV
inline constexpr size_t kIovecSize = 16;
inline constexpr size_t kMsghdrSize = 56;
// What a received message brings before its name and data: msg_namelen and msg_flags, 32 bits each.
inline constexpr size_t kMessageHead = 8;

// The argument's row entry, with kIoctl, kFcntl and kPrctl replaced by what the request makes of
// them.
ArgSpec ResolveArg(const SyscallSpec& spec, const SyscallArgs& words, size_t index);

// Whether the argument is a pointer that a part may stand for.
bool IsPointer(ArgKind kind);
bool HasOut(ArgKind kind);

// The longest transfer of an argument in bytes.
inline uint64_t LimitOf(const ArgSpec& arg) { return arg.limit != 0 ? arg.limit : kMaxTransfer; }

// Bytes counted by the length word, saturating; nothing for a negative length.
std::optional<uint64_t> CountedBytes(const ArgSpec& arg, const SyscallArgs& words);

// The out bytes that a result brings for the part: a fixed number, or (kOutSized and the like,
// messages, a changed size) any number up to `max`.
struct OutBytes {
  uint64_t min = 0;
  uint64_t max = 0;
};
OutBytes ExpectedOut(const ArgSpec& arg, const CallPart& part, int64_t rax);

// Lays the parts out without writing; also the number of bytes used.
struct AreaLayout {
  std::vector<uint32_t> offsets;  // of the structure: the flat data, the iovec array, the msghdr
  std::vector<uint32_t> name_offsets;    // of msg_name
  std::vector<uint32_t> vector_offsets;  // of the iovec array
  std::vector<uint32_t> data_offsets;
  uint64_t size = 0;
};
AreaLayout LayOut(const ForwardCall& call);

// Whether the call fits its row in every size; the message says what does not.
absl::Status CheckCall(const ForwardCall& call);

}  // namespace omfs::migration
