// FuseSession: one FUSE connection and the threads that serve it.
//
// Requests are handled where they are read, each by one worker thread from beginning to end. There
// are as many workers as requests are under way and a few that wait: a worker that takes a request
// while no other waits starts another one, and one that would be a surplus waiter ends. So a
// request that waits (for a lock, for an owner) never keeps others waiting.
//
// libfuse talks to the kernel through callbacks of this file (fuse_session_custom_io), which lets
// INIT's reply be completed with features that libfuse 3.14 does not know, and requests it does not
// know be answered (raw_ops.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "omfs-fuse/file_system.h"
#include "omfs-fuse/kernel_cache.h"

namespace omfs {

class FuseSession {
 public:
  // Mounts fs at path and serves it. ended: called once, from a worker, when the connection has
  // ended (unmounted, aborted); must not wait. flags: MS_*.
  static absl::StatusOr<std::unique_ptr<FuseSession>> Start(std::shared_ptr<FileSystem> fs,
                                                            const std::string& path,
                                                            const std::string& source,
                                                            unsigned long flags,
                                                            std::function<void()> ended);
  ~FuseSession();

  // For taking back what the kernel caches; lives on after the session, without effect.
  std::shared_ptr<KernelCache> kernel_cache() const;

  // Unmounts; users of a mount that is in use get errors from then on. False if the connection goes
  // on all the same, because the mount is also seen in another mount namespace: it then ends with
  // the process.
  bool Stop();

 private:
  class Core;  // shared with the workers
  explicit FuseSession(std::shared_ptr<Core> core);
  const std::shared_ptr<Core> core_;
};

}  // namespace omfs
