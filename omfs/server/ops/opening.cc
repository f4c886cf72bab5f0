// O_APPEND: the owner's description is opened without it. Appends come as OMFS_WRITE_APPEND,
// request by request, since the client's description may gain and lose O_APPEND with fcntl. An
// append-only file (chattr +a) can only be opened for writing with O_APPEND: then the description
// has it after all.
//
// Execution: a program file may be executable but not readable to the caller. The client's kernel
// marks the open of an execve with FMODE_EXEC in the flags; then permission to execute is what
// counts, and the daemon opens the file.
#include "omfs/server/ops/opening.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "omfs/server/identity.h"
#include "omfs/server/session.h"

namespace omfs::ops {
namespace {

constexpr uint32_t kFmodeExec = 0x20;  // include/linux/fs.h __FMODE_EXEC

Errno TypeCanBeOpened(uint32_t type) {
  switch (type) {
    case S_IFREG:
    case S_IFDIR:
      return Errno();
    case S_IFLNK:
      return Errno(ELOOP);
    case S_IFSOCK:
      return Errno(ENXIO);
    default:
      return Errno(EOPNOTSUPP);
  }
}

// O_NONBLOCK: so that a lease (fcntl(2), F_SETLEASE) of a native process does not hold this thread
// up.
ErrnoOr<ScopedFd> OpenPath(const Inode& inode, int flags, bool may_block) {
  flags |= O_CLOEXEC | O_NOCTTY | (may_block ? 0 : O_NONBLOCK);
  ScopedFd fd(open(FdPath(inode.fd()).c_str(), flags));
  if (!fd) return Errno::Last();
  if (!may_block) fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

// Reads from memory only; fewer bytes, or none, when they are not there.
Buffer ReadCached(int fd, size_t size) {
  Buffer buffer(size);
  iovec part{buffer.data(), size};
  const ssize_t n = preadv2(fd, &part, 1, 0, RWF_NOWAIT);
  if (n < 0 && errno == EAGAIN) posix_fadvise(fd, 0, static_cast<off_t>(size), POSIX_FADV_WILLNEED);
  buffer.Shorten(n > 0 ? static_cast<size_t>(n) : 0);
  return buffer;
}

}  // namespace

int OwnerFlags(uint32_t client_flags) {
  constexpr uint32_t kTaken =
      O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME | O_DIRECTORY | O_LARGEFILE;
  return static_cast<int>(client_flags & kTaken);
}

ErrnoOr<ScopedFd> OpenInode(const Operation& op, const Inode& inode, uint32_t client_flags,
                            const Credentials& creds) {
  OMFS_TRY_ERRNO(TypeCanBeOpened(inode.type()));
  const int flags = OwnerFlags(client_flags);
  if ((client_flags & kFmodeExec) && S_ISREG(inode.type())) {
    if (syscall(SYS_faccessat2, inode.fd(), "", X_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) {
      return Errno::Last();
    }
    ThreadIdentity::BecomeDaemon();
    auto fd = OpenPath(inode, O_RDONLY, op.may_block());
    OMFS_TRY_ERRNO(op.ActAs(creds));
    return fd;
  }
  auto fd = OpenPath(inode, flags, op.may_block());
  if (!fd.ok() && fd.error().value == EPERM && (client_flags & O_APPEND)) {
    return OpenPath(inode, flags | O_APPEND, op.may_block());
  }
  return fd;
}

OpResult ReplyWithOpen(Operation& op, InodeRef inode, ScopedFd fd, uint32_t client_flags,
                       uint32_t inline_bytes) {
  const omfs_fh handle = inode->handle();
  const int own_fd = fd.get();
  const uint32_t type = inode->type();
  OMFS_TRY(const OpenRef open, op.session().opens().Add(inode, std::move(fd), client_flags,
                                                          op.services().orphans.Opened(inode)));
  op.services().caps.AddOpen(op.session().id(), handle, open->writable());
  op.GrantObject(*open->inode);
  Buffer first;
  const bool readable = (client_flags & O_ACCMODE) != O_WRONLY;
  const bool wants_data = inline_bytes > 0 && readable && S_ISREG(type);
  if (wants_data) {
    const size_t size = std::min<uint32_t>(inline_bytes, OMFS_INLINE_READ);
    // Nobody waits for these: who wants them reads them.
    if (op.services().contents.Take(handle, ContentsLock::Read(0, size), false)) first = ReadCached(own_fd, size);
  }
  const auto attr = op.tree().Attributes(*inode);
  if (!attr.ok()) {
    op.session().opens().Remove(open->id);
    op.services().caps.RemoveOpen(op.session().id(), handle, open->writable());
    return attr.error();
  }
  if (Le32(attr->nlink) == 0) op.services().orphans.Settle(handle);
  omfs_open_rep rep{};
  rep.open_id = Le64(open->id.value);
  // Attributes are read after the data: a size that the data reaches says that there is no more.
  rep.eof = Le32(wants_data && first.size() >= Le64(attr->size) ? 1 : 0);
  rep.fh = handle;
  rep.attr = *attr;
  return ReplyWith(rep, std::move(first));
}

}  // namespace omfs::ops
