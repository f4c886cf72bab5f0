// Room in a stopped process's table of open files for what a move needs there, above the limit the process has set itself.
//
// Going out, the deputy's blob comes by a descriptor; coming home, open files come over a socket pair. A process that has
// used up its soft limit (RLIMIT_NOFILE) has room for neither, so the limit is raised for these few calls and then put
// back: the soft one by the process itself, the hard one by this agent, which needs CAP_SYS_RESOURCE for it.
#pragma once

#include <sys/resource.h>

#include "migration/remote_calls.h"

namespace omfs::migration {

class DescriptorRoom {
 public:
  // More descriptors than a move ever has open in the process at one time.
  static constexpr rlim_t kNeeded = 8;
  // No limit above this one is asked for; guests may not have descriptors as high (guest_builder.cc).
  static constexpr rlim_t kEnough = 16384;

  // Raises the limit so that kNeeded descriptors fit beside every one the process may have, of which `highest` is the
  // highest now (-1: none). scratch: 32 writable bytes of the process; they are put back.
  // Errors: FailedPrecondition if the hard limit is in the way and may not be raised.
  static absl::StatusOr<DescriptorRoom> Make(RemoteCalls& calls, RemotePtr scratch, int highest);

  // Puts the limits back. The process is still stopped.
  absl::Status GiveBack(RemoteCalls& calls);

 private:
  DescriptorRoom(RemotePtr scratch, rlimit original, bool raised)
      : scratch_(scratch), original_(original), raised_(raised) {}

  RemotePtr scratch_;
  rlimit original_;
  bool raised_;
};

}  // namespace omfs::migration
