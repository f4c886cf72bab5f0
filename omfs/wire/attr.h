// struct statx <-> struct omfs_attr.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "proto/omfs_wire.h"

namespace omfs {

omfs_time ToWire(const statx_timestamp& t);
omfs_time ToWire(const timespec& t);
timespec TimespecFrom(const omfs_time& t);

// change: the owner's change counter of the inode.
omfs_attr ToWire(const struct statx& stx, uint64_t change);

// All of what the wire carries; stx_mask says so (STATX_BASIC_STATS | STATX_BTIME).
struct statx StatxFrom(const omfs_attr& attr);
struct stat StatFrom(const omfs_attr& attr);

}  // namespace omfs
