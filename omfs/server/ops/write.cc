// WRITE: runs with the ids of the request. The kernel looks at the writer, not at the opener, when
// it clears set-id bits and when it decides about the reserved blocks and quotas of a file system.
//
// OMFS_WRITE_APPEND: the kernel appends atomically, also between native writers (RWF_APPEND). It
// tells where the data went only by the description's offset, therefore the open's position is held
// meanwhile. OMFS_WRITE_OWED: see ../cap_table.h. Writes that must reach the disk go to a worker. A short write is reported as such.
//
// The bytes are held meanwhile (contents_lock.h): those of an append are all from the end on.
//
// OMFS_WRITE_MAPPED: a store through a shared map is not a write(2): it takes away neither set-id
// bits nor file capabilities, and what lies behind the end of the file - which another may have
// truncated meanwhile - is lost. So it is done through a map here, too. The kernel copies
// (process_vm_writev): a page that is no more is then an error and not a SIGBUS. The server's
// process must not itself map files of /mfs: munmap(2) waits for this operation while it holds the
// address space that the map here is made in.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

struct Written {
  uint64_t size;
  uint64_t offset;
};

ErrnoOr<Written> Append(OpenFile& open, std::span<const std::byte> data, int how) {
  std::lock_guard lock(open.position);
  const iovec part{const_cast<std::byte*>(data.data()), data.size()};
  const ssize_t n = pwritev2(open.fd.get(), &part, 1, -1, how | RWF_APPEND);
  if (n < 0) return Errno::Last();
  const off_t end = lseek(open.fd.get(), 0, SEEK_CUR);
  return Written{static_cast<uint64_t>(n), static_cast<uint64_t>(end - n)};
}

ErrnoOr<Written> WriteAt(OpenFile& open, std::span<const std::byte> data, uint64_t offset,
                         int how) {
  if (static_cast<off_t>(offset) < 0) return Errno(EINVAL);
  const iovec part{const_cast<std::byte*>(data.data()), data.size()};
  const ssize_t n = pwritev2(open.fd.get(), &part, 1, static_cast<off_t>(offset), how);
  if (n < 0) return Errno::Last();
  return Written{static_cast<uint64_t>(n), offset};
}

// A shared writable map of a part of a file.
class SharedMap {
 public:
  SharedMap(int fd, uint64_t offset, size_t size) : lead_(offset % kPage), size_(size) {
    base_ = mmap(nullptr, lead_ + size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                 static_cast<off_t>(offset - lead_));
  }
  ~SharedMap() {
    if (valid()) munmap(base_, lead_ + size_);
  }
  SharedMap(const SharedMap&) = delete;
  SharedMap& operator=(const SharedMap&) = delete;
  bool valid() const { return base_ != MAP_FAILED; }

  // How many bytes were copied; those of a page that cannot be written and of the pages after it
  // are not.
  size_t Store(std::span<const std::byte> data) {
    const iovec from{const_cast<std::byte*>(data.data()), data.size()};
    std::vector<iovec> pages;  // one part each: the call promises nothing of what is inside a part
    for (size_t at = 0; at < size_;) {
      const size_t part = std::min(kPage - (lead_ + at) % kPage, size_ - at);
      pages.push_back({static_cast<std::byte*>(base_) + lead_ + at, part});
      at += part;
    }
    const ssize_t n = process_vm_writev(getpid(), &from, 1, pages.data(), pages.size(), 0);
    return n < 0 ? 0 : static_cast<size_t>(n);
  }

 private:
  static constexpr size_t kPage = 4096;  // x86-64
  const size_t lead_;
  const size_t size_;
  void* base_;
};
static_assert(OMFS_MAX_PAYLOAD / 4096 + 1 <= 1024, "more pages than process_vm_writev(2) takes");

// The part of [offset, offset + size) that lies in the file.
ErrnoOr<size_t> SizeInFile(int fd, uint64_t offset, size_t size) {
  struct stat st;
  if (fstat(fd, &st) != 0) return Errno::Last();
  const auto end = static_cast<uint64_t>(st.st_size);
  return offset >= end ? 0 : static_cast<size_t>(std::min<uint64_t>(size, end - offset));
}

