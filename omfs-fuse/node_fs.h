// NodeFs: the file operations on objects that live at owners; by itself the file system of one
// owner's submount.
//
// Nothing is cached: the kernel gets time-outs of 0 and direct I/O, so every name, attribute and
// byte comes from the owner in the call that wants it. Permission is checked twice: by this kernel
// (default_permissions; it needs the search permission of directories it walks through) and,
// deciding, by the owner's, which executes as the caller.
//
// Limits of the FUSE protocol itself: after an O_APPEND write the caller's file offset is right
// only if no other node appended since this kernel last saw the size; flock locks go with RELEASE,
// which the kernel sends after close(2) has returned.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "omfs-fuse/file_system.h"
#include "omfs-fuse/inode_table.h"
#include "omfs/client/node_client.h"

namespace omfs {

// The handle that hex shows; false: it is none.
bool FhFromHex(std::string_view hex, Fh* fh);

class NodeFs : public FileSystem {
 public:
  // node: whose export is this connection's root directory; null if the root is not an owner's
  // (RootFs).
  explicit NodeFs(std::shared_ptr<NodeClient> node) : node_(std::move(node)) {}

  // Names and attributes (node_fs_names.cc).
  void Lookup(FuseRequest& r, fuse_ino_t parent, const char* name) override;
  void Forget(fuse_ino_t ino, uint64_t count) override;
  void GetAttr(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void SetAttr(FuseRequest& r, fuse_ino_t ino, struct stat* attr, int to_set,
               fuse_file_info* fi) override;
  void ReadLink(FuseRequest& r, fuse_ino_t ino) override;
  void MkNod(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) override;
  void MkDir(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode) override;
  void Unlink(FuseRequest& r, fuse_ino_t parent, const char* name) override;
  void RmDir(FuseRequest& r, fuse_ino_t parent, const char* name) override;
  void Symlink(FuseRequest& r, const char* target, fuse_ino_t parent, const char* name) override;
  void Rename(FuseRequest& r, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
              const char* new_name, unsigned int flags) override;
  void Link(FuseRequest& r, fuse_ino_t ino, fuse_ino_t new_parent, const char* new_name) override;
  void StatFs(FuseRequest& r, fuse_ino_t ino) override;
  ErrnoOr<omfs_attr> Statx(const RequestIds& ids, fuse_ino_t ino) override;

  // Files (node_fs_files.cc).
  void Open(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void Create(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode,
              fuse_file_info* fi) override;
  void Read(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) override;
  void Write(FuseRequest& r, fuse_ino_t ino, const char* data, size_t size, off_t offset,
             fuse_file_info* fi) override;
  void Flush(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void Release(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void Fsync(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) override;
  void Fallocate(FuseRequest& r, fuse_ino_t ino, int mode, off_t offset, off_t length,
                 fuse_file_info* fi) override;
  void Seek(FuseRequest& r, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* fi) override;
  void CopyFileRange(FuseRequest& r, fuse_ino_t ino_in, off_t offset_in, fuse_file_info* fi_in,
                     fuse_ino_t ino_out, off_t offset_out, fuse_file_info* fi_out, size_t length,
                     int flags) override;
  ErrnoOr<NewFile> TmpFile(const RequestIds& ids, fuse_ino_t dir, int flags, mode_t mode) override;

  // Directories (node_fs_dirs.cc).
  void OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void ReadDir(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
               fuse_file_info* fi) override;
  void ReleaseDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void FsyncDir(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) override;

  // Attributes, flags, locks (node_fs_xattrs.cc, node_fs_locks.cc).
  void SetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, const char* value, size_t size,
                int flags) override;
  void GetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, size_t size) override;
  void ListXattr(FuseRequest& r, fuse_ino_t ino, size_t size) override;
  void RemoveXattr(FuseRequest& r, fuse_ino_t ino, const char* name) override;
  void Ioctl(FuseRequest& r, fuse_ino_t ino, unsigned int cmd, void* arg, fuse_file_info* fi,
             unsigned flags, const void* in, size_t in_size, size_t out_size) override;
  void GetLock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, struct flock* lock) override;
  void SetLock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, struct flock* lock,
               int wait) override;
  void Flock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, int op) override;

 protected:
  // An object at its owner. inode is null for a root directory, whose handle only a connected owner
  // tells.
  struct Object {
    NodeClient* node = nullptr;
    Fh fh;
    FuseInode* inode = nullptr;
  };
  // The result of a call for a name in `dir`: in a directory that was removed nothing is and nothing can be made (ENOENT).
  template <typename T>
  static ErrnoOr<T> InDirectory(const Object& dir, ErrnoOr<T> result) {
    if (!result.ok() && result.error().value == ESTALE && dir.inode != nullptr && dir.inode->removed()) {
      return Errno(ENOENT);
    }
    return result;
  }
  // What a directory is wanted for: where it leads may depend on it (RootFs: magic).
  enum class Use { kLook, kMake };

  virtual ErrnoOr<Object> Resolve(const RequestIds& ids, fuse_ino_t ino, Use use = Use::kLook);
  // An object was made in a directory resolved with Use::kMake.
  virtual void Made(const RequestIds& ids, fuse_ino_t parent, NodeClient* node) {}

 private:
  ErrnoOr<Entry> LookupByHandle(const RequestIds& ids, NodeClient* node, std::string_view hex);
  void AnswerEntry(FuseRequest& r, NodeClient* node, const ErrnoOr<Entry>& entry);
  // Of the object by its handle; if it has no name any more, through an open.
  ErrnoOr<omfs_attr> Attributes(const Caller& caller, const Object& object);
  void Remove(FuseRequest& r, fuse_ino_t parent, const char* name, int flags);
  void LockWith(FuseRequest& r, fuse_file_info* fi, uint32_t flags, const FileLock& lock);

  const std::shared_ptr<NodeClient> node_;
  InodeTable inodes_;
};

// fuse_file_info::fh of an open file or directory.
struct FileHandle {
  NodeClient* node = nullptr;
  FuseInode* inode = nullptr;  // null for a root directory
  RemoteOpenRef open;

  // Directories: the page read last and how far it was handed out.
  std::mutex dir_mu;
  DirPage page;
  size_t page_next = 0;      // byte offset of the next entry
  uint64_t last_cookie = 0;  // of the entry before it

  static FileHandle* Of(const fuse_file_info* fi) { return reinterpret_cast<FileHandle*>(fi->fh); }
};

}  // namespace omfs
