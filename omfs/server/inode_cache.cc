#include "omfs/server/inode_cache.h"

namespace omfs {

// References are let go only after the mutex is: the last one closes a descriptor, which may take
// the file system's time.

InodeRef InodeCache::Find(const omfs_fh& handle) {
  std::lock_guard lock(mutex_);
  const auto it = map_.find(handle);
  if (it == map_.end()) return nullptr;
  InodeRef inode = it->second.inode.lock();
  if (inode == nullptr) {
    map_.erase(it);
    return nullptr;
  }
  Use(&it->second);
  return inode;
}

InodeRef InodeCache::Add(const omfs_fh& handle, ScopedFd fd, uint32_t type) {
  std::vector<InodeRef> dropped;
  InodeRef added = std::make_shared<Inode>(handle, std::move(fd), type);
  std::lock_guard lock(mutex_);
  Entry& entry = map_[handle];
  if (InodeRef present = entry.inode.lock()) {
    Use(&entry);
    dropped.push_back(std::move(added));
    return present;
  }
  entry.inode = added;
  entry.kept = added;
  recent_.push_front(&entry);
  entry.place = recent_.begin();
  entry.used = std::chrono::steady_clock::now();
  while (recent_.size() > capacity_) Drop(recent_.back(), &dropped);
  if (++since_purge_ > capacity_) {
    since_purge_ = 0;
    std::erase_if(map_, [](const auto& item) { return item.second.inode.expired(); });
  }
  return added;
}

void InodeCache::Forget(const omfs_fh& handle) {
  std::vector<InodeRef> dropped;
  std::lock_guard lock(mutex_);
  const auto it = map_.find(handle);
  if (it != map_.end() && it->second.kept != nullptr) Drop(&it->second, &dropped);
}

void InodeCache::Sweep(std::chrono::steady_clock::duration idle) {
  std::vector<InodeRef> dropped;
  std::lock_guard lock(mutex_);
  const auto limit = std::chrono::steady_clock::now() - idle;
  while (!recent_.empty() && recent_.back()->used < limit) Drop(recent_.back(), &dropped);
}

void InodeCache::Use(Entry* entry) {
  entry->used = std::chrono::steady_clock::now();
  if (entry->kept == nullptr) {
    entry->kept = entry->inode.lock();
    recent_.push_front(entry);
    entry->place = recent_.begin();
  } else {
    recent_.splice(recent_.begin(), recent_, entry->place);
  }
}

void InodeCache::Drop(Entry* entry, std::vector<InodeRef>* dropped) {
  recent_.erase(entry->place);
  dropped->push_back(std::move(entry->kept));
  entry->kept = nullptr;
}

}  // namespace omfs
