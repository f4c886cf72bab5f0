// RecallChannel: the connection on which an owner takes caps back.
//
// It is a connection of its own, not the one that carries the calls, for two reasons: a recall
// never waits behind the bulk data of a reply, and the calls' connection has no thread that listens
// when nobody calls (link.h). The order between a recall and a reply is told by their numbers, not
// by arrival (ObjectCache).
//
// The owner grants nothing before this connection stands, and after a restart lets nobody change
// anything before the clients of before have made theirs (or their leases have passed). So whoever
// opens it says: what I cached in an earlier generation is gone. The channel is therefore opened
// only after its user has made sure of that (prepare).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "omfs/client/caps.h"
#include "omfs/client/link.h"

namespace omfs {

struct Recall {
  Fh fh;
  uint32_t kind = 0;  // OMFS_RECALL_*
  uint32_t caps = 0;
  std::string name;
  CapStamp stamp;
};

class RecallChannel {
 public:
  // prepare: called before the connection of each generation; see above. It may wait for calls.
  // handle: called for each recall, by one of several threads; it calls `answer` once, from any
  // thread, when nothing cached contradicts the recall any more. Calling it later again does
  // nothing.
  using Answer = std::function<void()>;
  using Handler = std::function<void(const Recall&, Answer answer)>;
  RecallChannel(Link* link, std::function<void()> prepare, Handler handle);
  ~RecallChannel();

  // Whether recalls of the present session would arrive.
  bool connected() const;

 private:
  void Run();
  absl::Status Serve(const SessionKey& key);
  void Work();
  void Post(const std::shared_ptr<TlsStream>& stream, uint64_t session, Recall recall);

  struct Job {
    std::shared_ptr<TlsStream> stream;
    Recall recall;
    uint64_t session;
  };

  Link* const link_;
  const std::function<void()> prepare_;
  const Handler handle_;
  mutable std::mutex mu_;
  std::condition_variable stop_;
  std::condition_variable work_;
  std::shared_ptr<TlsStream> stream_ ABSL_GUARDED_BY(mu_);
  uint64_t connected_generation_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mu_);
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::thread> workers_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace omfs
