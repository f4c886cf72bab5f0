// Calls whose meaning hangs on a request number: ioctl, fcntl, prctl, getsockopt, setsockopt.
//
// What is listed is known to be flat (no pointers inside, size fixed or given by the caller);
// everything else is a recall. ioctl numbers are listed rather than decoded from their _IOC bits,
// because drivers are free to lie in them and some do.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "migration/syscall_table.h"

namespace omfs::migration {

struct RequestSpec {
  uint32_t request;  // ioctl request, fcntl command, prctl option
  std::string_view name;
  SyscallClass cls;     // kLocal, kDeputy (Dfsa for ioctl), kBoth or kRecall
  ArgKind kind;         // of the argument: kValue, kIn, kOut, kInOut, kString or kUnused
  uint16_t size;        // bytes behind the pointer
  bool new_fd = false;  // the result is a new descriptor
};

// Sorted by request. prctl's argument is the first after the option; the others are values.
std::span<const RequestSpec> IoctlRequests();
std::span<const RequestSpec> FcntlCommands();
std::span<const RequestSpec> PrctlOptions();

// The entry, or nullptr.
const RequestSpec* FindIoctl(uint64_t request);
const RequestSpec* FindFcntl(uint64_t command);
const RequestSpec* FindPrctl(uint64_t option);

// Socket options known to be flat both ways.
struct SocketOption {
  int level;
  int first;  // the range [first, last] of option names
  int last;
};
std::span<const SocketOption> FlatSocketOptions();
bool IsFlatSocketOption(uint64_t level, uint64_t option);

}  // namespace omfs::migration
