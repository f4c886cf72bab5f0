// Whose rights a server thread has.
//
// File operations run with the ids of the remote caller, so that the kernel itself does permission
// checks, ownership, quotas, set-id clearing. The C library's setuid family changes all threads of
// the process; the kernel keeps ids per thread. So the raw system calls are used, on this thread
// only. The effective ids are changed (the fs ids follow them): leaving effective uid 0 drops every
// effective capability - also the ones that the fs ids alone would leave, such as CAP_SYS_RESOURCE,
// with which the kernel overlooks quotas and reserved blocks - and coming back restores them from
// the permitted set, as the real and saved uid stay 0.
//
// The umask lies in a structure that threads share by default; each server thread gets a copy of
// its own, and with it a working directory of its own: /proc/self/fd, so that the path "17" means
// descriptor 17 (FdPath).
//
// Ids are sticky: they stay until the next call here. Calls that would do nothing cost nothing.
// Everything that acts for the daemon itself - decoding handles, the store, starting threads -
// calls BecomeDaemon first.
#pragma once

#include <array>

#include "absl/status/status.h"
#include "omfs/base/errno_or.h"
#include "omfs/wire/meta.h"

namespace omfs {

class ThreadIdentity {
 public:
  // Once, before the first server thread starts. Fails when not root or without /proc.
  static absl::Status Prepare();
  // First thing on every server thread.
  static void Enter();
  // The ids, groups and umask of a caller.
  static Errno Become(const Credentials& creds);
  // The daemon's rights: uid 0 with its capabilities. The gid, groups and umask of the last caller stay; they take
  // nothing away from root, and each change costs microseconds (a new set of credentials in the kernel).
  static void BecomeDaemon();
};

// The path of an open descriptor of this process, on server threads: following it leads to the very
// object, without a walk, also for descriptors opened with O_PATH, also for symbolic links
// themselves.
class FdPath {
 public:
  explicit FdPath(int fd);
  const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 16> text_;
};

}  // namespace omfs
