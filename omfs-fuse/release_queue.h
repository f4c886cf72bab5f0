// ReleaseQueue: caps of objects that the kernel has forgotten, given back to the owner in batches.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs/client/node_client.h"

namespace omfs {

// Thread-safe.
class ReleaseQueue {
 public:
  explicit ReleaseQueue(NodeClient* node);
  ~ReleaseQueue();
  void Add(const NodeClient::GivenBack& object);

 private:
  void Run();

  NodeClient* const node_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<NodeClient::GivenBack> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace omfs
