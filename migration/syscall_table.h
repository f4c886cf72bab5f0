// The table of x86-64 system calls: for every number what a migrated process's call of it means.
//
// One row says where a call runs when the process is away from home, what its six arguments are,
// and, where it cannot run away, why. The seccomp filter (syscall_filter.h), the marshalling of
// forwarded calls (marshal.h), docs/syscalls.md and the tests are all made from these rows, so
// there is one place to read and one place to change. The rule behind every entry is "recall, never
// lie": a call that is not surely right away from home is a recall with a reason, and the process
// runs it at home.
//
// Where a call runs:
//   Local   the filter lets it pass; it runs natively in the guest and nobody hears of it.
//   Dfsa    by object: natively in the guest when its descriptor or path lies on /mfs, else as
//   Deputy. Deputy  forwarded to the deputy at home: six words plus the data behind the pointers.
//   Both    touches the guest and the deputy; a handler written by hand decides (the note says
//   how). Its
//           argument kinds are right, so the handler may forward it. A Both call that has no
//           handler is a recall.
//   Recall  the process goes home and runs it there; the note is the reason.
//
// Two kinds of argument test refine a row: `local_if` (checked by the filter itself: any test that
// holds makes the call Local) and `forward_if` (a Dfsa, Deputy or Both call that meets none of them
// is a recall). ioctl, fcntl, prctl, getsockopt and setsockopt are refined by tables of their own
// (syscall_table_requests.h).
//
// Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/linux/syscalls.h of Linux 6.18.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace omfs::migration {

// One more than the last number Linux 6.18 knows (file_setattr).
inline constexpr size_t kSyscallCount = 470;

// Numbers with this bit set are the x32 ABI's; they are recalled.
inline constexpr uint64_t kX32Bit = 0x40000000;

using SyscallArgs = std::array<uint64_t, 6>;

enum class SyscallClass : uint8_t { kLocal, kDfsa, kDeputy, kBoth, kRecall };

// What an argument is. "In" is read from the guest's memory, "out" written to it. Every pointer may
// be NULL where the kernel says so: NULL is forwarded as NULL and the kernel at home decides.
enum class ArgKind : uint8_t {
  kUnused,    // the call has fewer arguments; forwarded as 0
  kValue,     // a number
  kOffset,    // a file offset; advances when a long transfer is continued
  kFd,        // a descriptor
  kDirFd,     // a directory descriptor or AT_FDCWD; the next argument is the path
  kPath,      // in: a path, at most PATH_MAX with its NUL
  kString,    // in: another C string, at most `size` bytes with its NUL
  kInBuf,     // in: bytes, counted by argument `ref` (times `size` if it is an array)
  kOutBuf,    // out: as many bytes as the result says, at most argument `ref`
  kInOutBuf,  // in and out: all bytes counted by argument `ref` (times `size` if it is an array)
  kOutArray,  // out: elements of `size` bytes; the result says how many, at most argument `ref`
  kIn,        // in: a structure of `size` bytes
  kOut,       // out: a structure of `size` bytes
  kInOut,     // in and out: a structure of `size` bytes (also out structures written only in part)
  kOutSized,  // out: bytes counted by the 32-bit number that argument `ref` points to (sockaddr)
  kInOutSized,   // in and out: the same (getsockopt)
  kSizePtr,      // in and out: that 32-bit number
  kIovIn,        // in: a gather list of argument `ref` iovecs (writev)
  kIovOut,       // out: a scatter list of argument `ref` iovecs (readv); bytes as the result says
  kMsgIn,        // in: msghdr without control data (sendmsg)
  kMsgOut,       // out: msghdr without room for control data (recvmsg)
  kFdSet,        // in and out: fd_set of argument `ref` descriptors (select)
  kSigMask,      // a signal mask for the time of the call: only NULL is forwarded
  kSigMaskPair,  // pselect6's {mask, size}: only a NULL mask is forwarded
  kIoctl,        // by the request in argument 1
  kFcntl,        // by the command in argument 1
  kPrctl,        // by the option in argument 0
};

// Width and sign the kernel gives to a length argument.
enum class LenType : uint8_t { kU64, kU32, kI32 };

// What happens to a transfer larger than an argument's limit.
enum class TooLong : uint8_t {
  kClamp,    // the length is cut to the limit: the call may do less than asked for, or never uses
             // more
  kRefused,  // forwarded with the length and an unusable pointer: the kernel refuses by the length
             // alone
  kRecall,   // neither is right: the process goes home
};

