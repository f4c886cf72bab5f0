#include "omfs/server/worker_pool.h"

#include <system_error>

#include "omfs/server/identity.h"

namespace omfs {

void WorkerPool::Post(std::function<void()> job) {
  std::unique_lock lock(mutex_);
  if (draining_) {
    lock.unlock();
    job();
    return;
  }
  if (jobs_.size() >= idle_ && threads_.size() < max_threads_) {
    try {
      threads_.emplace_back([this] { Run(); });
    } catch (const std::system_error&) {
      // The system has no more threads to give: those that there are will do.
      if (threads_.empty()) {
        lock.unlock();
        job();
        return;
      }
    }
  }
  jobs_.push_back(std::move(job));
  work_.notify_one();
}

void WorkerPool::Drain() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    threads.swap(threads_);
  }
  work_.notify_all();
  for (std::thread& t : threads) t.join();
}

void WorkerPool::Run() {
  ThreadIdentity::Enter();
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [this] { return !jobs_.empty() || draining_; });
    --idle_;
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace omfs
