// Threads for operations that wait: for the disk, for other processes.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace omfs {

// Thread-safe. Threads are started as they are needed, up to a limit; jobs run in the order they
// were posted.
class WorkerPool {
 public:
  explicit WorkerPool(size_t max_threads) : max_threads_(max_threads) {}
  ~WorkerPool() { Drain(); }

  // After Drain jobs run on the calling thread.
  void Post(std::function<void()> job);
  // Runs what is posted, then ends the threads.
  void Drain();

 private:
  void Run();

  const size_t max_threads_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  std::vector<std::thread> threads_;        // guarded by mutex_
  size_t idle_ = 0;                         // guarded by mutex_
  bool draining_ = false;                   // guarded by mutex_
};

}  // namespace omfs
