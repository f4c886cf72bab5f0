// FileSystem: the operations of one FUSE connection, as the dispatcher calls them. One method per
// operation of the FUSE low-level protocol, named after it; each answers its FuseRequest. Called
// from many threads at once.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "omfs-fuse/request.h"
#include "omfs/client/types.h"

namespace omfs {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Whether the kernel may ask for attributes with listings (READDIRPLUS).
  virtual bool OffersReadDirPlus() const = 0;
  // How deep the connection's file system counts as stacked on others, for passthrough (1 or 2); 0: there is none.
  virtual uint32_t StackDepth() const { return 0; }
  // FUSE_INIT has been answered. Requests may already be under way. device lives as long as they come.
  virtual void Connected(int device, uint64_t offered_by_kernel) {}

  virtual void Lookup(FuseRequest& r, fuse_ino_t parent, const char* name) = 0;
  virtual void Forget(fuse_ino_t ino, uint64_t count) = 0;
  virtual void GetAttr(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void SetAttr(FuseRequest& r, fuse_ino_t ino, struct stat* attr, int to_set,
                       fuse_file_info* fi) = 0;
  virtual void ReadLink(FuseRequest& r, fuse_ino_t ino) = 0;
  virtual void MkNod(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode,
                     dev_t rdev) = 0;
  virtual void MkDir(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode) = 0;
  virtual void Unlink(FuseRequest& r, fuse_ino_t parent, const char* name) = 0;
  virtual void RmDir(FuseRequest& r, fuse_ino_t parent, const char* name) = 0;
  virtual void Symlink(FuseRequest& r, const char* target, fuse_ino_t parent, const char* name) = 0;
  virtual void Rename(FuseRequest& r, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                      const char* new_name, unsigned int flags) = 0;
  virtual void Link(FuseRequest& r, fuse_ino_t ino, fuse_ino_t new_parent,
                    const char* new_name) = 0;

  virtual void Open(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void Create(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode,
                      fuse_file_info* fi) = 0;
  virtual void Read(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
                    fuse_file_info* fi) = 0;
  virtual void Write(FuseRequest& r, fuse_ino_t ino, const char* data, size_t size, off_t offset,
                     fuse_file_info* fi) = 0;
  virtual void Flush(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void Release(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void Fsync(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) = 0;
  virtual void Fallocate(FuseRequest& r, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         fuse_file_info* fi) = 0;
  virtual void Seek(FuseRequest& r, fuse_ino_t ino, off_t offset, int whence,
                    fuse_file_info* fi) = 0;
  virtual void CopyFileRange(FuseRequest& r, fuse_ino_t ino_in, off_t offset_in,
                             fuse_file_info* fi_in, fuse_ino_t ino_out, off_t offset_out,
                             fuse_file_info* fi_out, size_t length, int flags) = 0;

  virtual void OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void ReadDir(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
                       fuse_file_info* fi) = 0;
  virtual void ReadDirPlus(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
                           fuse_file_info* fi) = 0;
  virtual void ReleaseDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) = 0;
  virtual void FsyncDir(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) = 0;
  virtual void StatFs(FuseRequest& r, fuse_ino_t ino) = 0;

  virtual void SetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, const char* value,
                        size_t size, int flags) = 0;
  virtual void GetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, size_t size) = 0;
  virtual void ListXattr(FuseRequest& r, fuse_ino_t ino, size_t size) = 0;
  virtual void RemoveXattr(FuseRequest& r, fuse_ino_t ino, const char* name) = 0;
  virtual void GetLock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, struct flock* lock) = 0;
  virtual void SetLock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, struct flock* lock,
                       int wait) = 0;
  virtual void Flock(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi, int op) = 0;
  virtual void Ioctl(FuseRequest& r, fuse_ino_t ino, unsigned int cmd, void* arg,
                     fuse_file_info* fi, unsigned flags, const void* in, size_t in_size,
                     size_t out_size) = 0;

  // Operations that libfuse 3.14 does not know; the session takes them from the raw requests
  // (raw_ops.h).
  struct NewFile {
    fuse_ino_t ino = 0;
    omfs_attr attr{};
    uint64_t handle = 0;  // fuse_file_info::fh
    uint32_t open_flags = 0;  // FOPEN_*
    int32_t backing_id = 0;   // with FOPEN_PASSTHROUGH
  };
  virtual ErrnoOr<NewFile> TmpFile(const RequestIds& ids, fuse_ino_t dir, int flags,
                                   mode_t mode) = 0;
  virtual ErrnoOr<omfs_attr> Statx(const RequestIds& ids, fuse_ino_t ino) = 0;
  // The kernel did not want the answer: nobody has the file.
  virtual void Drop(const NewFile& file) = 0;

  // Requests whose callers stop waiting (waiting_requests.h).
  //
  // The object stays known until Orphaned, whatever the kernel forgets.
  virtual void Pin(fuse_ino_t ino) = 0;
  // The request has ended that the object was pinned for. changes: it may have changed the object behind the kernel's back.
  virtual void Orphaned(fuse_ino_t ino, bool changes) = 0;
  // Whether the request (FUSE_*) is answered with QuickAnswer when the owner is unreachable or says nothing.
  virtual bool IsQuick(uint32_t opcode, fuse_ino_t ino) const { return false; }
  // The complete reply. request: its beginning, the header at least. Does not wait.
  virtual std::vector<std::byte> QuickAnswer(std::span<const std::byte> request) { return {}; }
  virtual bool OwnerUnreachable() const { return false; }
  virtual bool OwnerHeardSince(std::chrono::steady_clock::time_point time) const { return true; }
};

}  // namespace omfs
