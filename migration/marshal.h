// Marshalling of a forwarded system call: guest memory -> bytes -> the deputy's data area, and
// back.
//
// The way of a call:
//
//   keeper  Gather()     reads every in-argument out of the guest's memory, following the table's
//   row
//           Serialise()  makes bytes of it
//   home    ParseCall()  checks the bytes against the table: sizes, counts, kinds, lengths
//           Place()      lays the data out in the area shared with the deputy and makes the six
//           words
//           ...          the deputy executes the six words; rax comes back
//           Collect()    picks the bytes out of the area that the call wrote
//           Serialise()  makes bytes of the result
//   keeper  ParseResult()
//           Scatter()    writes them into the guest's memory and gives the rax the guest shall see
//
// All of it is pure: no ptrace, no processes, no I/O; memory of the guest is an interface. Nothing
// here is shared between threads; objects may be used by one thread at a time.
//
// Bad pointers. A pointer the guest could not have used is forwarded as kBadPointer, an address no
// process can use, with the rest of the call as it is: the kernel at home then finds whatever it
// would have found first (EBADF, EINVAL, ENOENT, ...) and otherwise EFAULT. Out-arguments are
// probed (first byte readable) before the call; memory that is readable but not writable is only
// noticed by Scatter(), which then answers EFAULT after the call was done at home (the kernel has
// such cases too: accept, recvfrom).
//
// Long transfers. At most kMaxTransfer bytes travel with a call. For rows with kTransfer (read,
// write and their relatives) the length is cut; Gathered::clamped says so. A short count is legal
// there, but where a native call would not have been short the caller goes on by itself: see
// NextSkip(). Rows where a cut would be wrong are recalled.
//
// Descriptors made at home (rows with kNewFd, kNewFdPair): when Scatter() turns a success into
// EFAULT, the caller has to close them again at home, as the kernel does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "migration/syscall_table.h"
#include "omfs/base/errno_or.h"

namespace omfs::migration {

// The most data bytes one call carries in one direction.
inline constexpr size_t kMaxTransfer = 1 << 20;
// Upper bound of a serialised call or result, and of what Place() needs in the area (2 MiB is
// enough).
inline constexpr size_t kMaxMessage = kMaxTransfer + (256 << 10);
inline constexpr size_t kDataAreaSize = 2 << 20;

// No user address on x86-64, with or without five-level page tables and address tagging.
inline constexpr uint64_t kBadPointer = 0xffff'ffff'ffff'f000;

// The guest's memory. Errno{} is success; EFAULT an address that is not there (or not writable);
// any other errno means the memory as a whole is out of reach (the guest died) and ends the call.
class GuestMemory {
 public:
  virtual ~GuestMemory() = default;
  // All of `to` is filled, or the call fails.
  virtual Errno Read(uint64_t address, std::span<uint8_t> to) = 0;
  virtual Errno Write(uint64_t address, std::span<const uint8_t> from) = 0;

  // The bytes at address up to and without the NUL. At most `max` bytes are looked at; when none of
  // them is NUL, all `max` are returned. Reads page-wise, so a string ending before an unmapped
  // page is read.
  ErrnoOr<std::string> ReadString(uint64_t address, size_t max);
};

// One pointer argument of a forwarded call.
struct CallPart {
  enum class Shape : uint8_t { kFlat, kVector, kMessage };
  uint8_t arg = 0;
  Shape shape = Shape::kFlat;
  uint8_t align_log2 = 4;  // alignment the data shall have at home: O_DIRECT cares
  uint32_t in_offset = 0;  // of the in bytes in ForwardCall::data
  uint32_t in_size = 0;
  uint32_t capacity = 0;      // bytes to reserve at home, >= in_size
  uint32_t first_length = 0;  // kVector, kMessage: the iovecs' lengths in ForwardCall::lengths
  uint32_t length_count = 0;
  uint32_t name_size = 0;  // kMessage: bytes of msg_name (in: leading bytes of the data; out: room)
};

// A call on its way home. Words of pointer arguments are 0, kBadPointer, or 0 with a part.
struct ForwardCall {
  uint16_t nr = 0;
  SyscallArgs words{};
  std::vector<CallPart> parts;  // ascending by arg, at most one each
  std::vector<uint32_t> lengths;
  std::vector<uint8_t> data;

