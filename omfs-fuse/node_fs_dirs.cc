// Directories.
//
// Entries come from the owner in pages larger than the kernel's buffer. A page is used up before
// the next is asked for, as a local file system may do between two getdents(2); going back
// (rewinddir) reads anew, so whoever opens or rewinds a directory sees all that was completed
// before. The kernel keeps listings (FOPEN_CACHE_DIR) under the cap L: a recall empties them, and a listing that was read
// without the cap is emptied at the next open.
#include <memory>

#include "omfs-fuse/node_fs.h"
#include "omfs/wire/attr.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

constexpr uint32_t kPageBytes = 64 * 1024;
constexpr uint32_t kPlusBytes = 256 * 1024;  // about eight times as much an entry

}  // namespace

// The entry at byte offset `at`; false at the end of the page, or if the rest makes no sense.
bool NodeFs::EntryAt(const DirPage& page, size_t at, DirEntry* out) {
  if (at >= page.entries.size()) return false;
  MetaReader in(std::span<const std::byte>(page.entries).subspan(at));
  omfs_dirent d;
  if (!in.Pod(&d).ok()) return false;
  std::optional<Entry> object;
  const bool has_object = (Le16(d.flags) & OMFS_DIRENT_ENTRY) != 0;
  if (omfs_entry_rep rep; has_object) {
    if (!in.Pod(&rep).ok()) return false;
    object = Entry{Fh{rep.fh}, rep.attr};
  }
  absl::StatusOr<std::string_view> name = in.Bytes(Le16(d.name_len), "entry name");
  if (!name.ok() || name->empty()) return false;
  *out = {Le64(d.ino), Le64(d.cookie), Le32(d.type), std::string(*name), std::move(object),
          (Le16(d.flags) & OMFS_DIRENT_CAPS) != 0,
          at + sizeof d + (has_object ? sizeof(omfs_entry_rep) : 0) + name->size()};
  return true;
}


void NodeFs::OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  auto handle = std::make_unique<FileHandle>();
  handle->node = object->node;
  handle->inode = object->inode;
  const bool later = MayOpenLater(*object, O_RDONLY | O_DIRECTORY);
  if (later) {
    handle->open = object->node->OpenLater(r.caller(), object->fh, O_RDONLY | O_DIRECTORY);
    handle->cached = true;
  } else {
    CapTerms terms = Terms(kAttributeCaps);
    ErrnoOr<Opened> opened = object->node->Open(r.caller(), object->fh, O_RDONLY | O_DIRECTORY, &terms);
    if (!opened.ok()) return r.Fail(opened.error());
    handle->open = opened->open;
    if (caching_ && object->inode != nullptr && terms.object(kAttributeCaps)) {
      object->inode->cache.PutAttributes(opened->entry.attr, terms.stamp);
      handle->cached = true;
    }
  }
  if (object->inode != nullptr) object->inode->AddOpen(handle->open);
  if (later && !MayOpenLater(*object, O_RDONLY | O_DIRECTORY)) {  // see NodeFs::Open
    if (const Errno e = object->node->EnsureOpen(handle->open); !e.ok()) {
      object->inode->RemoveOpen(handle->open);
      return r.Fail(e);
    }
  }
  if (handle->cached) {
    ForgetOldPages(object->inode);
    fi->cache_readdir = 1;
    fi->keep_cache = !object->inode->listing_tainted.exchange(false);
  }
  fi->fh = reinterpret_cast<uint64_t>(handle.release());
  r.Open(*fi);
  if (!r.taken()) DropOpen(fi->fh);
}

void NodeFs::ReadDir(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  ReadEntries(r, size, offset, fi, false);
}

void NodeFs::ReadDirPlus(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  ReadEntries(r, size, offset, fi, true);
}

size_t NodeFs::AddPlus(FuseInode* dir, NodeClient* node, const DirEntry& e, const CapStamp& stamp, char* to,
                       size_t room, std::vector<fuse_ino_t>* given) {
  fuse_entry_param entry{};
  entry.attr.st_ino = e.ino;
  entry.attr.st_mode = static_cast<mode_t>(e.type << 12);  // DTTOIF
  const size_t need = fuse_add_direntry_plus(nullptr, nullptr, 0, e.name.c_str(), &entry, 0);
  if (need > room) return 0;
  // Without a number the kernel takes the name only.
  if (e.object && e.caps && dir->cache.NameAlive(e.name, stamp)) {
    FuseInode* inode = inodes_.Remember(node, e.object->fh);
    entry.ino = inode->number;
    given->push_back(inode->number);
    entry.attr = StatFrom(e.object->attr);
    dir->cache.PutName(e.name, e.object->fh, stamp);
    inode->cache.PutAttributes(e.object->attr, stamp);
    if (kernel_->keeps_names()) entry.entry_timeout = Validity();
    if (inode->cache.AttributesAlive(stamp)) entry.attr_timeout = Validity();
  }
  return fuse_add_direntry_plus(nullptr, to, room, e.name.c_str(), &entry, static_cast<off_t>(e.cookie));
}

