// NativeGuard: no cap without a watch.
//
// Grants go through here: before a client gets a cap on an object, the object is watched
// (native_watch.h), and what a native process then does takes the caps back. An object whose last
// cap is gone is watched no more; that, and granting, exclude each other. While a native process
// has a file open for writing, its data is cached by nobody.
#pragma once

#include <memory>
#include <shared_mutex>

#include "omfs/server/cap_table.h"
#include "omfs/server/native_watch.h"

namespace omfs {

// Thread-safe.
class NativeGuard : private NativeWatch::Listener {
 public:
  // tree, caps: outlive it.
  NativeGuard(Export* tree, CapTable* caps) : tree_(tree), caps_(caps) {}
  // Without a watch (before Start, or on rung kNone) nothing is granted.
  absl::Status Start(const NativeWatch::Options& options);
  // No more reports; openers go on.
  void Stop();

  // As CapTable's, for watched objects only. Switches to the daemon's identity.
  CapGrant Grant(SessionId session, const Inode& object, uint32_t wanted, std::string_view entry,
                 uint64_t seq);
  CapTable::Verdict Acquire(CapTable::Ticket* ticket, SessionId session, const Inode& object,
                            std::function<void()> resume, CapGrant* grant);
  // For CapTable: nobody caches it any more.
  void Idle(const omfs_fh& object);

  NativeWatch::Rung rung() const;
  std::string Describe() const;

 private:
  void Opening(const omfs_fh& object, NativeUse use, std::function<void()> done) override;
  void DataChanged(const omfs_fh& object) override;
  void AttributesChanged(const omfs_fh& object) override;
  void EntryChanged(const omfs_fh& dir, std::string_view name) override;
  void Removed(const omfs_fh& object) override;
  void Overflow() override;

  // What of `wanted` may be granted, the object being watched from now on.
  uint32_t Permitted(const Inode& object, uint32_t wanted);

  Export* const tree_;
  CapTable* const caps_;
  // Shared: an object is being watched and granted. Alone: it is looked whether the watch is still
  // needed.
  std::shared_mutex mutex_;
  std::unique_ptr<NativeWatch> watch_;
};

}  // namespace omfs
