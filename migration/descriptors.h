// Descriptors in an image: which of a process's open files can be opened where it goes, and which stay home.
//
// An open file below /mfs goes along when it is the process's own: a regular file or directory whose open file description
// nobody else shares (its offset would come apart) and that holds no lock (locks belong to the node where they were taken).
// Everything else stays an object of the home node.
#pragma once

#include <set>
#include <string>

#include "migration/traced_task.h"
#include "omfs/base/config.h"
#include "proto/migration.pb.h"

namespace omfs::migration {

// A process at home: fills image->descriptors and the working directory.
absl::Status DescribeHomeDescriptors(pid_t pid, bool no_dfsa, Image* image);

// A guest: `home` are the numbers of its placeholders; every other descriptor is a file below /mfs.
absl::Status DescribeGuestDescriptors(pid_t pid, const std::set<int>& home, const Config& config, Image* image);

struct DescriptorInfo {
  int number = 0;
  std::string target;  // what /proc/PID/fd/N points to
  int flags = 0;       // O_*
  uint64_t offset = 0;
  bool locked = false;
};
absl::StatusOr<std::vector<DescriptorInfo>> ListDescriptors(pid_t pid);

}  // namespace omfs::migration
