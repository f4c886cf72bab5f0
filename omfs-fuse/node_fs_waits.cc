// What becomes of requests whose callers stop waiting (waiting_requests.h), and what is answered without the owner.
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <memory>

#include "omfs-fuse/node_fs.h"
#include "omfs-fuse/raw_ops.h"
#include "omfs/client/withdrawal.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

// Of a root directory that was never seen: what the root file system has for the node as long as nothing is mounted there.
omfs_attr UnknownRoot() {
  omfs_attr attr{};
  attr.ino = Le64(FUSE_ROOT_ID);
  attr.mode = Le32(S_IFDIR | 0555);
  attr.nlink = Le32(2);
  attr.blksize = Le32(4096);
  return attr;
}

}  // namespace

void NodeFs::DropOpen(uint64_t handle) {
  const WithdrawalScope even_so(nullptr);
  const std::unique_ptr<FileHandle> h(reinterpret_cast<FileHandle*>(handle));
  if (h->joined) own_->Leave(h->inode);
  if (h->inode != nullptr) h->inode->RemoveOpen(h->open);
  h->node->Close(h->open->opener(), h->open, 0);
}

void NodeFs::Drop(const NewFile& file) {
  DropOpen(file.handle);
  Forget(file.ino, 1);
}

void NodeFs::Pin(fuse_ino_t ino) {
  if (ino != FUSE_ROOT_ID) inodes_.Pin(ino);
}

void NodeFs::Orphaned(fuse_ino_t ino, bool changes) {
  if (changes && caching_) {
    kernel_->ForgetAllEntries();
    kernel_->ForgetData(ino, 0, 0);  // and the attributes
  }
  Forget(ino, 1);
}

// Of one owner's submount only: what lies below the root file system's magic directory is several owners'.
bool NodeFs::IsQuick(uint32_t opcode, fuse_ino_t ino) const {
  return node_ != nullptr && HasAnswerWithoutOwner(opcode) && (ino == FUSE_ROOT_ID || opcode == FUSE_STATFS);
}

std::vector<std::byte> NodeFs::QuickAnswer(std::span<const std::byte> request) {
  std::lock_guard lock(last_mu_);
  return AnswerWithoutOwner(request, last_root_.value_or(UnknownRoot()), last_statfs_);
}

bool NodeFs::OwnerUnreachable() const { return node_ != nullptr && node_->link().unreachable(); }

bool NodeFs::OwnerHeardSince(std::chrono::steady_clock::time_point time) const {
  return node_ == nullptr || node_->link().HeardSince(time);
}

void NodeFs::SawRoot(fuse_ino_t ino, const omfs_attr& attr) {
  if (ino != FUSE_ROOT_ID || node_ == nullptr) return;
  std::lock_guard lock(last_mu_);
  last_root_ = attr;
}

void NodeFs::SawStatFs(const struct statvfs& st) {
  std::lock_guard lock(last_mu_);
  last_statfs_ = st;
}

}  // namespace omfs
