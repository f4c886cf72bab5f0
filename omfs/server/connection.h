// One connection of a client: messages in, messages out.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/net/tls.h"
#include "omfs/server/buffer.h"
#include "omfs/server/hlc.h"
#include "omfs/wire/header.h"

namespace omfs {

class Session;

struct Message {
  Header header;
  std::vector<std::byte> meta;
  Buffer payload;
};

class Connection {
 public:
  // address: of the peer, for the log. clock outlives the connection.
  Connection(std::unique_ptr<TlsStream> stream, std::string address, HybridClock* clock);

  NodeId peer() const { return stream_->peer(); }
  // "node 2 at 10.0.0.2:40132", for log lines.
  std::string Name() const;

  // Reads the next message; one thread at a time. kOutOfRange: a clean end of stream.
  // kUnimplemented: a version that is not spoken here (message->header is filled).
  // kInvalidArgument, kDataLoss: these bytes are no request; the connection is of no further use.
  // Memory is bounded by the protocol's limits.
  absl::Status Receive(Message* message);

  // Writes a reply, or with OMFS_F_SERVER a request; thread-safe. A connection that fails is closed: the client will come back for
  // the reply.
  void Send(const Header& header, std::span<const std::byte> meta,
            std::span<const std::byte> payload);

  // No more requests; replies still go out. Thread-safe.
  void StopReading();
  // Thread-safe.
  void Close();

  // The session it serves, set by its HELLO; nullptr before.
  std::shared_ptr<Session> session() const;
  void set_session(std::shared_ptr<Session> session);
  // Set by a HELLO with OMFS_FEATURE_RECALLS, before anything else comes.
  // A request of it is being dealt with by the thread that reads: what may follow has not been read.
  bool handling() const { return handling_; }
  void set_handling(bool handling) { handling_ = handling; }
  bool carries_recalls() const { return carries_recalls_; }
  void set_carries_recalls() { carries_recalls_ = true; }

  std::chrono::steady_clock::time_point accepted() const { return accepted_; }

 private:
  const std::unique_ptr<TlsStream> stream_;
  const std::string address_;
  HybridClock* const clock_;
  bool clock_complained_ = false;  // the reading thread's
  const std::chrono::steady_clock::time_point accepted_ = std::chrono::steady_clock::now();
  std::atomic<bool> carries_recalls_{false};
  std::atomic<bool> handling_{false};
  mutable std::mutex mutex_;
  std::shared_ptr<Session> session_;  // guarded by mutex_
};

}  // namespace omfs
