// The values that calls of the client core take and give.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <cstring>
#include <functional>

#include "omfs/wire/meta.h"
#include "proto/omfs_wire.h"

namespace omfs {

// Who asks: ids as the caller's kernel sees them; groups are the supplementary ones.
using Caller = Credentials;

// A file handle of an owner: opaque, compared byte by byte. Equal handles of one owner mean the
// same object.
struct Fh {
  omfs_fh raw{};
  friend bool operator==(const Fh& a, const Fh& b) {
    return memcmp(&a.raw, &b.raw, sizeof a.raw) == 0;
  }
};

// An object as a lookup or a creation gives it. attr is in wire byte order; StatFrom and StatxFrom
// (omfs/wire/attr.h) read it.
struct Entry {
  Fh fh;
  omfs_attr attr{};
};

// What SETATTR is to change: OMFS_SET_* in valid, the rest only where valid says so.
struct AttrChange {
  uint32_t valid = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;
  timespec atime{};
  timespec mtime{};
};

// A lock as fcntl and flock mean it. start..end inclusive, end ~0 = to the end of the file.
struct FileLock {
  uint64_t start = 0;
  uint64_t end = ~0ull;
  uint32_t type = 0;  // F_RDLCK, F_WRLCK, F_UNLCK
  uint32_t pid = 0;
};

}  // namespace omfs

template <>
struct std::hash<omfs::Fh> {
  // The signature is a keyed hash of everything else.
  size_t operator()(const omfs::Fh& fh) const noexcept {
    size_t h;
    memcpy(&h, fh.raw.mac, sizeof h);
    return h;
  }
};
