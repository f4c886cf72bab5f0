// The vDSO of a process that comes from another kernel.
//
// A program keeps pointers into the vDSO of the kernel it started on. Where the destination runs the same build, its own
// vDSO is moved to the address the program knows. Otherwise the old code stays, but must not read the other kernel's
// data pages: each of its entry points is overwritten with the plain system call it stands for. Slower, and right.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace omfs::migration {

// A copy of the vDSO image whose entry points make system calls.
absl::StatusOr<std::string> VdsoWithPlainCalls(const std::string& image);

}  // namespace omfs::migration
