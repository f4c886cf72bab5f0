// Requests that wait for a lock.
//
// A waiting request holds no thread: it is tried again, in the order of arrival, whenever something
// on its object was unlocked through this server, and every few milliseconds because a native
// process may have unlocked it - the kernel tells nobody. CANCEL ends the waiting with EINTR.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "omfs/server/lock_table.h"
#include "omfs/server/operation.h"

namespace omfs {

// Thread-safe.
class LockWaiters {
 public:
  // try_again: runs the operation and, unless it must go on waiting, sends its reply; true = it is
  // done. give_up: answers it with an errno.
  using TryAgain = std::function<bool(const std::shared_ptr<Operation>&)>;
  using GiveUp = std::function<void(const std::shared_ptr<Operation>&, Errno)>;
  LockWaiters() = default;
  ~LockWaiters() { Stop(); }
  void Start(TryAgain try_again, GiveUp give_up);
  // Gives up all with EINTR and takes no more.
  void Stop();

  void Park(std::shared_ptr<Operation> operation, InodeRef object);
  // Something on the object was released.
  void Wake(const omfs_fh& object);
  // Ends the waiting of one request, if it does wait.
  void Cancel(const WaitKey& key);
  void EndSession(SessionId session);

 private:
  struct Waiter {
    std::shared_ptr<Operation> operation;
    WaitKey key;
    InodeRef object;
    bool due = true;
    bool cancelled = false;
  };

  void Run();
  // Tries each waiter that is due once. lock: of mutex_, let go while an operation runs.
  void TryDue(std::unique_lock<std::mutex>* lock);

  TryAgain try_again_;
  GiveUp give_up_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Waiter> waiters_;  // guarded by mutex_; only the thread removes
  bool stopping_ = false;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace omfs
