// Directories.
//
// Entries come from the owner in pages larger than the kernel's buffer. A page is used up before
// the next is asked for, as a local file system may do between two getdents(2); going back
// (rewinddir) reads anew, so whoever opens or rewinds a directory sees all that was completed
// before. READDIRPLUS is not offered: with time-outs of 0 the kernel could use none of the
// attributes.
#include <memory>

#include "omfs-fuse/node_fs.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

constexpr uint32_t kPageBytes = 64 * 1024;

struct DirEntry {
  uint64_t ino;
  uint64_t cookie;
  uint32_t type;
  std::string name;
  size_t next;  // byte offset of the entry after it
};

// The entry at byte offset `at`; false at the end of the page, or if the rest makes no sense.
bool EntryAt(const DirPage& page, size_t at, DirEntry* out) {
  if (at >= page.entries.size()) return false;
  MetaReader in(std::span<const std::byte>(page.entries).subspan(at));
  omfs_dirent d;
  if (!in.Pod(&d).ok()) return false;
  absl::StatusOr<std::string_view> name = in.Bytes(Le16(d.name_len), "entry name");
  if (!name.ok() || name->empty()) return false;
  *out = {Le64(d.ino), Le64(d.cookie), Le32(d.type), std::string(*name),
          at + sizeof d + name->size()};
  return true;
}

}  // namespace

void NodeFs::OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  ErrnoOr<Opened> opened = object->node->Open(r.caller(), object->fh, O_RDONLY | O_DIRECTORY);
  if (!opened.ok()) return r.Fail(opened.error());
  auto handle = std::make_unique<FileHandle>();
  handle->node = object->node;
  handle->inode = object->inode;
  handle->open = opened->open;
  if (object->inode != nullptr) object->inode->AddOpen(opened->open);
  fi->fh = reinterpret_cast<uint64_t>(handle.release());
  r.Open(*fi);
}

void NodeFs::ReadDir(FuseRequest& r, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  std::lock_guard lock(h->dir_mu);
  const auto cookie = static_cast<uint64_t>(offset);
  if (cookie == 0 || cookie != h->last_cookie) {
    h->page = DirPage();
    h->page_next = 0;
    h->last_cookie = cookie;
  }
  std::vector<char> reply(size);
  size_t fill = 0;
  for (;;) {
    DirEntry e;
    if (!EntryAt(h->page, h->page_next, &e)) {
      if (h->page_next < h->page.entries.size()) return r.Fail(EPROTO);
      if (h->page.eof || fill > 0) break;
      ErrnoOr<DirPage> page =
          h->node->ReadDir(h->open->opener(), h->open, h->last_cookie, kPageBytes, false);
      if (!page.ok()) return r.Fail(page.error());
      h->page = std::move(*page);
      h->page_next = 0;
      if (h->page.entries.empty()) break;
      continue;
    }
    struct stat st {};
    st.st_ino = e.ino;
    st.st_mode = static_cast<mode_t>(e.type << 12);  // DTTOIF
    const size_t need = fuse_add_direntry(nullptr, nullptr, 0, e.name.c_str(), &st, 0);
    if (fill + need > size) break;
    fuse_add_direntry(nullptr, reply.data() + fill, size - fill, e.name.c_str(), &st,
                      static_cast<off_t>(e.cookie));
    fill += need;
    h->page_next = e.next;
    h->last_cookie = e.cookie;
  }
  r.Data(reply.data(), fill);
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
