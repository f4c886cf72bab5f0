// RemoteOpen: an open at an owner, as its holder keeps it.
//
// The owner forgets opens when it restarts or when the session is lost (Link: generations). An
// RemoteOpen knows how it was made and is made again by handle, the first time it is used in a new
// generation or by the Reclaimer before. What cannot be made again honestly - the object is gone, or locks were held through
// the open and somebody else may have had them since - fails every later use with one errno
// (ESTALE, EIO) instead of pretending.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "omfs/client/types.h"

namespace omfs {

// Thread-safe. Made by NodeClient::Open and Create only.
class RemoteOpen {
 public:
  RemoteOpen(const Fh& fh, int flags, const Caller& opener)
      : fh_(fh), flags_(flags), opener_(opener) {}

  const Fh& fh() const { return fh_; }
  int flags() const { return flags_; }
  const Caller& opener() const { return opener_; }
  // Whether POSIX or flock locks may be held through it.
  bool has_locked() const { return has_locked_.load(std::memory_order_relaxed); }
  // Whether it fails from now on: it could not be made again, or it is closed.
  bool lost() {
    std::lock_guard lock(mu_);
    return !broken_.ok();
  }

 private:
  friend class NodeClient;

  const Fh fh_;
  const int flags_;  // O_*, as given to open
  const Caller opener_;
  std::atomic<bool> has_locked_{false};

  std::mutex mu_;
  uint64_t id_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;  // in which id_ is valid
  Errno broken_ ABSL_GUARDED_BY(mu_);
};

using RemoteOpenRef = std::shared_ptr<RemoteOpen>;

}  // namespace omfs
