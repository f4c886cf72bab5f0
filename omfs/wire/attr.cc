#include "omfs/wire/attr.h"

#include <sys/sysmacros.h>

#include "omfs/wire/endian.h"

namespace omfs {
namespace {

statx_timestamp StatxTimeFrom(const omfs_time& t) {
  statx_timestamp out{};
  out.tv_sec = static_cast<int64_t>(Le64(t.sec));
  out.tv_nsec = Le32(t.nsec);
  return out;
}

}  // namespace

omfs_time ToWire(const statx_timestamp& t) {
  omfs_time out{};
  out.sec = Le64(static_cast<uint64_t>(t.tv_sec));
  out.nsec = Le32(t.tv_nsec);
  return out;
}

omfs_time ToWire(const timespec& t) {
  omfs_time out{};
  out.sec = Le64(static_cast<uint64_t>(t.tv_sec));
  out.nsec = Le32(static_cast<uint32_t>(t.tv_nsec));
  return out;
}

timespec TimespecFrom(const omfs_time& t) {
  return {static_cast<time_t>(Le64(t.sec)), static_cast<long>(Le32(t.nsec))};
}

omfs_attr ToWire(const struct statx& stx, uint64_t change) {
  omfs_attr a{};
  a.ino = Le64(stx.stx_ino);
  a.size = Le64(stx.stx_size);
  a.blocks = Le64(stx.stx_blocks);
  a.mode = Le32(stx.stx_mode);
  a.nlink = Le32(stx.stx_nlink);
  a.uid = Le32(stx.stx_uid);
  a.gid = Le32(stx.stx_gid);
  a.rdev_major = Le32(stx.stx_rdev_major);
  a.rdev_minor = Le32(stx.stx_rdev_minor);
  a.blksize = Le32(stx.stx_blksize);
  a.attr_flags = Le32(static_cast<uint32_t>(stx.stx_attributes));
  a.atime = ToWire(stx.stx_atime);
  a.mtime = ToWire(stx.stx_mtime);
  a.ctime = ToWire(stx.stx_ctime);
  a.btime = ToWire(stx.stx_btime);
  a.change = Le64(change);
  return a;
}

struct statx StatxFrom(const omfs_attr& a) {
  struct statx stx {};
  stx.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
  stx.stx_ino = Le64(a.ino);
  stx.stx_size = Le64(a.size);
  stx.stx_blocks = Le64(a.blocks);
  stx.stx_mode = static_cast<uint16_t>(Le32(a.mode));
  stx.stx_nlink = Le32(a.nlink);
  stx.stx_uid = Le32(a.uid);
  stx.stx_gid = Le32(a.gid);
  stx.stx_rdev_major = Le32(a.rdev_major);
  stx.stx_rdev_minor = Le32(a.rdev_minor);
  stx.stx_blksize = Le32(a.blksize);
  stx.stx_attributes = Le32(a.attr_flags);
  stx.stx_attributes_mask = Le32(a.attr_flags);
  stx.stx_atime = StatxTimeFrom(a.atime);
  stx.stx_mtime = StatxTimeFrom(a.mtime);
  stx.stx_ctime = StatxTimeFrom(a.ctime);
  stx.stx_btime = StatxTimeFrom(a.btime);
  return stx;
}

struct stat StatFrom(const omfs_attr& a) {
  struct stat st {};
  st.st_ino = Le64(a.ino);
  st.st_size = static_cast<off_t>(Le64(a.size));
  st.st_blocks = static_cast<blkcnt_t>(Le64(a.blocks));
  st.st_mode = Le32(a.mode);
  st.st_nlink = Le32(a.nlink);
  st.st_uid = Le32(a.uid);
  st.st_gid = Le32(a.gid);
  st.st_rdev = makedev(Le32(a.rdev_major), Le32(a.rdev_minor));
  st.st_blksize = static_cast<blksize_t>(Le32(a.blksize));
  st.st_atim = TimespecFrom(a.atime);
  st.st_mtim = TimespecFrom(a.mtime);
  st.st_ctim = TimespecFrom(a.ctime);
  return st;
}

}  // namespace omfs
