// The rung kFanotify of NativeWatch: an OpenerGate and a ChangeFeed over the same set of objects.
//
// Threads: the gate's answers (and waits for nothing); the feed's reports changes; a third takes
// openers from the gate to the listener, so that the listener may wait for the server's locks while
// the gate goes on answering the threads that hold them.
#pragma once

#include <array>
#include <mutex>
#include <unordered_map>

#include "omfs/server/change_feed.h"
#include "omfs/server/native_watch.h"
#include "omfs/server/opener_gate.h"
#include "omfs/server/worker_pool.h"

namespace omfs {

class FanotifyWatch : public NativeWatch {
 public:
  // Unavailable: the kernel, the file system or the daemon's rights do not allow it.
  static absl::StatusOr<std::unique_ptr<NativeWatch>> Start(Export* e, Listener* listener,
                                                            const Options& options,
                                                            bool kernel_has_delegations);
  ~FanotifyWatch() override;

  Rung rung() const override { return Rung::kFanotify; }
  std::string Describe() const override;
  absl::Status Watch(const Inode& inode, Guard guard) override;
  void Unwatch(const omfs_fh& object) override;
  NativeUse Use(const Inode& inode) override;

 private:
  // What is known of a watched object. reading, writing: a native process may have the file open
  // so. They are set for each native open before it is let go, and cleared when the kernel says
  // that nobody has the file open so - unless another open came since that was asked: opens counts
  // them.
  struct State {
    Guard guard = Guard::kOpeners;
    bool marked = false;
    bool reading = true;
    bool writing = true;
    uint32_t opens = 0;
  };
  using Objects = std::unordered_map<omfs_fh, State, HandleHash, HandleEqual>;
  using Done = std::function<void()>;

  FanotifyWatch(Export* e, Listener* listener, bool kernel_has_delegations)
      : export_(e), listener_(listener), kernel_has_delegations_(kernel_has_delegations) {}
  absl::Status StartGroups(const Options& options);
  absl::Status TryMarks();

  std::mutex& MarkingMutex(const omfs_fh& object) {
    return marking_[HandleHash()(object) % marking_.size()];
  }
  // The object is watched, with all marks, and has this guard now.
  bool SetGuard(const omfs_fh& object, Guard guard);
  absl::Status Mark(const Inode& inode);
  void Forget(const omfs_fh& object);
  bool Watched(const omfs_fh& object);
  // file: of the object, opened for reading only.
  NativeUse Probe(const omfs_fh& object, int file);

  bool Admit(const OpenerGate::Opener& opener, const Done& done);     // the gate's thread
  void HandOver(const OpenerGate::Opener& opener, const Done& done);  // the third thread
  void Report(const ChangeFeed::Change& change);                      // the feed's thread
  void ReportEntry(const ChangeFeed::Change& change);
  void ReportObject(const ChangeFeed::Change& change);
  bool LastNameGone(const omfs_fh& object);

  Export* const export_;
  Listener* const listener_;
  const bool kernel_has_delegations_;
  const std::shared_ptr<LeaseProbe> probe_ = std::make_shared<LeaseProbe>();

  // One at a time marks, unmarks or opens an object here. Held over system calls, and over opens
  // that wait for the gate: the watch's threads never take them. Before mutex_.
  std::array<std::mutex, 64> marking_;
  std::mutex mutex_;  // held over no call that could wait
  Objects objects_;   // guarded by mutex_

  WorkerPool to_listener_{1};
  std::unique_ptr<ChangeFeed> feed_;
  std::unique_ptr<OpenerGate> gate_;
};

}  // namespace omfs
