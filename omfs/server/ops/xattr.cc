// GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR, of every namespace: user.*, the POSIX ACLs
// (system.posix_acl_*), security.* and trusted.*. What the caller may do is the kernel's decision;
// a caller that is not root has none of the capabilities that security.* and trusted.* ask for.
//
// The path /proc/self/fd/N leads to the object itself, also if it is a symbolic link.
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "omfs/server/identity.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

// GET and LIST: the size, and with room for it the value. get(buffer, size) is the system call.
template <typename Get>
OpResult Fetch(uint32_t room, Get get) {
  if (room > OMFS_XATTR_SIZE_MAX) room = OMFS_XATTR_SIZE_MAX;
  Buffer value(room);
  const ssize_t n = get(reinterpret_cast<char*>(value.data()), room);
  if (n < 0) return Errno::Last();
  value.Shorten(room == 0 ? 0 : static_cast<size_t>(n));
  omfs_size_rep rep{};
  rep.size = Le32(static_cast<uint32_t>(n));
  return ReplyWith(rep, std::move(value));
}

// The path of a directory from the export's root, for root at the clients: "/" and names. For those who know a directory by its
// handle but must reach it by its names, as its place among them is part of what it is (a client's kernel has one entry for it).
// True only at this moment; whoever uses it looks whether it led to the same handle. ENODATA for other objects.
constexpr std::string_view kPathAttribute = "trusted.omfs.path";

OpResult PathOf(Operation& op, const Credentials& caller, const Inode& inode, uint32_t room) {
  if (caller.uid != 0 || op.services().root_squash || !S_ISDIR(inode.type())) return Errno(ENODATA);
  struct stat st {};
  if (fstat(inode.fd(), &st) != 0) return Errno::Last();
  if (st.st_nlink == 0) return Errno(ENOENT);
  std::string path(PATH_MAX, '\0');
  const ssize_t n = readlink(FdPath(inode.fd()).c_str(), path.data(), path.size());
  if (n < 0) return Errno::Last();
  path.resize(static_cast<size_t>(n));
  if (path.size() == PATH_MAX || path[0] != '/') return Errno(ENAMETOOLONG);
  return Fetch(room, [&](char* to, size_t size) -> ssize_t {
    if (size == 0) return static_cast<ssize_t>(path.size());
    if (size < path.size()) {
      errno = ERANGE;
      return -1;
    }
    path.copy(to, path.size());
    return static_cast<ssize_t>(path.size());
  });
}

}  // namespace

OpResult GetXattr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_xattr_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  const std::string name(r.parts[0]);
  if (name == kPathAttribute) return PathOf(op, r.creds, *inode, Le32(r.fixed.size));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  return Fetch(Le32(r.fixed.size), [&](char* to, size_t size) {
    return getxattr(FdPath(inode->fd()).c_str(), name.c_str(), to, size);
  });
}

ErrnoOr<Buffer> ReadXattr(Operation& op, const omfs_fh& handle, const Credentials& creds,
                          const std::string& name) {
  OMFS_TRY(const InodeRef inode, op.Resolve(handle));
  OMFS_TRY_ERRNO(op.ActAs(creds));
  Buffer value(OMFS_XATTR_SIZE_MAX);
  const ssize_t n = getxattr(FdPath(inode->fd()).c_str(), name.c_str(), value.data(), value.size());
  if (n < 0) return Errno::Last();
  value.Shorten(static_cast<size_t>(n));
  return value;
}

OpResult ListXattr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_xattr_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  return Fetch(Le32(r.fixed.size), [&](char* to, size_t size) {
    return listxattr(FdPath(inode->fd()).c_str(), to, size);
  });
}

OpResult SetXattr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_xattr_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  OMFS_CLAIM(op, {.object = inode->handle(), .changes = OMFS_CAP_A});
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const std::string name(r.parts[0]);
  {
    Stamps::Change change = op.Changing({inode->handle()});
    if (setxattr(FdPath(inode->fd()).c_str(), name.c_str(), op.payload().data(), op.payload().size(),
                 static_cast<int>(Le32(r.fixed.flags))) != 0) {
      return Errno::Last();
    }
    op.Stamp(change, inode->handle(), inode->fd(), Stamps::kChange);
  }
  op.tree().Changed(*inode);
  op.Changed();
  return Errno();
}

OpResult RemoveXattr(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_xattr_req>());
  OMFS_TRY(const InodeRef inode, op.Resolve(r.fixed.fh));
  OMFS_CLAIM(op, {.object = inode->handle(), .changes = OMFS_CAP_A});
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const std::string name(r.parts[0]);
  {
    Stamps::Change change = op.Changing({inode->handle()});
    if (removexattr(FdPath(inode->fd()).c_str(), name.c_str()) != 0) return Errno::Last();
    op.Stamp(change, inode->handle(), inode->fd(), Stamps::kChange);
  }
  op.tree().Changed(*inode);
  op.Changed();
  return Errno();
}

}  // namespace omfs::ops
