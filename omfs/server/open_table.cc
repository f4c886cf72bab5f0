#include "omfs/server/open_table.h"

#include <fcntl.h>

namespace omfs {
namespace {

constexpr size_t kMaxOpens = 65536;  // of one session

}  // namespace

bool OpenFile::readable() const { return (flags & O_ACCMODE) != O_WRONLY; }
bool OpenFile::writable() const { return (flags & O_ACCMODE) != O_RDONLY; }
bool OpenFile::synchronous() const { return (flags & (O_SYNC | O_DSYNC)) != 0; }

ErrnoOr<OpenRef> OpenTable::Add(InodeRef inode, ScopedFd fd, uint32_t flags, Orphans::Hold hold) {
  auto open = std::make_shared<OpenFile>();
  open->id = numbers_->Next();
  open->inode = std::move(inode);
  open->fd = std::move(fd);
  open->flags = flags;
  open->hold = std::move(hold);
  std::lock_guard lock(mutex_);
  if (cleared_) return Errno(ESTALE);
  if (opens_.size() >= kMaxOpens) return Errno(ENFILE);
  opens_.emplace(open->id, open);
  return open;
}

OpenRef OpenTable::Find(OpenId id) const {
  std::lock_guard lock(mutex_);
  const auto it = opens_.find(id);
  return it == opens_.end() ? nullptr : it->second;
}

OpenRef OpenTable::Remove(OpenId id) {
  std::lock_guard lock(mutex_);
  const auto it = opens_.find(id);
  if (it == opens_.end()) return nullptr;
  OpenRef open = std::move(it->second);
  opens_.erase(it);
  return open;
}

std::vector<OpenRef> OpenTable::Clear() {
  std::vector<OpenRef> all;
  std::lock_guard lock(mutex_);
  cleared_ = true;
  for (auto& [id, open] : opens_) all.push_back(std::move(open));
  opens_.clear();
  return all;
}

size_t OpenTable::size() const {
  std::lock_guard lock(mutex_);
  return opens_.size();
}

}  // namespace omfs
