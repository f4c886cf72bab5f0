// READDIR: entries with the owner's own directory offsets as cookies; they are stable as far as the
// owner's file system keeps them so. The description's offset is set anew for each request, so
// requests may repeat and come in any order.
//
// With PLUS an entry carries handle and attributes where they can be had: not for "." and "..", not
// for an entry that is gone meanwhile, not in a directory the caller may read but not search. An
// entry without them is still an entry. To a client that caches they are given only with the caps for them.
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "omfs/server/ops/ops.h"

namespace omfs::ops {
namespace {

// As getdents64(2) gives it.
struct KernelDirent {
  uint64_t ino;
  int64_t off;
  uint16_t reclen;
  uint8_t type;
  char name[];
};

// Appends entries to a payload of bounded size.
class Page {
 public:
  explicit Page(size_t limit) : limit_(limit) {}

  // False: no room; nothing was appended.
  bool Add(const omfs_dirent& entry, const omfs_entry_rep* plus, std::string_view name) {
    const size_t size = sizeof entry + (plus != nullptr ? sizeof *plus : 0) + name.size();
    if (bytes_.size() + size > limit_) return false;
    bytes_.Pod(entry);
    if (plus != nullptr) bytes_.Pod(*plus);
    bytes_.Bytes(name);
    ++count_;
    return true;
  }

  uint32_t count() const { return count_; }
  Buffer TakePayload() const {
    Buffer out(bytes_.size());
    std::ranges::copy(bytes_.bytes(), out.data());
    return out;
  }

 private:
  const size_t limit_;
  MetaWriter bytes_;
  uint32_t count_ = 0;
};

ErrnoOr<omfs_entry_rep> EntryOf(Operation& op, const Inode& dir, std::string_view name, bool* caps) {
  OMFS_TRY(const InodeRef inode, op.tree().Lookup(dir, name));
  *caps = op.GrantListed(*inode);
  if (!*caps && op.header().object_caps() != 0) return Errno(EAGAIN);
  return op.tree().Entry(*inode);
}

// False: the page is full.
bool AddEntry(Operation& op, const OpenFile& open, const KernelDirent& d, bool plus, Page* page) {
  const std::string_view name(d.name);
  omfs_dirent entry{};
  entry.ino = Le64(d.ino);
  entry.cookie = Le64(static_cast<uint64_t>(d.off));
  entry.type = Le32(d.type);
  entry.name_len = Le16(static_cast<uint16_t>(name.size()));
  if (plus && name != "." && name != "..") {
    bool caps = false;
    const auto found = EntryOf(op, *open.inode, name, &caps);
    if (found.ok()) {
      entry.flags = Le16(OMFS_DIRENT_ENTRY | (caps ? OMFS_DIRENT_CAPS : 0));
      return page->Add(entry, &*found, name);
    }
  }
  return page->Add(entry, nullptr, name);
}

}  // namespace

OpResult ReadDir(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_readdir_req>());
  OMFS_TRY(const OpenRef open, op.FindOpen(r.fixed.open_id));
  if (!S_ISDIR(open->inode->type())) return Errno(ENOTDIR);
  op.GrantObject(*open->inode);
  OMFS_TRY_ERRNO(op.ActAs(r.creds));
  const bool plus = (Le32(r.fixed.flags) & OMFS_READDIR_PLUS) != 0;
  const size_t limit = std::min<size_t>(Le32(r.fixed.max_bytes), OMFS_MAX_PAYLOAD);
  Page page(limit);
  bool eof = false;
  bool full = false;

  std::lock_guard lock(open->position);
  const int fd = open->fd.get();
  alignas(KernelDirent) char raw[16 * 1024];
  if (Le64(r.fixed.cookie) != 0 && !open->listed) {
    // ext4 looks at the offset of a description's first getdents for where its hash tree begins: if that is the end, it stays at
    // the end also after a seek to 0. A description that goes on where another one was has its first one here.
    if (lseek(fd, 0, SEEK_SET) < 0 || syscall(SYS_getdents64, fd, raw, sizeof raw) < 0) return Errno::Last();
  }
  open->listed = true;
  if (lseek(fd, static_cast<off_t>(Le64(r.fixed.cookie)), SEEK_SET) < 0) return Errno::Last();
  // With attributes an entry takes about eight times the room the kernel needs for it: do not read
  // far ahead.
  const size_t want = plus ? std::clamp<size_t>(limit / 8, 2048, sizeof raw) : sizeof raw;
  while (!eof && !full) {
    const long n = syscall(SYS_getdents64, fd, raw, want);
    if (n < 0) return Errno::Last();
    eof = n == 0;
    for (long at = 0; at < n && !full;) {
      const auto* d = reinterpret_cast<const KernelDirent*>(raw + at);
      full = !AddEntry(op, *open, *d, plus, &page);
      at += d->reclen;
    }
  }
  // Not even one entry fits: the client's buffer is too small.
  if (full && page.count() == 0) return Errno(EINVAL);
  omfs_readdir_rep rep{};
  rep.count = Le32(page.count());
  rep.eof = Le32(eof ? 1 : 0);
  return ReplyWith(rep, page.TakePayload());
}

}  // namespace omfs::ops
