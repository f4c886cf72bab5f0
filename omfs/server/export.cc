#include "omfs/server/export.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <utility>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/wire/attr.h"
#include "omfs/wire/endian.h"

// The change counter of an object is its ctime in nanoseconds plus a count of the changes made
// through this server. The kernel's own counter is not shown to user space, and ctime alone cannot
// tell two changes within one tick apart on kernels before 6.13. Both parts only grow while the
// server runs, so the sum is equal only if both are. The count starts at a value of its own with
// each epoch: after a restart every object looks changed once.

namespace omfs {
namespace {

constexpr auto kIdle = std::chrono::seconds(5);
constexpr size_t kMostCached = 8192;
constexpr unsigned kStatMask = STATX_BASIC_STATS | STATX_BTIME;

// Raises the limit of descriptors to what the system allows. Returns it.
size_t RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

// A name as system calls want it.
class EntryName {
 public:
  explicit EntryName(std::string_view name) {
    memcpy(text_, name.data(), name.size());
    text_[name.size()] = '\0';
  }
  const char* c_str() const { return text_; }

 private:
  char text_[OMFS_NAME_MAX + 1];
};

}  // namespace

Export::Export(const std::array<uint8_t, 16>& secret, uint64_t epoch, size_t cached_inodes)
    : codec_(secret),
      inodes_(cached_inodes),
      counter_base_(epoch << 32),
      counters_(std::make_unique<std::atomic<uint64_t>[]>(kCounters)) {}

absl::StatusOr<std::unique_ptr<Export>> Export::Open(const std::string& path,
                                                     const std::array<uint8_t, 16>& secret,
                                                     uint64_t epoch) {
  const size_t descriptors = RaiseDescriptorLimit();
  std::unique_ptr<Export> e(new Export(secret, epoch, std::min(kMostCached, descriptors / 4)));
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, fmt::format("export {}", path));
  if (!S_ISDIR(st.st_mode)) return FailedPrecondition("export {}: not a directory", path);
  ScopedFd tree(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return ErrnoStatus(errno, fmt::format("export {}: cannot clone its mount", path));
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) != 0) {
    return ErrnoStatus(errno, fmt::format("export {}: mount_setattr", path));
  }
  e->mount_.reset(openat(tree.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!e->mount_) return ErrnoStatus(errno, fmt::format("export {}", path));
  auto root = e->Take(std::move(tree));
  if (!root.ok()) {
    if (root.error().value == EOPNOTSUPP || root.error().value == EOVERFLOW) {
      return FailedPrecondition("export {}: its file system has no file handles that oMFS can use",
                                path);
    }
    return ErrnoStatus(root.error().value, fmt::format("export {}", path));
  }
  e->root_ = std::move(root).value();
  auto again = HandleCodec::Open(e->mount_.get(), e->root_->handle());
  if (!again.ok()) {
    return ErrnoStatus(again.error().value,
                       fmt::format("export {}: cannot open file handles", path));
  }
  return e;
}

ErrnoOr<InodeRef> Export::Resolve(const omfs_fh& handle) {
  if (InodeRef found = inodes_.Find(handle)) return found;
  if (!codec_.Genuine(handle)) {
    if (!forgery_logged_.exchange(true)) {
      SPDLOG_WARN(
          "a client presented a file handle that is not this server's; later ones are not logged");
    }
    return Errno(ESTALE);
  }
  ThreadIdentity::BecomeDaemon();
  auto fd = HandleCodec::Open(mount_.get(), handle);
  if (!fd.ok()) {
    // EINVAL, ENOENT: how some file systems say that they do not know the handle (any more).
    const int e = fd.error().value;
    if (e != EINVAL && e != ENOENT && e != ESTALE) return Errno(e);
    ScopedFd kept = fallback_ ? fallback_(handle) : ScopedFd();
    if (!kept) return Errno(ESTALE);
    fd = std::move(kept);
  }
  struct statx stx;
  if (statx(fd->get(), "", AT_EMPTY_PATH, STATX_TYPE, &stx) != 0) return Errno::Last();
  return inodes_.Add(handle, std::move(*fd), stx.stx_mode & S_IFMT);
}

