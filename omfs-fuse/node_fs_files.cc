// Open files.
#include <fcntl.h>

#include <algorithm>
#include <memory>

#include <linux/fuse.h>

#include "omfs-fuse/node_fs.h"
#include "omfs-fuse/raw_ops.h"
#include "omfs/wire/attr.h"

namespace omfs {
namespace {

uint64_t NewHandle(NodeClient* node, FuseInode* inode, RemoteOpenRef open) {
  auto handle = std::make_unique<FileHandle>();
  handle->node = node;
  handle->inode = inode;
  handle->open = std::move(open);
  inode->AddOpen(handle->open);
  return reinterpret_cast<uint64_t>(handle.release());
}

// The reply buffer of a worker thread, at least size bytes; grows and stays.
std::span<std::byte> ReadBuffer(size_t size) {
  thread_local std::unique_ptr<std::byte[]> buffer;
  thread_local size_t capacity = 0;
  if (capacity < size) {
    capacity = std::max<size_t>(size, 64 * 1024);
    buffer = std::make_unique_for_overwrite<std::byte[]>(capacity);
  }
  return {buffer.get(), size};
}

// In whose name I/O on an open file is sent. What the open permits was decided when it was opened,
// so no groups are needed; the ids matter to the owner for set-id bits that a write clears. Pages
// of a shared mapping are written by the kernel in nobody's name: there the opener stands for the
// writer.
Caller IoCaller(const FuseRequest& r, const FileHandle& h, const fuse_file_info* fi) {
  if (fi->writepage || r.ids().uid == h.open->opener().uid) return h.open->opener();
  Caller caller;
  caller.uid = r.ids().uid;
  caller.gid = r.ids().gid;
  return caller;
}

// Gives up what a lock owner holds on the object.
Errno UnlockAll(const FileHandle& h, uint64_t owner) {
  FileLock everything;
  everything.type = F_UNLCK;
  return h.node->SetLock(h.open->opener(), h.open, owner, 0, everything, nullptr);
}

}  // namespace

void NodeFs::Open(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  // Pages of the kernel are valid whenever there are any (DataGate), so they are always kept. O_APPEND and O_DIRECT, and any
  // writing, go past them.
  const bool reads_only = (fi->flags & (O_ACCMODE | O_DIRECT | O_TRUNC)) == O_RDONLY;
  const bool passes_through = own_ != nullptr && own_->passes_through();
  if (!passes_through && MayOpenLater(*object, fi->flags)) {
    fi->fh = NewHandle(object->node, object->inode, object->node->OpenLater(r.caller(), object->fh, fi->flags));
    FileHandle::Of(fi)->cached = true;
    fi->keep_cache = 1;
    // A recall that came before the open stood here has not told the owner of it.
    if (!MayOpenLater(*object, fi->flags)) {
      const Errno e = object->node->EnsureOpen(FileHandle::Of(fi)->open);
      if (!e.ok()) {
        const std::unique_ptr<FileHandle> h(FileHandle::Of(fi));
        h->inode->RemoveOpen(h->open);
        return r.Fail(e);
      }
    }
    r.Open(*fi);
    if (!r.taken()) DropOpen(fi->fh);
    return;
  }
  CapTerms terms = Terms(kAttributeCaps);
  ErrnoOr<Opened> opened = object->node->Open(r.caller(), object->fh, fi->flags, &terms);
  if ((fi->flags & O_TRUNC) != 0) Changed(*object, kAttributeCaps & ~OMFS_CAP_L, terms);
  if (!opened.ok()) return r.Fail(opened.error());
  fi->fh = NewHandle(object->node, object->inode, opened->open);
  if (caching_ && terms.object(kAttributeCaps)) object->inode->cache.PutAttributes(opened->entry.attr, terms.stamp);
  const Passthrough::Terms backing = Join(fi->fh, *opened);
  if (!backing.refused.ok()) return r.Fail(backing.refused);
  if (backing.backing_id != 0) {
    r.Opened(OpenBody(fi->fh, backing.open_flags, backing.backing_id));
    if (!r.taken()) DropOpen(fi->fh);
    return;
  }
  if (caching_ && reads_only && terms.object(OMFS_CAP_F)) {
    FileHandle::Of(fi)->cached = true;
    fi->keep_cache = 1;
  } else {
    fi->direct_io = 1;
  }
  r.Open(*fi);
  if (!r.taken()) DropOpen(fi->fh);
}

Passthrough::Terms NodeFs::Join(uint64_t handle, const Opened& opened) {
  if (own_ == nullptr || !own_->passes_through()) return {};
  auto* h = reinterpret_cast<FileHandle*>(handle);
  const Passthrough::Terms terms = own_->Enter(h->node, h->inode, opened);
  h->joined = terms.refused.ok();
  if (!h->joined) {
    const std::unique_ptr<FileHandle> gone(h);
    h->inode->RemoveOpen(h->open);
    h->node->Close(h->open->opener(), h->open, 0);
  }
  return terms;
}

namespace {

// The kernel asks for a creation when it has found no such name. If a symbolic link or a special
// file has taken it since, the kernel has to follow or open that itself: after ESTALE it looks the
// name up anew.
Errno ForTheKernelToOpen(Errno create_error) {
  const int e = create_error.value;
  return e == ELOOP || e == ENXIO || e == EOPNOTSUPP ? Errno(ESTALE) : create_error;
}

}  // namespace

void NodeFs::Create(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode,
                    fuse_file_info* fi) {
  ErrnoOr<Object> dir = Resolve(r.ids(), parent, Use::kMake);
  if (!dir.ok()) return r.Fail(dir.error());
  const EntryNotifier::ChangeScope change(notifier(), parent);
  CapTerms terms = Terms(kAttributeCaps, OMFS_CAP_L);
  ErrnoOr<Opened> opened = InDirectory(*dir, dir->node->Create(r.caller(), dir->fh, name, fi->flags, mode & 07777, &terms));
  ChangedName(*dir, name, terms);
  if (!opened.ok()) return r.Fail(ForTheKernelToOpen(opened.error()));
  Made(r.ids(), parent, dir->node);
  if ((fi->flags & O_TRUNC) != 0) ChangedUnseen(dir->node, opened->entry.fh, terms);
  FuseInode* inode = inodes_.Remember(dir->node, opened->entry.fh);
  fi->fh = NewHandle(dir->node, inode, opened->open);
  const Passthrough::Terms backing = Join(fi->fh, *opened);
  if (!backing.refused.ok()) {
    inodes_.Forget(inode->number, 1);
    return r.Fail(backing.refused);
  }
  fuse_entry_param e{};
  std::shared_lock publish(publish_);
  e.ino = inode->number;
  e.attr = StatFrom(opened->entry.attr);
  if (caching_ && dir->inode != nullptr && terms.directory(OMFS_CAP_L)) {
    dir->inode->cache.PutName(name, opened->entry.fh, terms.stamp);
    if (kernel_->keeps_names() && dir->inode->cache.NameAlive(name, terms.stamp)) e.entry_timeout = Validity();
  }
  if (caching_ && terms.object(kAttributeCaps)) {
    inode->cache.PutAttributes(opened->entry.attr, terms.stamp);
    if (inode->cache.AttributesAlive(terms.stamp)) e.attr_timeout = Validity();
  }
  fi->direct_io = 1;
  if (backing.backing_id != 0) {
    r.Opened(CreateBody(e, fi->fh, backing.open_flags, backing.backing_id));
  } else {
    r.Create(e, *fi);
  }
  if (r.taken()) return;
  publish.unlock();
  Drop({e.ino, opened->entry.attr, fi->fh});
}

ErrnoOr<FileSystem::NewFile> NodeFs::TmpFile(const RequestIds& ids, fuse_ino_t dir_ino, int flags,
                                             mode_t mode) {
  ErrnoOr<Object> dir = Resolve(ids, dir_ino, Use::kMake);
  if (!dir.ok()) return dir.error();
  ErrnoOr<Opened> opened =
      dir->node->Create(CallerOf(ids), dir->fh, "", flags | O_TMPFILE, mode & 07777);
  if (!opened.ok()) return opened.error();
  Made(ids, dir_ino, dir->node);
  FuseInode* inode = inodes_.Remember(dir->node, opened->entry.fh);
  NewFile file{inode->number, opened->entry.attr, NewHandle(dir->node, inode, opened->open), FOPEN_DIRECT_IO};
  const Passthrough::Terms backing = Join(file.handle, *opened);
  if (!backing.refused.ok()) {
    inodes_.Forget(inode->number, 1);
    return backing.refused;
  }
  if (backing.backing_id != 0) file.open_flags = backing.open_flags, file.backing_id = backing.backing_id;
  return file;
}

void NodeFs::Read(FuseRequest& r, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  const std::span<std::byte> buffer = ReadBuffer(std::min<size_t>(size, OMFS_MAX_PAYLOAD));
  if (!h->cached) {
    ErrnoOr<size_t> n = h->node->Read(h->open->opener(), h->open, offset, buffer);
    if (h->inode != nullptr) h->inode->cache.ForgetAttributes();
    if (!n.ok()) return r.Fail(n.error());
    return r.Data(buffer.data(), *n);
  }
  // Once the kernel has its answer, the file may be closed and forgotten.
  const std::shared_ptr<FuseInode> inode = h->inode->shared_from_this();
  const DataGate::ReadScope reading(&inode->data_gate);
  KernelHasPages(h->inode);
  CapTerms terms = Terms(OMFS_CAP_F | OMFS_CAP_MUST);
  ErrnoOr<size_t> n = h->node->Read(h->open->opener(), h->open, offset, buffer, &terms);
  h->inode->cache.ForgetAttributes();  // the time of the last access may have moved
  if (!n.ok()) return r.Fail(n.error());
  r.Data(buffer.data(), *n);
}

void NodeFs::Write(FuseRequest& r, fuse_ino_t, const char* data, size_t size, off_t offset,
                   fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  const uint32_t how = fi->writepage                 ? OMFS_WRITE_MAPPED | OMFS_WRITE_OWED
                       : (fi->flags & O_APPEND) != 0 ? OMFS_WRITE_APPEND
                                                     : 0;
  const std::span<const std::byte> bytes{reinterpret_cast<const std::byte*>(data), size};
  CapTerms terms = Terms(OMFS_CAP_F);
  ErrnoOr<Written> written = h->node->Write(IoCaller(r, *h, fi), h->open, offset, bytes, how, &terms);
  Changed({h->node, h->open->fh(), h->inode}, kAttributeCaps & ~OMFS_CAP_L & ~OMFS_CAP_F, terms);
  if (!written.ok()) return r.Fail(written.error());
  if (!fi->writepage) DropPages(h->inode, written->offset, written->bytes);
  r.Written(written->bytes);
}

// Nothing is buffered here, so close(2) has only the caller's POSIX locks on the file to give up,
// through whichever descriptor it got them.
void NodeFs::Flush(FuseRequest& r, fuse_ino_t, fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  if (!h->inode->RemoveLocker(fi->lock_owner)) return r.Done(Errno());
  r.Done(UnlockAll(*h, fi->lock_owner));
}

void NodeFs::Release(FuseRequest& r, fuse_ino_t, fuse_file_info* fi) {
  std::unique_ptr<FileHandle> h(FileHandle::Of(fi));
  if (h->joined) own_->Leave(h->inode);
  for (const uint64_t owner : h->inode->TakeLockersOf(h->open)) UnlockAll(*h, owner);
  h->inode->RemoveOpen(h->open);
  h->node->Close(h->open->opener(), h->open, fi->flock_release ? fi->lock_owner : 0);
  r.Done(Errno());
}

void NodeFs::Fsync(FuseRequest& r, fuse_ino_t, int data_only, fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  r.Done(h->node->Fsync(h->open->opener(), h->open, data_only != 0));
}

void NodeFs::Fallocate(FuseRequest& r, fuse_ino_t, int mode, off_t offset, off_t length,
                       fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  CapTerms terms = Terms(OMFS_CAP_F);
  const Errno e = h->node->Fallocate(IoCaller(r, *h, fi), h->open, offset, length, mode, &terms);
  Changed({h->node, h->open->fh(), h->inode}, kAttributeCaps & ~OMFS_CAP_L & ~OMFS_CAP_F, terms);
  DropPages(h->inode, 0, 0);
  r.Done(e);
}

void NodeFs::Seek(FuseRequest& r, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) {
  FileHandle* h = FileHandle::Of(fi);
  ErrnoOr<uint64_t> found = h->node->Seek(h->open->opener(), h->open, offset, whence);
  if (!found.ok()) return r.Fail(found.error());
  r.Seek(static_cast<off_t>(*found));
}

void NodeFs::CopyFileRange(FuseRequest& r, fuse_ino_t, off_t offset_in, fuse_file_info* fi_in,
                           fuse_ino_t, off_t offset_out, fuse_file_info* fi_out, size_t length,
                           int flags) {
  FileHandle* in = FileHandle::Of(fi_in);
  FileHandle* out = FileHandle::Of(fi_out);
  if (in->node != out->node) return r.Fail(EXDEV);
  CapTerms terms = Terms(OMFS_CAP_F);
  ErrnoOr<uint64_t> copied = in->node->CopyRange(IoCaller(r, *out, fi_out), in->open, offset_in,
                                                 out->open, offset_out, length, flags, &terms);
  Changed({out->node, out->open->fh(), out->inode}, kAttributeCaps & ~OMFS_CAP_L & ~OMFS_CAP_F, terms);
  if (!copied.ok()) return r.Fail(copied.error());
  DropPages(out->inode, offset_out, *copied);
  r.Written(*copied);
}

}  // namespace omfs
