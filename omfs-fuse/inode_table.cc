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

void FuseInode::AddLocker(uint64_t owner, const RemoteOpenRef& open) {
  std::lock_guard lock(mu_);
  lockers_[owner] = open;
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
  std::unique_ptr<FuseInode>& inode = inodes_[Key{node, fh}];
  if (!inode) inode = std::make_unique<FuseInode>(node, fh);
  ++inode->lookups_;
  return inode.get();
}

void InodeTable::Forget(fuse_ino_t ino, uint64_t count) {
  FuseInode* inode = At(ino);
  std::lock_guard lock(mu_);
  inode->lookups_ -= std::min(inode->lookups_, count);
  if (inode->lookups_ == 0) inodes_.erase(Key{inode->node, inode->fh});
}

}  // namespace omfs
