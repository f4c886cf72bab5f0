// NodeFs: the file operations on objects that live at owners; by itself the file system of one
// owner's submount.
//
// What is cached, and where. Names, attributes, listings and the data of files that are open for reading only are cached by
// the kernel, for as long as the owner has granted the caps for them and the lease holds (time-outs), and names and attributes
// here as well (ObjectCache), so that a request for what is known costs no message. Files that are open for writing use direct
// I/O: every byte goes to and comes from the owner. Without caps - an older owner, the root's magic directory - nothing is
// cached. How recalls are carried out stands in node_fs_caps.cc.
//
// Permission is checked twice: by this kernel (default_permissions; it needs the search permission of directories it walks
// through, and opens what it may by itself) and, deciding, by the owner's, which executes as the caller.
//
// Limits of the FUSE protocol itself: after an O_APPEND write the caller's file offset is right
// only if no other node appended since this kernel last saw the size; flock locks go with RELEASE,
// which the kernel sends after close(2) has returned; pages of a shared map of a file that is open for writing somewhere are
// not kept up to date.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>

#include "omfs-fuse/entry_notifier.h"
#include "omfs-fuse/file_system.h"
#include "omfs-fuse/inode_table.h"
#include "omfs-fuse/kernel_cache.h"
#include "omfs-fuse/own_files.h"
#include "omfs-fuse/release_queue.h"
#include "omfs/client/node_client.h"
#include "omfs/client/recall_channel.h"

namespace omfs {

// The handle that hex shows; false: it is none.
bool FhFromHex(std::string_view hex, Fh* fh);

struct FileHandle;

class NodeFs : public FileSystem {
 public:
  // node: whose export is this connection's root directory; null if the root is not an owner's
  // (RootFs).
  // caches: StartCaching will be called.
  // own: null unless the export is this node's own.
  explicit NodeFs(std::shared_ptr<NodeClient> node, bool caches = false, std::unique_ptr<OwnFiles> own = nullptr)
      : node_(std::move(node)), caches_(caches), own_(std::move(own)) {}
  ~NodeFs() override;

  // From now on the kernel's cache is used, and caps are asked for. Once, after the connection has been made.
  void StartCaching(std::shared_ptr<KernelCache> kernel);

  // Without caps the kernel could keep none of the attributes.
  bool OffersReadDirPlus() const override { return caches_; }
  uint32_t StackDepth() const override { return own_ ? own_->stack_depth() : 0; }
  void Connected(int device, uint64_t offered) override {
    if (own_) own_->Connected(device, offered);
  }

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
  void Drop(const NewFile& file) override;

  // Callers that stop waiting (node_fs_waits.cc).
  void Pin(fuse_ino_t ino) override;
  void Orphaned(fuse_ino_t ino, bool changes) override;
  bool IsQuick(uint32_t opcode, fuse_ino_t ino) const override;
  std::vector<std::byte> QuickAnswer(std::span<const std::byte> request) override;
  bool OwnerUnreachable() const override;
  bool OwnerHeardSince(std::chrono::steady_clock::time_point time) const override;

  // Directories (node_fs_dirs.cc).
  void ReadDirPlus(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) override;
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
  // An entry of a page (node_fs_dirs.cc).
  struct DirEntry {
    uint64_t ino;
    uint64_t cookie;
    uint32_t type;
    std::string name;
    std::optional<Entry> object;
    bool caps;    // ... with the caps for its attributes
    size_t next;  // byte offset of the entry after it
  };
  static bool EntryAt(const DirPage& page, size_t at, DirEntry* out);
  void ReadEntries(FuseRequest& r, size_t size, off_t offset, fuse_file_info* fi, bool plus);
  // The page after the last entry that was handed out; dir_mu of the handle held.
  Errno FetchPage(FileHandle* h, bool plus);
  // As many of the page's entries as there is room for; given: the lookups that they give the kernel. dir_mu of the handle and
  // publish_ held.
  ErrnoOr<size_t> TakeEntries(FileHandle* h, bool plus, std::span<char> reply, std::vector<fuse_ino_t>* given);
  // The room it took; 0: there is not enough. publish_ held shared until the kernel has the answer.
  size_t AddPlus(FuseInode* dir, NodeClient* node, const DirEntry& e, const CapStamp& stamp, char* to, size_t room,
                 std::vector<fuse_ino_t>* given);
  static size_t AddPlain(const DirEntry& e, char* to, size_t room);
  // Answers with an entry that a call has brought. dir: null where nothing may be cached.
  void AnswerEntry(FuseRequest& r, const Object& dir, const char* name, const ErrnoOr<Entry>& entry,
                   const CapTerms& terms);
  void AnswerAttributes(FuseRequest& r, const Object& object, const omfs_attr& attr, const CapTerms& terms);
  // False: not known, nothing is answered yet.
  bool AnswerAttributesFromCache(FuseRequest& r, const Object& object);
  bool AnswerLookupFromCache(FuseRequest& r, const Object& dir, const char* name);

