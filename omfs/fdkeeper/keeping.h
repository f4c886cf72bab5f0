// Keeping: the keeper's process - what it holds, whom it serves, when it ends.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "omfs/base/scoped_fd.h"
#include "omfs/fdkeeper/message.h"

namespace omfs::fdkeeper {

// Not thread-safe. In its own process nothing else is done.
class Keeping {
 public:
  // listener: of type SOCK_SEQPACKET; path: its name. patience: how long descriptors are held with nobody connected.
  Keeping(ScopedFd listener, std::string path, std::chrono::seconds patience);

  // Serves until there is no reason to go on: nobody is connected, and
  //  - nothing is held, or
  //  - nobody has come back within the patience, or
  //  - the name of the socket is not this one's any more: omfsd has given up this keeper and made another.
  void Run();

 private:
  using Clock = std::chrono::steady_clock;

  void Accept();
  // Does all that has been sent on a connection. False: it is to be closed.
  bool Serve(int connection);
  bool Obey(int connection, const Message& message, ScopedFd fd);
  bool IsNamed() const;

  const ScopedFd listener_;
  const std::string path_;
  const std::chrono::seconds patience_;
  struct stat name_ {};  // of the socket's file as it was at the start
  std::map<Key, ScopedFd> held_;
  std::vector<ScopedFd> connections_;
};

}  // namespace omfs::fdkeeper
