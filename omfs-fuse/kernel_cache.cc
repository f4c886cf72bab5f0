#include "omfs-fuse/kernel_cache.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>

#include <string>

namespace omfs {
namespace {

constexpr int32_t kInvalInode = 2;
constexpr int32_t kInvalEntry = 3;
constexpr int32_t kIncEpoch = 8;

struct InvalInode {
  uint64_t ino;
  int64_t offset;
  int64_t length;
};

struct InvalEntry {
  uint64_t parent;
  uint32_t name_length;
  uint32_t flags;
};

void Notify(int device, int32_t code, const void* body, size_t size, std::string_view name = {}) {
  const std::string terminated(name);
  fuse_out_header header{};
  header.error = code;
  iovec parts[3] = {{&header, sizeof header}, {const_cast<void*>(body), size}, {}};
  int count = size > 0 ? 2 : 1;
  if (!name.empty())
    parts[count++] = {const_cast<char*>(terminated.c_str()), terminated.size() + 1};
  size_t length = 0;
  for (int i = 0; i < count; ++i) length += parts[i].iov_len;
  header.len = static_cast<uint32_t>(length);
  if (writev(device, parts, count) < 0) return;
}

}  // namespace

KernelCache::KernelCache(int device) : device_(fcntl(device, F_DUPFD_CLOEXEC, 0)) {}

void KernelCache::ForgetAttributes(fuse_ino_t ino) {
  const InvalInode body{ino, -1, 0};
  Notify(device_.get(), kInvalInode, &body, sizeof body);
}

void KernelCache::ForgetData(fuse_ino_t ino, uint64_t offset, uint64_t length) {
  const InvalInode body{ino, static_cast<int64_t>(offset), static_cast<int64_t>(length)};
  Notify(device_.get(), kInvalInode, &body, sizeof body);
}

void KernelCache::ForgetEntry(fuse_ino_t parent, std::string_view name) {
  const InvalEntry body{parent, static_cast<uint32_t>(name.size()), 0};
  Notify(device_.get(), kInvalEntry, &body, sizeof body, name);
}

void KernelCache::ForgetAllEntries() { Notify(device_.get(), kIncEpoch, nullptr, 0); }

}  // namespace omfs
