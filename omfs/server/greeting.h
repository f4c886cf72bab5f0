// HELLO: a connection's first request. It says who the client is and makes or resumes its session.
#pragma once

#include "omfs/base/config.h"
#include "omfs/server/cap_table.h"
#include "omfs/server/connection.h"
#include "omfs/server/export.h"
#include "omfs/server/session_table.h"

namespace omfs {

// Thread-safe.
class Greeting {
 public:
  // All outlive it.
  Greeting(const Config* config, uint64_t epoch, Export* tree, SessionTable* sessions, CapTable* caps)
      : config_(config), epoch_(epoch), tree_(tree), sessions_(sessions), caps_(caps) {}

  // Answers the first request of a connection. An error: the connection is to be closed, the
  // message says why (the client may have been told by a status, too).
  absl::Status Greet(const std::shared_ptr<Connection>& connection, const Message& message);

  // Answers a header of a version that is not spoken here with EPROTONOSUPPORT.
  static void RefuseVersion(Connection& connection, const Header& header);

 private:
  const Config* const config_;
  const uint64_t epoch_;
  Export* const tree_;
  SessionTable* const sessions_;
  CapTable* const caps_;
};

}  // namespace omfs
