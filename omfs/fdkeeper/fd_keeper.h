// FdKeeper: omfsd's connection to its fd-keeper (message.h).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/fdkeeper/message.h"

namespace omfs::fdkeeper {

struct Options {
  std::string program;             // omfs-fdkeeper's path
  std::string state_dir;           // of the node; the socket is <state_dir>/fdkeeper/socket, the directory 0700
  std::chrono::seconds patience{};  // how long a keeper that is started now waits for the next omfsd
};

// Not thread-safe. The keeper stays when this ends.
class FdKeeper {
 public:
  // Connects to the keeper that an earlier omfsd has left, or starts one. Errors name what failed.
  static absl::StatusOr<std::unique_ptr<FdKeeper>> Reach(const Options& options);

  // Everything it holds.
  absl::StatusOr<std::vector<std::pair<Key, ScopedFd>>> All();
  // Gives it a duplicate of the descriptor; when this returns it is safe. False: the keeper is lost.
  bool Put(const Key& key, int fd);
  bool Drop(const Key& key);

  // To be polled: the keeper sends nothing unasked, so that anything there means that it is lost.
  int socket() const { return socket_.get(); }

 private:
  explicit FdKeeper(ScopedFd socket) : socket_(std::move(socket)) {}
  // One answered request.
  absl::StatusOr<std::pair<Message, ScopedFd>> Next(const Key& after);

  ScopedFd socket_;
};

}  // namespace omfs::fdkeeper