size_t NodeFs::AddPlain(const DirEntry& e, char* to, size_t room) {
  struct stat st {};
  st.st_ino = e.ino;
  st.st_mode = static_cast<mode_t>(e.type << 12);  // DTTOIF
  const size_t need = fuse_add_direntry(nullptr, nullptr, 0, e.name.c_str(), &st, 0);
  if (need > room) return 0;
  return fuse_add_direntry(nullptr, to, room, e.name.c_str(), &st, static_cast<off_t>(e.cookie));
}

Errno NodeFs::FetchPage(FileHandle* h, bool plus) {
  CapTerms terms = Terms(OMFS_CAP_L);
  ErrnoOr<DirPage> page = h->node->ReadDir(h->open->opener(), h->open, h->last_cookie,
                                           plus ? kPlusBytes : kPageBytes, plus, &terms);
  if (!page.ok()) return page.error();
  h->page = std::move(*page);
  h->page_plus = plus;
  h->page_stamp = terms.object(OMFS_CAP_L) ? terms.stamp : CapStamp();
  h->page_next = 0;
  if (h->inode != nullptr) h->inode->cache.ForgetAttributes();  // the time of the last access may have moved
  return Errno();
}

ErrnoOr<size_t> NodeFs::TakeEntries(FileHandle* h, bool plus, std::span<char> reply, std::vector<fuse_ino_t>* given) {
  size_t fill = 0;
  while (h->page_next < h->page.entries.size()) {
    DirEntry e;
    if (!EntryAt(h->page, h->page_next, &e)) return Errno(EPROTO);
    // The listing the kernel keeps must be under the cap, or go at the next open.
    if (h->cached && !h->inode->cache.ListingAlive(h->page_stamp)) h->inode->listing_tainted = true;
    char* const to = reply.data() + fill;
    const size_t room = reply.size() - fill;
    const size_t added = plus ? AddPlus(h->inode, h->node, e, h->page_stamp, to, room, given) : AddPlain(e, to, room);
    if (added == 0) break;
    fill += added;
    h->page_next = e.next;
    h->last_cookie = e.cookie;
  }
  return fill;
}

// The handle may be gone as soon as the kernel has the answer: its mutex is let go before.
void NodeFs::ReadEntries(FuseRequest& r, size_t size, off_t offset, fuse_file_info* fi, bool plus) {
  FileHandle* h = FileHandle::Of(fi);
  std::unique_lock lock(h->dir_mu);
  const auto cookie = static_cast<uint64_t>(offset);
  const bool other_kind = h->page_plus != plus && !h->page.entries.empty();
  if (cookie == 0 || cookie != h->last_cookie || other_kind) {
    h->page = DirPage();
    h->page_next = 0;
    h->last_cookie = cookie;
  }
  if (h->page_next >= h->page.entries.size() && !h->page.eof) {
    if (const Errno e = FetchPage(h, plus); !e.ok()) {
      lock.unlock();
      return r.Fail(e);
    }
  }
  std::vector<char> reply(size);
  std::vector<fuse_ino_t> given;
  // What is found alive here reaches the kernel before a recall can come between.
  std::shared_lock publish(publish_);
  const ErrnoOr<size_t> fill = TakeEntries(h, plus, reply, &given);
  lock.unlock();
  if (fill.ok()) {
    r.Data(reply.data(), *fill);
  } else {
    r.Fail(fill.error());
  }
  if (fill.ok() && r.taken()) return;
  for (const fuse_ino_t number : given) Forget(number, 1);
}

void NodeFs::ReleaseDir(FuseRequest& r, fuse_ino_t, fuse_file_info* fi) {
  std::unique_ptr<FileHandle> h(FileHandle::Of(fi));
  if (h->inode != nullptr) h->inode->RemoveOpen(h->open);
  h->node->Close(h->open->opener(), h->open, 0);
  r.Done(Errno());
}

void NodeFs::FsyncDir(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) {
  Fsync(r, ino, data_only, fi);
}

}  // namespace omfs
