// READ: what is in memory is read on the spot (RWF_NOWAIT), what must come from the disk by a
// worker, so that other requests of the connection overtake it. Fewer bytes than asked for only at
// the end of the file.
//
// Reading may move the time of the last access, which others then cache in vain: they are told before the reader has its
// answer (the second run finds the time moved already).
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

// Reads until `size` bytes are there or the file ends. WouldBlock is EAGAIN.
ErrnoOr<size_t> ReadFully(int fd, std::byte* to, size_t size, off_t offset, bool may_block) {
  size_t got = 0;
  while (got < size) {
    iovec part{to + got, size - got};
    const off_t at = offset + static_cast<off_t>(got);
    ssize_t n = may_block ? pread(fd, part.iov_base, part.iov_len, at)
                          : preadv2(fd, &part, 1, at, RWF_NOWAIT);
    // A file system without RWF_NOWAIT has the data at hand (tmpfs) or no way to tell.
    if (n < 0 && errno == EOPNOTSUPP) n = pread(fd, part.iov_base, part.iov_len, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno::Last();
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  return got;
}

timespec AccessTime(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_atim : timespec{};
}

}  // namespace

OpResult Read(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_read_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  if (!open->readable()) return Errno(EBADF);
  const auto offset = static_cast<off_t>(Le64(r.fixed.offset));
  if (offset < 0) return Errno(EINVAL);
  const omfs_fh& handle = open->inode->handle();
  if (op.header().object_caps() & OMFS_CAP_MUST) {
    if (!op.AcquireData(*open->inode)) return Recalling();
  } else {
    OMFS_CLAIM(op, {.object = handle, .reads_data = true});
    op.GrantObject(*open->inode);
  }
  Buffer buffer(std::min<size_t>(Le32(r.fixed.len), OMFS_MAX_PAYLOAD));
  const auto held = op.Hold(handle, ContentsLock::Read(static_cast<uint64_t>(offset), buffer.size()));
  if (!held) return WouldBlock();
  const bool watched = op.OthersHold(handle, OMFS_CAP_A);
  const timespec before = watched ? AccessTime(open->fd.get()) : timespec{};
  const auto got = ReadFully(open->fd.get(), buffer.data(), buffer.size(), offset, op.may_block());
  if (!got.ok()) {
    if (got.error().value == EAGAIN && !op.may_block()) return WouldBlock();
    return got.error();
  }
  if (watched) {
    const timespec after = AccessTime(open->fd.get());
    if (after.tv_sec != before.tv_sec || after.tv_nsec != before.tv_nsec) {
      OMFS_CLAIM(op, {.object = handle, .changes = OMFS_CAP_A});
      op.ReleaseClaims();
    }
  }
  buffer.Shorten(*got);
  return Reply{{}, std::move(buffer)};
}

}  // namespace omfs::ops
