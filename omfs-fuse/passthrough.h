// Passthrough: this node's own files, read and written by the kernel without asking this program.
//
// FUSE passthrough (Linux 6.9): the answer to an open names a backing file that was registered on the connection; from then on
// the kernel reads, writes, splices and maps that file, through an open of its own with the flags of the application's open.
// Everything else - names, attributes, truncate, fallocate, copy_file_range, SEEK_HOLE, fsync, locks - comes here as before. The
// connection of this node's own directory uses it.
//
// Permission and confinement stay the owner's: the file is opened at omfsd first, as the caller, like any other; then omfsd is
// asked for the descriptor of that open (LocalOwner), and that is registered. Consistency with other nodes is the owner's, too:
// the kernel's opens and maps of the backing file are those of a native process to it (omfs/server/local_files.h).
//
// One inode, one mode. The kernel lets all opens of an inode share one backing file, and fails an open that would have the data
// cached or reached otherwise meanwhile, with EIO. So the first open of a file that has no other one decides for all that come
// until the last is released (FuseInode::backing):
//   kBacked   the backing file is registered; every open names it
//   kServed   it could not be registered - omfsd gives no descriptor, the file system is stacked too deep, there are too many:
//             every open is answered as if there were no passthrough
// Between the answer to an open and the RELEASE of it the kernel may use the mode; it has let go of it when RELEASE is sent.
//
// In kBacked an open may still have its reads and writes sent here (FOPEN_DIRECT_IO together with FOPEN_PASSTHROUGH: only maps
// are of the backing file then). That is so where the kernel would not do what it does natively:
//   - O_APPEND: the kernel's own open of the backing file keeps the flag when fcntl(F_SETFL) has taken it from the
//     application's, and everything would go on being appended.
//   - Writers whose rights differ from those the backing file is written with. The kernel writes with the rights of the thread
//     that registered the file: reserved blocks, quotas, and the loss of set-id bits on a write would go by those. So a file is
//     registered by a thread with the rights of the first opener's kind: root's, or nobody's (kOthers) - but never with
//     CAP_FSETID, so that set-id bits go at a write whoever writes.
//   - Writers of a set-id file: whether a write takes such a bit away depends on the writer (root's do not, nor do those of a
//     member of the group where the group may not execute), so the owner does them.
// O_DIRECT is the file system's affair then, with its alignment; where that has none, the open fails with EINVAL as natively.
// What remains of that: a write through an open from before the chmod that set such a bit always takes it away, which natively
// depends on the writer; and a process that has given up root's rights writes with them through a descriptor that root opened.
//
// Attributes: the kernel forgets what it knows after a passthrough write or read, and asks. What this program knows under caps
// may be older than an access time that passthrough has moved: nothing of it is given out while there are backed opens
// (Backing::backed).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

// Of an inode. Thread-safe.
class Backing {
 public:
  // Whether the kernel reads or writes the file by itself now.
  bool backed() const { return backed_.load(std::memory_order_relaxed); }

 private:
  friend class Passthrough;
  enum class Mode { kUnused, kBacked, kServed };
  std::mutex mu_;  // held while the file is registered
  Mode mode_ ABSL_GUARDED_BY(mu_) = Mode::kUnused;
  uint64_t opens_ ABSL_GUARDED_BY(mu_) = 0;
  int32_t id_ ABSL_GUARDED_BY(mu_) = 0;         // kBacked
  bool with_roots_rights_ ABSL_GUARDED_BY(mu_) = false;  // kBacked
  std::atomic<bool> backed_{false};
};

// Of a connection. Thread-safe.
class Passthrough {
 public:
  struct Options {
    bool wanted = true;         // false: why says why
    std::string why;
    uint32_t stack_depth = 1;   // of the connection's file system: more than that of the backing files'
    uint64_t most = 65536;      // backing files at a time; each holds an inode in memory
    bool root_is_nobody = false;  // the owner squashes root
  };
  explicit Passthrough(Options options) : options_(std::move(options)) {}

  // For the reply to FUSE_INIT; 0: nothing is asked of the kernel.
  uint32_t stack_depth() const { return options_.wanted ? options_.stack_depth : 0; }
  // FUSE_INIT has been answered. device: the connection's, lives as long as requests come. offered: by the kernel in FUSE_INIT.
  void Connected(int device, uint64_t offered);
  // Whether it can be used, and if not why. Waits for Connected.
  bool active();
  std::string why_not();

  // An open as the owner has granted it.
  struct Open {
    int flags = 0;      // O_*
    uint32_t uid = 0;   // the opener's
    uint32_t mode = 0;  // of the file, as the owner told it with the open
  };
  // What the answer to an open is to carry.
  struct Terms {
    uint32_t open_flags = 0;  // FOPEN_*
    int32_t backing_id = 0;   // 0: the file is served by this program
    Errno refused;            // not 0: the open fails with it
  };
  // An open joins the file's mode, until Leave. descriptor: gets an O_PATH descriptor of the file; called if it decides.
  // Terms::refused: it has not joined.
  Terms Enter(Backing* backing, const Open& open, const std::function<ErrnoOr<ScopedFd>()>& descriptor);
  void Leave(Backing* backing);

  uint64_t registered() const { return registered_; }

 private:
  // The first open of a file: sets its mode.
  void Decide(Backing* backing, const Open& open, const std::function<ErrnoOr<ScopedFd>()>& descriptor)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(backing->mu_);
  void Part(Backing* backing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(backing->mu_);
  bool HasDirectIo(const std::function<ErrnoOr<ScopedFd>()>& descriptor);
  // 0: it cannot be backed.
  int32_t Register(const std::function<ErrnoOr<ScopedFd>()>& descriptor, bool with_roots_rights);
  ErrnoOr<int32_t> RegisterDescriptor(int fd, bool with_roots_rights);
  void Unregister(int32_t id);
  void Refused(const char* what, Errno e);
  absl::Status Probe(uint64_t offered);

  const Options options_;
  std::mutex mu_;
  std::condition_variable connected_;
  bool known_ ABSL_GUARDED_BY(mu_) = false;
  std::string why_not_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> device_{-1};
  std::atomic<bool> active_{false};
  std::atomic<uint64_t> registered_{0};
  std::atomic<bool> refusal_logged_{false};
  enum class DirectIo { kUnknown, kYes, kNo };
  std::atomic<DirectIo> direct_io_{DirectIo::kUnknown};  // of the owner's file system
};

}  // namespace omfs
