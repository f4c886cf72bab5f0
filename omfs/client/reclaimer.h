// Reclaimer: makes a client's opens at an owner again, unasked, when the owner has forgotten them.
//
// An open would be made again at its next use anyway (remote_open.h), but a restarted owner waits for its clients only
// for a time: what has no name any more, and nobody has opened again by then, is let go (omfs/server/orphans.h). So
// after each new generation of the link a thread of this class's own goes through all opens; when each is open again or
// lost for good it says RECLAIMED, naming the owner's epoch: a request that is sent again to an owner which has
// restarted once more must mean nothing to it.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs/base/errno_or.h"
#include "omfs/client/link.h"
#include "omfs/client/remote_open.h"

namespace omfs {

// Thread-safe.
class Reclaimer {
 public:
  // Makes one open good in the link's present generation. EHOSTDOWN, EIO: not now.
  using MakeGood = std::function<Errno(const RemoteOpenRef&)>;

  // link: outlives it.
  Reclaimer(Link* link, MakeGood make_good);
  // Waits for a call of its own that is under way.
  ~Reclaimer();

  void Add(const RemoteOpenRef& open);
  void Remove(const RemoteOpen* open);

 private:
  void Run();
  std::vector<RemoteOpenRef> Opens();
  // False: not all could be made good now.
  bool ReclaimAll(const Link::Instance& owner);
  // False: not now.
  bool Report(const Link::Instance& owner);

  Link* const link_;
  const MakeGood make_good_;
  std::mutex mu_;
  std::condition_variable wake_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Weak: one that nobody has any more without having closed it is not worth an open.
  std::unordered_map<const RemoteOpen*, std::weak_ptr<RemoteOpen>> opens_ ABSL_GUARDED_BY(mu_);
  size_t purge_at_ ABSL_GUARDED_BY(mu_) = 1024;
  std::thread thread_;
};

}  // namespace omfs
