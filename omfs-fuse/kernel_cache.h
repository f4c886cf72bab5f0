// KernelCache: what the kernel caches of one FUSE connection, to be taken back from it.
//
// The messages are written to the connection's device (include/uapi/linux/fuse.h,
// fuse_notify_code). Which of them can wait, and for what, decides who may send them:
//   attributes    waits for an inode that is being evicted, and so for its reads
//   data          waits for pages that are being read or written, that is for requests this program
//   has not answered yet one entry     waits for the lock of the directory, which is held while a
//   lookup or a change in it is not answered all entries   never waits: the connection's epoch is
//   raised, and names found before it are looked up again (6.16 and later)
#pragma once

#include <atomic>
#include <string_view>

#include "omfs-fuse/fuse_api.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

// Thread-safe. Errors are not told: they mean that the kernel does not know the object (any more),
// or that the connection has ended.
class KernelCache {
 public:
  // device: a descriptor of the connection; it is duplicated.
  explicit KernelCache(int device);

  void ForgetAttributes(fuse_ino_t ino);
  // length 0: to the end. The attributes, too.
  void ForgetData(fuse_ino_t ino, uint64_t offset, uint64_t length);
  void ForgetEntry(fuse_ino_t parent, std::string_view name);
  void ForgetAllEntries();

  // Whether names may be given to the kernel for a time: not if they could not be taken back
  // without waiting.
  bool keeps_names() const { return protocol_minor_ >= 44; }
  // From FUSE_INIT.
  void set_protocol_minor(uint32_t minor) { protocol_minor_ = minor; }

 private:
  const ScopedFd device_;
  std::atomic<uint32_t> protocol_minor_{0};
};

}  // namespace omfs
