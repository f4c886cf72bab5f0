// InodeTable: what the kernel's node numbers stand for.
//
// A node number is the address of an FuseInode, which names an object by owner and handle. The
// kernel counts how often it was told a number (lookup, creation) and gives the counts back with
// FORGET; an FuseInode lives until all are given back.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs-fuse/fuse_api.h"
#include "omfs/client/node_client.h"

namespace omfs {

class FuseInode {
 public:
  FuseInode(NodeClient* node, const Fh& fh) : node(node), fh(fh) {}

  NodeClient* const node;
  const Fh fh;

  // A directory may be removed while somebody stands in it; the owner then no longer knows its handle. For those who do it is
  // what it was when last seen, without links.
  void SawDirectory(const omfs_attr& attr);
  // The owner does not know the handle any more. nullopt: it was never seen as a directory.
  std::optional<omfs_attr> RemovedDirectory();
  bool removed() const;

  // Opens of the object by this mount: through one of them a file without a name is still reached.
  void AddOpen(const RemoteOpenRef& open);
  void RemoveOpen(const RemoteOpenRef& open);
  RemoteOpenRef AnyOpen() const;

  // Who may hold byte-range locks on the object, by the kernel's number for the owner, and through which open it asked
  // for one last. close(2) of any descriptor of the file ends a process's locks (FLUSH names it); those of an open file
  // description end with it, and the kernel sends nothing but RELEASE for that.
  void AddLocker(uint64_t owner, const RemoteOpenRef& open);
  // Whether it was among them.
  bool RemoveLocker(uint64_t owner);
  // The owners that locked through this open and have not been removed since; removes them.
  std::vector<uint64_t> TakeLockersOf(const RemoteOpenRef& open);
  // Whether locks of any kind may be held on it through this mount.
  bool MayBeLocked();

 private:
  friend class InodeTable;
  uint64_t lookups_ = 0;  // guarded by InodeTable::mu_
  mutable std::mutex mu_;
  std::optional<omfs_attr> directory_ ABSL_GUARDED_BY(mu_);
  bool removed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<RemoteOpenRef> opens_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<uint64_t, RemoteOpenRef> lockers_ ABSL_GUARDED_BY(mu_);
};

// Thread-safe.
class InodeTable {
 public:
  // The object's FuseInode, with one lookup more.
  FuseInode* Remember(NodeClient* node, const Fh& fh);
  // ino must have been told to the kernel by Remember.
  static FuseInode* At(fuse_ino_t ino) { return reinterpret_cast<FuseInode*>(ino); }
  static fuse_ino_t Number(const FuseInode* inode) { return reinterpret_cast<fuse_ino_t>(inode); }
  void Forget(fuse_ino_t ino, uint64_t count);

 private:
  struct Key {
    NodeClient* node;
    Fh fh;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    size_t operator()(const Key& k) const {
      return std::hash<Fh>()(k.fh) ^ (reinterpret_cast<uintptr_t>(k.node) >> 4);
    }
  };

  std::mutex mu_;
  std::unordered_map<Key, std::unique_ptr<FuseInode>, Hash> inodes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace omfs
