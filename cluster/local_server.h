// The daemon's end of the node's local socket: one thread per connection, requests of one connection in order.
//
// The socket is open to every user of the node, so what one user can hold is bounded: connections per user and in all,
// the size of a request, and the time a connection may idle.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"

namespace omfs::local {
class Request;
class Reply;
}  // namespace omfs::local

namespace omfs {

class LocalServer {
 public:
  // Answers one request of the process with these credentials; may block for long. Called from several threads.
  using Handler = std::function<local::Reply(const local::Request& request, const ucred& caller)>;

  // Takes over a listening socket; path is its name, removed at Stop.
  static std::unique_ptr<LocalServer> Start(ScopedFd listener, const std::string& path, Handler handler);

  // Takes no more connections and requests, and waits for the handlers under way: whatever they wait for must have
  // been stopped before. Idempotent.
  void Stop();
  ~LocalServer();

 private:
  class Impl;
  explicit LocalServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omfs
