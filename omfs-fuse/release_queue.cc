#include "omfs-fuse/release_queue.h"

#include <algorithm>
#include <chrono>

namespace omfs {
namespace {

// Few objects can wait: their caps cost the owner some memory, and a recall if somebody wants them.
constexpr std::chrono::milliseconds kGather{200};

}  // namespace

ReleaseQueue::ReleaseQueue(NodeClient* node) : node_(node) {
  thread_ = std::thread([this] { Run(); });
}

ReleaseQueue::~ReleaseQueue() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReleaseQueue::Add(const NodeClient::GivenBack& object) {
  std::lock_guard lock(mu_);
  queue_.push_back(object);
  if (queue_.size() == 1 || queue_.size() == OMFS_RELEASE_MAX) changed_.notify_all();
}

void ReleaseQueue::Run() {
  std::unique_lock lock(mu_);
  for (;;) {
    changed_.wait(lock,
                  [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stopping_ || !queue_.empty(); });
    if (stopping_) return;  // the session's end gives everything back
    changed_.wait_for(lock, kGather, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return stopping_ || queue_.size() >= OMFS_RELEASE_MAX;
    });
    if (stopping_) return;
    const size_t n = std::min<size_t>(queue_.size(), OMFS_RELEASE_MAX);
    const std::vector<NodeClient::GivenBack> batch(queue_.begin(),
                                                   queue_.begin() + static_cast<ptrdiff_t>(n));
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(n));
    lock.unlock();
    node_->Release(batch);
    lock.lock();
  }
}

}  // namespace omfs
