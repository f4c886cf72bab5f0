// The tree a node shows to the others.
//
// The export is a private clone of the mount at the configured path (open_tree(2), not recursive):
// detached from every namespace, with no other mount in it, so that no operation can meet one - not
// /proc, not /mfs itself. Device files cannot be opened on it (nodev), whatever happens. Every
// descriptor the server works with comes from this clone: by handle, or by a single name from a
// directory's descriptor. There is no operation that takes a path.
#pragma once

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/errno_or.h"
#include "omfs/server/handle.h"
#include "omfs/server/inode_cache.h"
#include "omfs/server/stamps.h"

namespace omfs {

// Thread-safe. Operations run with the thread's identity (identity.h) unless they say otherwise.
class Export {
 public:
  // secret: signs handles. epoch: of the server, part of the change counters. Errors name the path.
  static absl::StatusOr<std::unique_ptr<Export>> Open(const std::string& path,
                                                      const std::array<uint8_t, 16>& secret,
                                                      uint64_t epoch);

  // Before the first request; it outlives all of them.
  void set_stamps(Stamps* stamps) { stamps_ = stamps; }

  const InodeRef& root() const { return root_; }

  // The object of a client's handle; switches to the daemon's identity if it must be decoded.
  // ESTALE: it is gone, or not a handle of this export.
  ErrnoOr<InodeRef> Resolve(const omfs_fh& handle);

  // Where Resolve looks for an object that the kernel does not find by its handle any more: a descriptor of it, or
  // none. Set before clients are served.
  void SetFallback(std::function<ScopedFd(const omfs_fh&)> fallback) { fallback_ = std::move(fallback); }
  // Whether the handle is of this export's making.
  bool Genuine(const omfs_fh& handle) const { return codec_.Genuine(handle); }

  // The object of an entry of a directory; symbolic links are not followed.
  ErrnoOr<InodeRef> Lookup(const Inode& dir, std::string_view name);
  // The object of a descriptor that was opened on the export (any kind).
  ErrnoOr<InodeRef> Adopt(int fd);

  // The handle of the object of a descriptor that was opened through any mount of the export's file
  // system. EXDEV: another file system.
  ErrnoOr<omfs_fh> HandleOf(int fd) const;
  // The handle of the object that bytes of the kernel's stand for, on the export's file system.
  ErrnoOr<omfs_fh> HandleOf(const file_handle& kernel) const { return codec_.Of(kernel); }

  // Time stamps as Stamps shows them. Waits for a change of the object under way.
  ErrnoOr<omfs_attr> Attributes(const Inode& inode) const;

  // What a client gets for a found or made object.
  ErrnoOr<omfs_entry_rep> Entry(const Inode& inode) const;

  // The same for what an operation has just made under a name (mode: with its type). When somebody
  // has removed or replaced it since, it was made all the same, and the answer may not be that
  // there is no such name: the client gets a handle of nothing, of which every use is ESTALE.
  ErrnoOr<omfs_entry_rep> EntryOfMade(const Inode& dir, std::string_view name, uint32_t mode);

  // Counts a change of the object, for omfs_attr::change. Called after the change, before its
  // reply.
  void Changed(const Inode& inode) { Changed(inode.handle()); }
  void Changed(const omfs_fh& handle);

  // The handle of what an entry stands for. An error: nothing. Switches to the daemon's identity: what a name stands for does
  // not depend on who asks.
  ErrnoOr<omfs_fh> HandleOfEntry(const Inode& dir, std::string_view name) const;
  // A name of the object is gone: counts the change, and stops keeping the object for its own sake.
  void Removed(const omfs_fh& handle);
  // The same for the name's object that a rename replaced, but the object stays as long as any that
  // is not used: a client may have looked the name up and be about to open what it found. Natively
  // that never fails - the name was there all the time - and so it must not here.
  void Replaced(const omfs_fh& handle);
  // Stops keeping replaced objects, for those who count free space or need it. False: there were
  // none.
  bool LetGoOfReplaced();

  // Called every second or so.
  void Sweep();

 private:
  Export(const std::array<uint8_t, 16>& secret, uint64_t epoch, size_t cached_inodes);

  // The object of an O_PATH descriptor.
  ErrnoOr<InodeRef> Take(ScopedFd path);
  uint64_t Change(const Inode& inode, const struct statx& stx) const;

  HandleCodec codec_;
  ScopedFd mount_;  // ordinary descriptor of the clone's root: open_by_handle_at refuses O_PATH
  InodeCache inodes_;
  std::function<ScopedFd(const omfs_fh&)> fallback_;
  InodeRef root_;
  Stamps* stamps_ = nullptr;

  std::mutex replaced_mutex_;
  // Of the last seconds: since the last turn of the generations, and since the one before it.
  std::vector<omfs_fh> replaced_, replaced_before_;        // guarded by replaced_mutex_
  std::chrono::steady_clock::time_point replaced_turn_{};  // guarded by replaced_mutex_

  // Change counters, by hash of the handle: two objects that share one only see changes that were
  // none.
  static constexpr size_t kCounters = 1 << 16;
  const uint64_t counter_base_;
  std::atomic<uint64_t> vanished_{0};  // handles of nothing given out; keeps them apart
  std::unique_ptr<std::atomic<uint64_t>[]> counters_;
  std::atomic<bool> forgery_logged_{false};
};

}  // namespace omfs