// rw: a descriptor of the open's file for reading and writing. An ordinary write has the last word
// where the map could not be written: it tells why (ENOSPC, EIO).
ErrnoOr<Written> WriteMapped(int rw, OpenFile& open, std::span<const std::byte> data,
                             uint64_t offset) {
  if (static_cast<off_t>(offset) < 0) return Errno(EINVAL);
  OMFS_TRY(const size_t size, SizeInFile(rw, offset, data.size()));
  size_t stored = 0;
  if (size > 0) {
    SharedMap map(rw, offset, size);
    if (map.valid()) stored = map.Store(data.first(size));
  }
  if (stored < size) {
    OMFS_TRY(const size_t still, SizeInFile(rw, offset, size));
    if (stored < still) {
      OMFS_TRY(const Written rest,
               WriteAt(open, data.subspan(stored, still - stored), offset + stored, 0));
      if (stored + rest.size < still) return Written{stored + rest.size, offset};
    }
  }
  return Written{data.size(), offset};
}

ErrnoOr<Written> WriteMapped(const Operation& op, OpenFile& open, std::span<const std::byte> data,
                             uint64_t offset, const Credentials& creds) {
  if (open.readable()) return WriteMapped(open.fd.get(), open, data, offset);
  // The client's kernel writes through any open of the file that may write; who mapped it could
  // read, too.
  ThreadIdentity::BecomeDaemon();
  const ScopedFd rw(::open(FdPath(open.inode->fd()).c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  const Errno error = Errno::Last();
  OMFS_TRY_ERRNO(op.ActAs(creds));
  if (!rw) return error;
  return WriteMapped(rw.get(), open, data, offset);
}

// nullopt: WouldBlock.
std::optional<ContentsLock::Held> HoldFromEnd(Operation& op, const OpenFile& open) {
  for (;;) {
    struct stat st;
    const auto end = [&] { return fstat(open.fd.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0; };
    const uint64_t before = end();
    auto held = op.Hold(open.inode->handle(), ContentsLock::ChangeFrom(before));
    if (!held || end() >= before) return held;
    // Truncated before it was held: the data goes further to the front.
  }
}

}  // namespace

OpResult Write(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_write_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  if (!open->writable()) return Errno(EBADF);
  const uint32_t flags = Le32(r.fixed.flags);
  const bool dsync = (flags & OMFS_WRITE_DSYNC) != 0;
  const bool owed = (flags & OMFS_WRITE_OWED) != 0;
  OMFS_CLAIM(op, {.object = open->inode->handle(), .changes = OMFS_CAP_F, .owed = owed});
  if ((dsync || open->synchronous()) && !op.may_block()) return WouldBlock();
  const std::span<const std::byte> data = op.payload().span();
  const uint64_t offset = Le64(r.fixed.offset);
  const auto held = (flags & OMFS_WRITE_APPEND) ? HoldFromEnd(op, *open)
                                                : op.Hold(open->inode->handle(), ContentsLock::Change(offset, data.size()));
  if (!held) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const int how = dsync ? RWF_DSYNC : 0;
  const auto done = [&] {
    Stamps::Change change = op.Changing({open->inode->handle()});
    const auto written = (flags & OMFS_WRITE_APPEND)   ? Append(*open, data, how)
                         : (flags & OMFS_WRITE_MAPPED) ? WriteMapped(op, *open, data, offset, r.creds)
                                                       : WriteAt(*open, data, offset, how);
    if (written.ok() && written->size > 0) op.Stamp(change, open->inode->handle(), open->inode->fd(), Stamps::kModify);
    return written;
  }();
  op.tree().Changed(*open->inode);
  op.Changed();
  if (!done.ok()) return done.error();
  omfs_write_rep rep{};
  rep.written = Le64(done->size);
  rep.offset = Le64(done->offset);
  return ReplyWith(rep);
}

}  // namespace omfs::ops
