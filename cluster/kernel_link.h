// The user-space half of the kernel client: makes connections to owners and hands them to omfs.ko.
//
// The module has no names, keys or TLS. A KernelLink connects to one owner, checks its certificate, makes a
// session with HELLO, and gives the module one end of a socket pair (omfs-kernel/omfs_dev.h). Two threads
// carry the bytes between the other end and the TLS stream and look into none of them: from the hand-over on
// the module alone speaks the wire protocol. When either side ends, the link ends; it is never repaired. The
// module then fails what is mounted over it, and a new mount needs a new link.
//
// Kernel TLS would spare the two threads. It needs OpenSSL on the socket itself, where TlsStream keeps them
// apart, and a kernel with CONFIG_TLS; the module takes such a socket as it is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "omfs/base/config.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/net/tls.h"

namespace omfs {

// True when the module is loaded.
bool KernelClientPresent();

// One connection of the module to one owner.
class KernelLink {
 public:
  // self: this node's number. Errors: the owner cannot be reached, is another node or refuses the session; the
  // module is not loaded or refuses the connection.
  static absl::StatusOr<std::unique_ptr<KernelLink>> Make(const std::shared_ptr<TlsContext>& tls,
                                                          NodeId self, const NodeEntry& owner);
  // Ends the link. Mounts over it fail from then on.
  ~KernelLink();

  // The connection's number for "mount -o conn=".
  uint32_t id() const { return id_; }

  // Returns when the link has ended: unmounted, owner gone, or End() called.
  void Wait();
  // Thread-safe.
  void End();

 private:
  KernelLink(std::unique_ptr<TlsStream> stream, ScopedFd socket);
  void CarryOut();  // module -> owner
  void CarryIn();   // owner -> module

  std::unique_ptr<TlsStream> stream_;
  ScopedFd socket_;  // our end of the pair
  ScopedFd device_;  // open /dev/omfs: the module ends an unmounted connection when this is closed
  uint32_t id_ = 0;
  std::thread out_, in_;
};

// Keeps one unmounted or mounted link to each of the given nodes while it lives: a link that ends is replaced as
// soon as the owner can be reached, so that `mount -t omfs NODE DIR` finds one. Logs when a link comes, goes or
// cannot be made. Thread-safe.
class KernelClient {
 public:
  KernelClient(std::shared_ptr<TlsContext> tls, NodeId self, std::vector<NodeEntry> owners);
  ~KernelClient();

 private:
  void Keep(const NodeEntry& owner, size_t index);
  // Waits before the next attempt. False when stopping.
  bool Pause();

  const std::shared_ptr<TlsContext> tls_;
  const NodeId self_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<KernelLink*> links_ ABSL_GUARDED_BY(mutex_);  // of each keeper thread, nullptr: none now
  std::vector<std::thread> keepers_;
};

}  // namespace omfs
