// File handles on the wire: the kernel's bytes for an inode (name_to_handle_at), signed.
//
// A handle works across restarts and for as long as the object exists; the file system's generation
// number in it tells an object from a later one with the same inode number. The signature makes
// sure that a client can present only what it was given: a guessed handle could otherwise name any
// inode of the file system, also outside the export.
#pragma once

#include <fcntl.h>

#include <array>
#include <cstring>

#include "absl/status/status.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/scoped_fd.h"
#include "proto/omfs_wire.h"

namespace omfs {

// Thread-safe.
class HandleCodec {
 public:
  explicit HandleCodec(const std::array<uint8_t, 16>& secret) : secret_(secret) {}

  // The handle of the object an (O_PATH) descriptor stands for, or of the entry `name` of the
  // directory `fd`; a symbolic link is not followed. EOPNOTSUPP: the file system has no handles;
  // EOVERFLOW: they are too long.
  ErrnoOr<omfs_fh> Of(int fd, const char* name = "") const;

  // The handle of the object that the kernel's own bytes stand for, as events carry them.
  // EOVERFLOW: they are too long.
  ErrnoOr<omfs_fh> Of(const file_handle& kernel) const;

  // Whether this server made the handle.
  bool Genuine(const omfs_fh& fh) const;

  // An O_PATH descriptor of the object. mount_fd: any ordinary descriptor on the export's mount.
  // Needs CAP_DAC_READ_SEARCH. ESTALE: the object is gone.
  static ErrnoOr<ScopedFd> Open(int mount_fd, const omfs_fh& fh);

 private:
  uint64_t Sign(const omfs_fh& fh) const;

  std::array<uint8_t, 16> secret_;
};

struct HandleHash {
  // The signature is a hash already.
  size_t operator()(const omfs_fh& fh) const noexcept {
    size_t h;
    memcpy(&h, fh.mac, sizeof h);
    return h;
  }
};
struct HandleEqual {
  bool operator()(const omfs_fh& a, const omfs_fh& b) const noexcept {
    return memcmp(&a, &b, sizeof a) == 0;
  }
};

}  // namespace omfs
