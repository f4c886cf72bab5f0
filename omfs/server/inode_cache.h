// The objects of the export that clients speak of, each with an O_PATH descriptor.
//
// The key is the whole handle: inode numbers come back. An Inode lives as long as somebody uses it
// - an open file keeps its own alive, so that an unlinked file stays reachable by its handle until
// the last close - and recently used ones are kept for the next request. A descriptor keeps a
// deleted object's space from being freed, therefore: what is unlinked through this server is
// forgotten at once (Forget), and what has not been used for a few seconds is dropped (Sweep), as
// it may have been deleted by a native process or replaced by a rename.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "omfs/base/scoped_fd.h"
#include "omfs/server/handle.h"

namespace omfs {

class InodeCache;

// Immutable; thread-safe.
class Inode {
 public:
  const omfs_fh& handle() const { return handle_; }
  int fd() const { return fd_.get(); }     // O_PATH
  uint32_t type() const { return type_; }  // S_IFMT part of the mode

  Inode(const omfs_fh& handle, ScopedFd fd, uint32_t type)
      : handle_(handle), fd_(std::move(fd)), type_(type) {}

 private:
  omfs_fh handle_;
  ScopedFd fd_;
  uint32_t type_;
};
using InodeRef = std::shared_ptr<const Inode>;

// Thread-safe.
class InodeCache {
 public:
  explicit InodeCache(size_t capacity) : capacity_(capacity) {}

  // nullptr: not here.
  InodeRef Find(const omfs_fh& handle);
  // Adds an object, or gives the one that another thread added meanwhile.
  InodeRef Add(const omfs_fh& handle, ScopedFd fd, uint32_t type);
  // Stops keeping an object for its own sake.
  void Forget(const omfs_fh& handle);
  // Forgets what has not been used for so long.
  void Sweep(std::chrono::steady_clock::duration idle);

 private:
  struct Entry;
  using Recent = std::list<Entry*>;
  struct Entry {
    std::weak_ptr<const Inode> inode;
    InodeRef kept;  // the cache's own reference while in recent_
    Recent::iterator place;
    std::chrono::steady_clock::time_point used;
  };
  using Map = std::unordered_map<omfs_fh, Entry, HandleHash, HandleEqual>;

  void Use(Entry* entry);                                   // mutex_ held
  void Drop(Entry* entry, std::vector<InodeRef>* dropped);  // mutex_ held

  const size_t capacity_;
  std::mutex mutex_;
  Map map_;                 // guarded by mutex_
  Recent recent_;           // guarded by mutex_; most recently used first
  size_t since_purge_ = 0;  // guarded by mutex_; adds since dead entries were last removed
};

}  // namespace omfs