  // node_fs_caps.cc
  //
  // What to ask for with a call: nothing while nothing is cached.
  CapTerms Terms(uint32_t object, uint32_t directory = 0) const;
  // How long the kernel may keep a fact that is alive now, in seconds. The caller holds publish_ shared until the kernel has
  // the answer, so that no recall of the fact comes between.
  double Validity() const;
  // Facts that a change of one's own has made worthless, by its terms; whatever became of it.
  void Changed(const Object& object, uint32_t caps, const CapTerms& terms);
  void ChangedName(const Object& dir, std::string_view name, const CapTerms& terms);
  void ChangedUnseen(NodeClient* node, const std::optional<Fh>& fh, const CapTerms& terms);
  // Written past the kernel's pages: those that it may hold for other users go.
  void DropPages(FuseInode* inode, uint64_t offset, uint64_t length);
  // Of this node's own files: how the kernel is to reach the file of an open (Passthrough::Terms). Refused: the open is closed.
  Passthrough::Terms Join(uint64_t handle, const Opened& opened);
  bool MayOpenLater(const Object& object, int flags) const;
  EntryNotifier* notifier() const { return notifier_.get(); }

  void OnRecall(const Recall& recall, RecallChannel::Answer answer);
  void TakeBack(FuseInode* inode, const Recall& recall);
  void OnNewGeneration();
  // What the kernel has of older generations is gone when it returns; it waits for reads.
  void PrepareForCaps();
  void ForgetOldPages(FuseInode* inode);
  void KernelHasPages(FuseInode* inode);
  // Of the object by its handle; if it has no name any more, through an open.
  ErrnoOr<omfs_attr> Attributes(const Caller& caller, const Object& object, CapTerms* terms);
  void Remove(FuseRequest& r, fuse_ino_t parent, const char* name, int flags);
  // undo_when_late: granted after the caller was told EINTR, the lock is given up.
  void LockWith(FuseRequest& r, fuse_file_info* fi, uint32_t flags, const FileLock& lock, bool undo_when_late);

  // The kernel did not take the answer that gave it the open (the object's lookup is another matter).
  void DropOpen(uint64_t handle);
  // What the root directory and the file system were when the owner told last.
  void SawRoot(fuse_ino_t ino, const omfs_attr& attr);
  void SawStatFs(const struct statvfs& st);

  const std::shared_ptr<NodeClient> node_;
  const bool caches_;
  const std::unique_ptr<OwnFiles> own_;
  InodeTable inodes_;
  mutable std::mutex last_mu_;
  std::optional<omfs_attr> last_root_ ABSL_GUARDED_BY(last_mu_);
  struct statvfs last_statfs_ ABSL_GUARDED_BY(last_mu_) {};

  // Held shared from when a fact is found alive until the kernel has it, and alone while facts are declared dead.
  mutable std::shared_mutex publish_;
  std::atomic<bool> caching_{false};
  std::shared_ptr<KernelCache> kernel_;  // set before caching_
  std::unique_ptr<EntryNotifier> notifier_;
  std::unique_ptr<ReleaseQueue> releases_;
  std::unique_ptr<RecallChannel> recalls_;
};

// fuse_file_info::fh of an open file or directory.
struct FileHandle {
  NodeClient* node = nullptr;
  FuseInode* inode = nullptr;  // null for a root directory
  RemoteOpenRef open;
  bool cached = false;  // reads fill the kernel's pages
  bool joined = false;  // OwnFiles::Enter

  // Directories: the page read last and how far it was handed out.
  std::mutex dir_mu;
  DirPage page;
  bool page_plus = false;    // with handles and attributes
  CapStamp page_stamp;       // under which it is true; seq 0: under none
  size_t page_next = 0;      // byte offset of the next entry
  uint64_t last_cookie = 0;  // of the entry before it

  static FileHandle* Of(const fuse_file_info* fi) { return reinterpret_cast<FileHandle*>(fi->fh); }
};

}  // namespace omfs
