// LocalOwner: the client's end of the socket to its own node's omfsd (omfs/wire/local_files.h).
#pragma once

#include <mutex>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/client/types.h"

namespace omfs {

// Thread-safe.
class LocalOwner {
 public:
  explicit LocalOwner(std::string socket_path) : path_(std::move(socket_path)) {}
  ~LocalOwner();

  // The O_PATH descriptor of what the open is of. Waits for a few seconds at most. ESTALE: omfsd does not know the open;
  // others: it cannot be asked.
  ErrnoOr<ScopedFd> Descriptor(uint64_t session, uint64_t open, const Fh& object);

  // Tells omfsd, whenever there is one, how the mount at `mount_path` serves this node's own files. Once.
  void Announce(const std::string& mount_path, bool passthrough, const std::string& detail);

 private:
  void KeepAnnounced();

  const std::string path_;
  std::mutex mu_;  // held during an exchange
  ScopedFd connection_ ABSL_GUARDED_BY(mu_);

  // Of Announce; set before its thread starts.
  std::string mount_path_, detail_;
  bool passthrough_ = false;
  ScopedFd stop_;  // eventfd
  std::thread announcing_;
};

}  // namespace omfs
