// Who has a file open on this machine: asked of the kernel, by trying to take a lease.
//
// fcntl(F_SETLEASE) refuses a read lease while anybody has the file open for writing, and a write
// lease while anybody but the asker has it open at all; a shared mapping counts as the descriptor
// it was made of (linux/fs/locks.c, check_conflicting_open). A lease that is granted is given back
// at once. Nobody notices it:
// - An open counts before the kernel waits for the answer to its permission event, and whether a
//   lease is in its way is looked at only afterwards (linux/fs/open.c, do_dentry_open). So an
//   opener of a file with a permission mark meets no lease as long as it is not answered while one
//   is held - WhileNoLease - and an O_NONBLOCK open does not fail by it.
// - truncate(2) has no such event; it waits for the microsecond that the lease lives.
// - The signal to a lease's holder is made SIGURG, which does nothing; SIGIO would end the daemon.
//
// The daemon's own descriptors count like all others.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>

namespace omfs {

enum class NativeUse : uint8_t { kNone, kReading, kWriting };

// Thread-safe. Nothing here waits for other processes.
class LeaseProbe {
 public:
  // Whether somebody has the file open for writing. fd: read-only, on a regular file that has a
  // permission mark. true also when the file system cannot tell.
  bool AnyWriter(int fd);
  // The same for everybody but fd itself.
  NativeUse OtherUse(int fd);

  // Runs f at a moment when no lease is held.
  template <typename F>
  void WhileNoLease(F f) {
    std::lock_guard lock(mutex_);
    f();
  }

 private:
  bool Free(int fd, int lease);  // mutex_ held

  std::mutex mutex_;
};

// Whether a process that waits in an open does it for reading only. false also when that cannot be
// told: it has more than one thread, or another call than open(2) and openat(2) brought it there.
bool OpensForReading(pid_t pid);

}  // namespace omfs
