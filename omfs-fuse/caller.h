// Who makes a request: what the FUSE protocol says, and what it leaves out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "omfs/client/types.h"

namespace omfs {

// Ids in a request's header. pid is that of the calling thread, 0 when it is in a pid namespace
// that this program does not see.
struct RequestIds {
  uint32_t uid = 0;
  uint32_t gid = 0;
  pid_t pid = 0;
  uint32_t umask = 0;
};

// FUSE sends no supplementary groups: they are read from the caller, which waits for its answer
// meanwhile. Root needs none. A caller that cannot be seen has none: it may be refused too much,
// never too little.
Caller CallerOf(const RequestIds& ids);

// The "Groups:" line of /proc/PID/status; empty if there is no such process.
std::vector<uint32_t> SupplementaryGroups(pid_t pid);

}  // namespace omfs
