// CREATE: open(2) with O_CREAT of a single name, and O_TMPFILE.
//
// First the exclusive form is tried: it makes the file or finds that there is something. What there
// is is looked at by an O_PATH descriptor, since opening a FIFO or a device here would be wrong
// (the client opens those itself), and a symbolic link is the client's to follow (ELOOP tells it).
// A regular file is then opened with O_CREAT again, by name, so that the kernel's rules for O_CREAT
// on existing files in sticky directories hold (proc(5), protected_regular). Between the steps the
// name may change its meaning; then everything starts over, and the descriptor that was opened in
// the end is checked once more - the export is mounted nodev and the open does not block, so the
// worst that a race can reach is a FIFO opened and closed again.
//
// Mode and umask go to the kernel as they are, see MKNOD. The description is opened with the access
// the caller asked for, which for a new file does not depend on its mode.
#include <fcntl.h>
#include <sys/stat.h>

#include "omfs/server/identity.h"
#include "omfs/server/ops/making.h"
#include "omfs/server/ops/opening.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

constexpr int kTries = 16;

struct Opened {
  ScopedFd fd;
  bool created;       // perhaps
  bool made = false;  // for sure
};

ErrnoOr<ScopedFd> OpenAt(const Inode& dir, const std::string& name, int flags, uint32_t mode) {
  ScopedFd fd(openat(dir.fd(), name.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode & 07777));
  if (!fd) return Errno::Last();
  return fd;
}

// The type of an existing entry that CREATE may open, or why it may not. S_IFREG is the only one.
Errno CheckExisting(Operation& op, const Inode& dir, const std::string& name) {
  OMFS_TRY(const InodeRef found, op.tree().Lookup(dir, name));
  switch (found->type()) {
    case S_IFREG:
      return Errno();
    case S_IFDIR:
      return Errno(EISDIR);
    case S_IFLNK:
      return Errno(ELOOP);
    case S_IFSOCK:
      return Errno(ENXIO);
    default:
      return Errno(EOPNOTSUPP);
  }
}

ErrnoOr<Opened> OpenOrCreate(Operation& op, const Inode& dir, const std::string& name,
                             uint32_t flags, uint32_t mode) {
  const int how = OwnerFlags(flags) | O_CREAT | O_NOFOLLOW;
  for (int i = 0; i < kTries; ++i) {
    auto made = OpenAt(dir, name, (how & ~O_TRUNC) | O_EXCL, mode);
    if (made.ok()) return Opened{std::move(*made), true, true};
    if (made.error().value != EEXIST || (flags & O_EXCL)) return made.error();

    const Errno existing = CheckExisting(op, dir, name);
    if (existing.value == ENOENT) continue;
    OMFS_TRY_ERRNO(existing);
    const int nonblock = op.may_block() ? 0 : O_NONBLOCK;
    auto opened = OpenAt(dir, name, how | nonblock, mode);
    if (!opened.ok() && opened.error().value == EPERM && (flags & O_APPEND)) {
      opened = OpenAt(dir, name, how | nonblock | O_APPEND, mode);
    }
    if (!opened.ok()) {
      if (opened.error().value == ELOOP || opened.error().value == ENXIO)
        continue;  // replaced meanwhile
      return opened.error();
    }
    struct stat st;
    if (fstat(opened->get(), &st) != 0) return Errno::Last();
    if (!S_ISREG(st.st_mode)) continue;
    if (nonblock != 0) fcntl(opened->get(), F_SETFL, fcntl(opened->get(), F_GETFL) & ~O_NONBLOCK);
    // It may be new: removed and made again between the steps. One change too many does no harm.
    return Opened{std::move(*opened), true};
  }
  return Errno(EBUSY);
}

ErrnoOr<Opened> OpenNameless(const Inode& dir, uint32_t flags, uint32_t mode) {
  // O_EXCL here means that the file can never be linked (open(2)).
  const int how = OwnerFlags(flags) | O_TMPFILE | static_cast<int>(flags & O_EXCL);
  auto fd = OpenAt(dir, ".", how, mode);
  if (!fd.ok()) return fd.error();
  return Opened{std::move(*fd), false};
}

}  // namespace

OpResult Create(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_create_req>());
  const uint32_t flags = Le32(r.fixed.flags);
  const bool nameless = r.parts[0].empty();
  if (nameless != ((flags & O_TMPFILE) == O_TMPFILE)) return Errno(EINVAL);
  OMFS_TRY(const InodeRef dir, op.Resolve(r.fixed.dir));
  const std::string name(r.parts[0]);
  std::optional<omfs_fh> truncated;
  if (!nameless) {
    // Opening what exists changes nothing in the directory; but nobody may remove it meanwhile, or it would be made anew.
    const auto existing = op.tree().HandleOfEntry(*dir, name);
    const bool makes = !existing.ok();
    if (!makes && (flags & O_TRUNC)) truncated = *existing;
    std::vector<CapClaim> claims = {{.object = dir->handle(), .changes = makes ? OMFS_CAP_L : 0, .entry = name}};
    if (!makes) claims.push_back({.object = *existing, .changes = (flags & O_TRUNC) ? OMFS_CAP_F : 0, .reads_data = true});
    if (!op.Claim(std::move(claims))) return Recalling();
  }
  std::optional<ContentsLock::Held> held;
  if (truncated && !(held = op.Hold(*truncated, ContentsLock::ChangeFrom(0)))) return WouldBlock();
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  auto opened = [&] {
    if (nameless) return OpenNameless(*dir, flags, Le32(r.fixed.mode));
    Stamps::Change change = op.Changing({dir->handle(), truncated.value_or(omfs_fh{})});
    auto done = OpenOrCreate(op, *dir, name, flags, Le32(r.fixed.mode));
    if (done.ok() && done->made) op.Stamp(change, dir->handle(), dir->fd(), Stamps::kModify);
    if (done.ok() && !done->made && truncated) op.Stamp(change, *truncated, done->fd.get(), Stamps::kModify);
    return done;
  }();
  if (!opened.ok()) {
    if (opened.error().value == EAGAIN && !op.may_block()) return WouldBlock();
    return opened.error();
  }
  held.reset();
  OMFS_TRY(InodeRef inode, op.tree().Adopt(opened->fd.get()));
  if (opened->made || nameless) StampMade(op, *inode);
  if (opened->created) op.tree().Changed(*dir);
  if (flags & O_TRUNC) op.tree().Changed(*inode);
  op.Changed();
  if (!nameless) op.GrantEntry(*dir, name);
  return ReplyWithOpen(op, std::move(inode), std::move(opened->fd), flags & ~(O_CREAT | O_EXCL),
                       Le32(r.fixed.inline_bytes));
}

OpResult ReopenCreated(Operation& op, const omfs_fh& made) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_create_req>());
  const auto inode = op.Resolve(made);
  // Its name and with it the file have been removed since: what it would have been to this client cannot be told.
  if (!inode.ok()) return Errno(EIO);
  OMFS_CLAIM(op, {.object = made, .reads_data = true});
  // Whoever made a file has it open as it asked for, whatever the mode says.
  ThreadIdentity::BecomeDaemon();
  const uint32_t flags = Le32(r.fixed.flags) & ~static_cast<uint32_t>(O_CREAT | O_EXCL | O_TRUNC);
  OMFS_TRY(ScopedFd fd, OpenInode(op, **inode, flags & ~static_cast<uint32_t>(O_TMPFILE), r.creds));
  return ReplyWithOpen(op, *inode, std::move(fd), flags, Le32(r.fixed.inline_bytes));
}

}  // namespace omfs::ops