ErrnoOr<InodeRef> Export::Lookup(const Inode& dir, std::string_view name) {
  ScopedFd fd(openat(dir.fd(), EntryName(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Errno::Last();
  return Take(std::move(fd));
}

ErrnoOr<InodeRef> Export::Adopt(int fd) {
  auto handle = codec_.Of(fd);
  if (!handle.ok()) return handle.error();
  if (InodeRef found = inodes_.Find(*handle)) return found;
  ScopedFd path(open(FdPath(fd).c_str(), O_PATH | O_CLOEXEC));
  if (!path) return Errno::Last();
  return Take(std::move(path));
}

ErrnoOr<omfs_fh> Export::HandleOf(int fd) const {
  struct stat object {
  }, root{};
  if (fstat(fd, &object) != 0 || fstat(mount_.get(), &root) != 0) return Errno::Last();
  if (object.st_dev != root.st_dev) return Errno(EXDEV);
  return codec_.Of(fd);
}

ErrnoOr<InodeRef> Export::Take(ScopedFd path) {
  auto handle = codec_.Of(path.get());
  if (!handle.ok()) return handle.error();
  if (InodeRef found = inodes_.Find(*handle)) return found;
  struct statx stx;
  if (statx(path.get(), "", AT_EMPTY_PATH, STATX_TYPE, &stx) != 0) return Errno::Last();
  return inodes_.Add(*handle, std::move(path), stx.stx_mode & S_IFMT);
}

ErrnoOr<omfs_attr> Export::Attributes(const Inode& inode) const {
  struct statx stx;
  std::optional<Stamps::Look> look;
  if (stamps_ != nullptr) look.emplace(stamps_, inode.handle());
  if (statx(inode.fd(), "", AT_EMPTY_PATH, kStatMask, &stx) != 0) return Errno::Last();
  omfs_attr attr = ToWire(stx, Change(inode, stx));
  if (stamps_ != nullptr) stamps_->Show(inode.handle(), &attr);
  return attr;
}

ErrnoOr<omfs_entry_rep> Export::Entry(const Inode& inode) const {
  auto attr = Attributes(inode);
  if (!attr.ok()) return attr.error();
  omfs_entry_rep entry{};
  entry.fh = inode.handle();
  entry.attr = *attr;
  return entry;
}

ErrnoOr<omfs_entry_rep> Export::EntryOfMade(const Inode& dir, std::string_view name,
                                            uint32_t mode) {
  if ((mode & S_IFMT) == 0) mode |= S_IFREG;  // mknod(2)
  const ErrnoOr<InodeRef> made = Lookup(dir, name);
  if (made.ok() && (*made)->type() == (mode & S_IFMT)) return Entry(**made);
  if (!made.ok() && made.error().value != ENOENT) return made.error();
  auto entry = Entry(dir);
  if (!entry.ok()) return entry.error();
  const uint64_t number = ++vanished_ + counter_base_;
  memset(entry->fh.data, 0xff, sizeof entry->fh.data);
  memcpy(entry->fh.data, &number, sizeof number);
  entry->fh.len = OMFS_FH_BYTES;
  memset(entry->fh.mac, 0, sizeof entry->fh.mac);
  entry->attr.mode = Le32(mode);
  entry->attr.nlink = 0;
  entry->attr.size = 0;
  return entry;
}

uint64_t Export::Change(const Inode& inode, const struct statx& stx) const {
  const auto count = counters_[HandleHash()(inode.handle()) % kCounters].load();
  return static_cast<uint64_t>(stx.stx_ctime.tv_sec) * 1'000'000'000U + stx.stx_ctime.tv_nsec +
         counter_base_ + count;
}

void Export::Changed(const omfs_fh& handle) {
  counters_[HandleHash()(handle) % kCounters].fetch_add(1);
}

void Export::Removed(const omfs_fh& handle) {
  Changed(handle);
  inodes_.Forget(handle);
}

void Export::Replaced(const omfs_fh& handle) {
  Changed(handle);
  std::lock_guard lock(replaced_mutex_);
  // Those of before are out of the cache by then.
  if (replaced_.size() == kMostCached) replaced_before_ = std::exchange(replaced_, {});
  replaced_.push_back(handle);
}

bool Export::LetGoOfReplaced() {
  std::vector<omfs_fh> all, before;
  {
    std::lock_guard lock(replaced_mutex_);
    all.swap(replaced_);
    before.swap(replaced_before_);
  }
  all.insert(all.end(), before.begin(), before.end());
  for (const omfs_fh& handle : all) inodes_.Forget(handle);
  return !all.empty();
}

ErrnoOr<omfs_fh> Export::HandleOfEntry(const Inode& dir, std::string_view name) const {
  ThreadIdentity::BecomeDaemon();
  return codec_.Of(dir.fd(), EntryName(name).c_str());
}

void Export::Sweep() {
  inodes_.Sweep(kIdle);
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard lock(replaced_mutex_);
  if (now - replaced_turn_ < kIdle) return;
  replaced_turn_ = now;
  replaced_before_ = std::exchange(replaced_, {});
}

}  // namespace omfs
