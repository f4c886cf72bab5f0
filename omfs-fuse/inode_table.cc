#include "omfs-fuse/inode_table.h"

#include <algorithm>

namespace omfs {

void FuseInode::SawDirectory(const omfs_attr& attr) {
  std::lock_guard lock(mu_);
  directory_ = attr;
  removed_ = false;
}

std::optional<omfs_attr> FuseInode::RemovedDirectory() {
  std::lock_guard lock(mu_);
  if (!directory_) return std::nullopt;
  removed_ = true;
  directory_->nlink = {};
  return directory_;
}

bool FuseInode::removed() const {
  std::lock_guard lock(mu_);
  return removed_;
}

void FuseInode::AddOpen(const RemoteOpenRef& open) {
  std::lock_guard lock(mu_);
  opens_.push_back(open);
}

void FuseInode::RemoveOpen(const RemoteOpenRef& open) {
  std::lock_guard lock(mu_);
  const auto it = std::find(opens_.begin(), opens_.end(), open);
  if (it != opens_.end()) opens_.erase(it);
}

RemoteOpenRef FuseInode::AnyOpen() const {
  std::lock_guard lock(mu_);
  return opens_.empty() ? nullptr : opens_.back();
}

std::vector<RemoteOpenRef> FuseInode::Opens() const {
  std::lock_guard lock(mu_);
  return opens_;
}

void FuseInode::AddLocker(uint64_t owner, const RemoteOpenRef& open) {
  std::lock_guard lock(mu_);
  lockers_[owner] = open;
}

bool FuseInode::HasLocker(uint64_t owner) const {
  std::lock_guard lock(mu_);
  return lockers_.contains(owner);
}

bool FuseInode::RemoveLocker(uint64_t owner) {
  std::lock_guard lock(mu_);
  return lockers_.erase(owner) != 0;
}

bool FuseInode::MayBeLocked() {
  const std::lock_guard lock(mu_);
  return !lockers_.empty() || std::ranges::any_of(opens_, [](const auto& open) { return open->has_locked(); });
}

std::vector<uint64_t> FuseInode::TakeLockersOf(const RemoteOpenRef& open) {
  std::vector<uint64_t> owners;
  std::lock_guard lock(mu_);
  std::erase_if(lockers_, [&](const auto& locker) {
    if (locker.second != open) return false;
    owners.push_back(locker.first);
    return true;
  });
  return owners;
}

FuseInode* InodeTable::Remember(NodeClient* node, const Fh& fh) {
  std::lock_guard lock(mu_);
  std::shared_ptr<FuseInode>& inode = inodes_[Key{node, fh}];
  if (!inode) inode = std::make_shared<FuseInode>(node, fh, floor_);
  ++inode->lookups_;
  return inode.get();
}

void InodeTable::Pin(fuse_ino_t ino) {
  std::lock_guard lock(mu_);
  ++At(ino)->lookups_;
}

std::shared_ptr<FuseInode> InodeTable::Forget(fuse_ino_t ino, uint64_t count) {
  FuseInode* inode = At(ino);
  std::lock_guard lock(mu_);
  inode->lookups_ -= std::min(inode->lookups_, count);
  if (inode->lookups_ != 0) return nullptr;
  const auto it = inodes_.find(Key{inode->node, inode->fh});
  std::shared_ptr<FuseInode> forgotten = std::move(it->second);
  inodes_.erase(it);
  floor_ = std::max(floor_, forgotten->cache.Floor());
  return forgotten;
}

FuseInode* InodeTable::Root(NodeClient* node, const Fh& fh) {
  std::lock_guard lock(mu_);
  if (!root_ || !(root_->fh == fh)) {
    // Another root: the owner exports another tree since its restart.
    if (root_) inodes_[Key{node, root_->fh}] = root_, root_->lookups_ = 1;
    root_ = std::make_shared<FuseInode>(node, fh, floor_, FUSE_ROOT_ID);
  }
  return root_.get();
}

std::vector<std::shared_ptr<FuseInode>> InodeTable::Find(NodeClient* node, const Fh& fh) {
  std::vector<std::shared_ptr<FuseInode>> found;
  std::lock_guard lock(mu_);
  if (root_ && root_->fh == fh) found.push_back(root_);
  if (const auto it = inodes_.find(Key{node, fh}); it != inodes_.end()) found.push_back(it->second);
  return found;
}

std::vector<std::shared_ptr<FuseInode>> InodeTable::All() {
  std::vector<std::shared_ptr<FuseInode>> all;
  std::lock_guard lock(mu_);
  if (root_) all.push_back(root_);
  for (const auto& [key, inode] : inodes_) all.push_back(inode);
  return all;
}

void InodeTable::RaiseFloor(const CapStamp& stamp) {
  std::lock_guard lock(mu_);
  floor_ = std::max(floor_, stamp);
}

}  // namespace omfs
