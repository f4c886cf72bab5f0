// InodeTable: what the kernel's node numbers stand for.
//
// A node number is the address of an FuseInode, which names an object by owner and handle. The
// kernel counts how often it was told a number (lookup, creation) and gives the counts back with
// FORGET; an FuseInode lives until all are given back.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs-fuse/data_gate.h"
#include "omfs-fuse/fuse_api.h"
#include "omfs-fuse/passthrough.h"
#include "omfs/client/node_client.h"
#include "omfs/client/object_cache.h"

namespace omfs {

class FuseInode : public std::enable_shared_from_this<FuseInode> {
 public:
  FuseInode(NodeClient* node, const Fh& fh, const CapStamp& floor, fuse_ino_t number = 0)
      : node(node), fh(fh), number(number != 0 ? number : reinterpret_cast<fuse_ino_t>(this)), cache(floor) {}

  NodeClient* const node;
  const Fh fh;
  const fuse_ino_t number;  // the kernel's

  // What is known of it, and what the kernel may have of it.
  ObjectCache cache;
  DataGate data_gate;
  Backing backing;
  std::atomic<bool> may_have_pages{false};   // the kernel may hold data
  std::atomic<uint64_t> pages_generation{0};  // ... of this generation (Link)
  std::atomic<bool> listing_tainted{false};  // ... or a listing that no cap protects

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
  // All of them.
  std::vector<RemoteOpenRef> Opens() const;

  // Who may hold byte-range locks on the object, by the kernel's number for the owner, and through which open it asked
  // for one last. close(2) of any descriptor of the file ends a process's locks (FLUSH names it); those of an open file
  // description end with it, and the kernel sends nothing but RELEASE for that.
  void AddLocker(uint64_t owner, const RemoteOpenRef& open);
  bool HasLocker(uint64_t owner) const;
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
  // One lookup more, to be given back with Forget.
  void Pin(fuse_ino_t ino);
  // Returns what the kernel has forgotten now, else null.
  std::shared_ptr<FuseInode> Forget(fuse_ino_t ino, uint64_t count);
  // The connection's root: known from the first time on, for good.
  FuseInode* Root(NodeClient* node, const Fh& fh);

  // Everything that the kernel knows by this handle: one at most, or the root and one.
  std::vector<std::shared_ptr<FuseInode>> Find(NodeClient* node, const Fh& fh);
  std::vector<std::shared_ptr<FuseInode>> All();
  // A recall came; replies that are older must not make an object known under caps any more.
  void RaiseFloor(const CapStamp& stamp);

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
  std::unordered_map<Key, std::shared_ptr<FuseInode>, Hash> inodes_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<FuseInode> root_ ABSL_GUARDED_BY(mu_);
  CapStamp floor_ ABSL_GUARDED_BY(mu_);  // of objects that are not known
};

}  // namespace omfs