  const CallPart* PartOf(size_t arg) const;
  std::span<const uint8_t> InBytes(const CallPart& part) const {
    return std::span<const uint8_t>(data).subspan(part.in_offset, part.in_size);
  }
};

// Result of a call on its way to the guest: rax (-errno as the kernel gives it) and out bytes by
// argument.
struct ForwardResult {
  struct Part {
    uint8_t arg = 0;
    uint32_t offset = 0;  // in data
    uint32_t size = 0;
  };
  int64_t rax = 0;
  std::vector<Part> parts;  // ascending by arg
  std::vector<uint8_t> data;
};

// Where out bytes of an argument go in the guest.
struct GuestRange {
  uint64_t address = 0;
  uint64_t size = 0;
};

// A call as gathered in the guest: what travels, and what stays to scatter the result.
struct Gathered {
  ForwardCall call;
  struct Target {
    uint8_t arg;
    uint64_t address;  // of the structure itself
    std::vector<GuestRange>
        ranges;                 // where the data goes: one for flat parts, the iovecs otherwise
    uint64_t name_address = 0;  // kMsgOut: msg_name
  };
  std::vector<Target> targets;  // of the parts with out bytes, ascending by arg
  bool clamped = false;   // the transfer was cut: fewer bytes were asked for than the guest did
  uint64_t transfer = 0;  // bytes asked for by the transfer as forwarded (rows with kTransfer)
};

// Why a call that its row would forward cannot be; static storage.
struct Recall {
  std::string_view reason;
};

// Reads the call's arguments. `skip`: bytes of a long transfer already done (see NextSkip). The
// errno is never one for the guest: it says that the guest's memory is out of reach.
ErrnoOr<std::variant<Gathered, Recall>> Gather(const SyscallSpec& spec, const SyscallArgs& args,
                                               GuestMemory& memory, uint64_t skip = 0);

// Descriptors a gathered call names: its fd arguments, the entries of poll's array, the bits of
// select's sets. AT_FDCWD and poll's negative entries are left out. In call order, duplicates kept.
std::vector<int> DescriptorsOf(const ForwardCall& call);

// After a clamped transfer has given `rax`: the `skip` to go on with, or nothing when the call is
// over. A write goes on as long as it was complete; a read only on an object that would have filled
// the buffer natively (regular file, block device): pipes, sockets and terminals are allowed to
// give less. The guest's result is the sum; an error after the first piece ends the call with the
// bytes done so far.
std::optional<uint64_t> NextSkip(const Gathered& gathered, uint64_t skip, int64_t rax,
                                 bool fills_buffer);

// Writes the result into the guest. Gives the rax for the guest: the result's, or -EFAULT. Fails
// when the guest's memory is out of reach, and with EPROTO when the result does not belong to this
// call (nothing written).
ErrnoOr<int64_t> Scatter(const Gathered& gathered, const ForwardResult& result,
                         GuestMemory& memory);

// A call laid out in the deputy's data area.
struct PlacedCall {
  uint64_t nr = 0;
  SyscallArgs words{};
  std::vector<uint32_t>
      offsets;  // of each part's structure in the area, parallel to ForwardCall::parts
  std::vector<uint32_t> data_offsets;  // of each part's data (the same for flat parts)
};

// Lays the call out. data_base: where the deputy sees the area (page aligned); area: where this
// process does, at least kDataAreaSize bytes. Fails only when the call does not fit, which
// ParseCall() excludes.
absl::StatusOr<PlacedCall> Place(const ForwardCall& call, uint64_t data_base,
                                 std::span<uint8_t> area);

// What the call has written. The area is the deputy's memory: nothing read from it is trusted.
ForwardResult Collect(const ForwardCall& call, const PlacedCall& placed, int64_t rax,
                      std::span<const uint8_t> area);

// Bytes on the wire, little-endian, version kMarshalVersion. The parsers accept exactly what the
// serialisers make: a call must fit its row of the table in every size.
inline constexpr uint8_t kMarshalVersion = 1;
std::vector<uint8_t> Serialise(const ForwardCall& call);
std::vector<uint8_t> Serialise(const ForwardResult& result);
absl::StatusOr<ForwardCall> ParseCall(std::span<const uint8_t> bytes);
absl::StatusOr<ForwardResult> ParseResult(std::span<const uint8_t> bytes);

}  // namespace omfs::migration
