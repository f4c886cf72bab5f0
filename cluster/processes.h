// What omfsd must know about a process of its node before it lets somebody move it: from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace omfs {

struct ProcessFacts {
  uid_t uid = 0;            // real
  bool one_user = false;    // real, effective and saved uid are the same
  bool kernel_thread = false;
  uint64_t start_time = 0;  // tells processes with the same number apart
  std::string command;      // comm
};

// kNotFound: no such process, or a zombie.
absl::StatusOr<ProcessFacts> LookUpProcess(pid_t pid);

// Whether a user may move this process: root any, others their own whose ids are all theirs.
// kPermissionDenied says why not.
absl::Status CheckMayMove(pid_t pid, const ProcessFacts& facts, uid_t user);

// The CPU's features that a program can use, by their names in /proc/cpuinfo, sorted; features only the kernel uses
// are left out.
std::vector<std::string> CpuFeatures();
// Bytes of the extended processor state as enabled on this node (CPUID leaf 13).
uint32_t ExtendedStateSize();

}  // namespace omfs
