// EntryNotifier: takes names back from the kernel without ever being in its own way.
//
// Taking back one name waits for the directory's lock. Whoever holds the lock may be a caller whose
// request is at the owner and waits there, behind the very operation whose recall this is. So
// nobody waits for long: while the name is being taken back, the recall counts as answered as soon
// as
//   - a request that changes the directory arrives here (its caller holds the lock), or
//   - some milliseconds have passed (its holder may wait for another directory's lock),
// by raising the epoch instead, which makes the kernel look up every name again - it takes no lock,
// but is dear.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "omfs-fuse/kernel_cache.h"

namespace omfs {

// Thread-safe.
class EntryNotifier {
 public:
  explicit EntryNotifier(std::shared_ptr<KernelCache> kernel);
  ~EntryNotifier();

  // Takes the name back and then calls answer, once. May return before or after.
  void Forget(fuse_ino_t dir, const std::string& name, std::function<void()> answer);

  // A request that changes entries of the directory is here, from construction to destruction.
  class ChangeScope {
   public:
    ChangeScope(EntryNotifier* notifier, fuse_ino_t dir);
    ~ChangeScope();
    ChangeScope(const ChangeScope&) = delete;
    ChangeScope& operator=(const ChangeScope&) = delete;

   private:
    EntryNotifier* const notifier_;  // may be null
    const fuse_ino_t dir_;
  };

 private:
  struct Pending {
    fuse_ino_t dir;
    std::chrono::steady_clock::time_point since;
    std::function<void()> answer;
  };

  void Watch();
  // Answers those that `which` picks, by way of the epoch. lock: of mu_, let go meanwhile.
  void Rescue(std::unique_lock<std::mutex>& lock, const std::function<bool(const Pending&)>& which);

  const std::shared_ptr<KernelCache> kernel_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::list<std::shared_ptr<Pending>> pending_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<fuse_ino_t, int> changing_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread watch_;
};

}  // namespace omfs