// When out bytes are written back.
enum class When : uint8_t { kSuccess, kPositive, kAlways };

struct ArgSpec {
  ArgKind kind = ArgKind::kUnused;
  uint8_t ref = 0;     // index of the argument that counts this one
  uint16_t size = 0;   // bytes: of the structure, of an element, or the longest string
  uint32_t limit = 0;  // bytes: the longest transfer; 0 = kMaxTransfer of marshal.h
  LenType len = LenType::kU64;
  TooLong too_long = TooLong::kClamp;
  When when = When::kSuccess;
};

// Holds when (argument & mask) == value. Tests of local_if look at the low 32 bits only.
struct ArgTest {
  uint8_t arg = 0;
  uint64_t mask = 0;
  uint64_t value = 0;
  constexpr bool Holds(const SyscallArgs& args) const { return (args[arg] & mask) == value; }
};

inline constexpr size_t kMaxTests = 6;

struct ArgTests {
  std::array<ArgTest, kMaxTests> tests{};
  uint8_t count = 0;
  constexpr bool empty() const { return count == 0; }
  constexpr bool AnyHolds(const SyscallArgs& args) const {
    for (size_t i = 0; i < count; ++i)
      if (tests[i].Holds(args)) return true;
    return false;
  }
};

// Facts about a row that its handler needs beside the argument kinds.
enum RowFlags : uint32_t {
  kNewFd = 1 << 0,      // the result is a new descriptor; ask ReturnsNewFd()
  kNewFdPair = 1 << 1,  // argument 0 or 3 receives two new descriptors (pipe, socketpair)
  kTransfer = 1 << 2,   // moves a byte stream: a clamped transfer can be continued (see marshal.h)
  kPathMayBeNull = 1 << 3,  // NULL for the path means the descriptor itself
};

struct SyscallSpec {
  uint16_t nr = 0;
  std::string_view name;  // empty: no such call in Linux 6.18
  SyscallClass cls = SyscallClass::kRecall;
  std::array<ArgSpec, 6> args{};
  std::string_view note;  // why it is recalled, or how a Both call is handled
  uint32_t flags = 0;     // RowFlags
  ArgTests local_if{};
  ArgTests forward_if{};

  constexpr bool assigned() const { return !name.empty(); }
  constexpr bool has(RowFlags flag) const { return (flags & flag) != 0; }
  // Whether a call of this row can be marshalled at all.
  constexpr bool forwardable() const {
    return cls == SyscallClass::kDfsa || cls == SyscallClass::kDeputy || cls == SyscallClass::kBoth;
  }
};

// All rows, in order of their numbers; rows of unassigned numbers have no name and class Recall.
extern const std::array<SyscallSpec, kSyscallCount> kSyscallTable;

// The row of a number, or nullptr when it is beyond the table (a later kernel's, x32, garbage).
const SyscallSpec* FindSyscall(uint64_t nr);

// The row of a name, or nullptr.
const SyscallSpec* FindSyscall(std::string_view name);

// What is to be done with a call, from its registers alone. Paths and descriptors are for DFSA to
// judge, and memory for Gather(), which may still turn a forwarded call into a recall.
struct Decision {
  SyscallClass cls;
  std::string_view reason;  // for kRecall, never empty; static storage
};
Decision Decide(uint64_t nr, const SyscallArgs& args);

// A path argument of a call, with the descriptor it is relative to.
struct PathArg {
  int dirfd_arg = -1;  // index of the kDirFd argument; -1: relative to the working directory
  int path_arg = 0;    // index of the path
  bool follow =
      true;  // whether a symbolic link as last component is followed (false: acts on the link)
};
// The paths of a call (none, one or two), in order, with AT_SYMLINK_NOFOLLOW and the like taken
// into account. openat2's own flags are in memory, so its `follow` is only the usual case.
struct PathArgs {
  std::array<PathArg, 2> paths{};
  size_t count = 0;
  const PathArg* begin() const { return paths.data(); }
  const PathArg* end() const { return paths.data() + count; }
};
PathArgs PathsOf(const SyscallSpec& spec, const SyscallArgs& args);

// Whether the call's result is a new descriptor: rows with kNewFd, and ioctl and fcntl by their
// request.
bool ReturnsNewFd(const SyscallSpec& spec, const SyscallArgs& args);

std::string_view ClassName(SyscallClass cls);

}  // namespace omfs::migration
