// Takes requests of a session's connections, decides by the slot whether each is to be run, runs it
// on the right thread, and sends the reply.
//
// Operations that cannot wait run on the thread that read them: a hand-over would cost more than
// they do. An operation that finds that it would have to wait says so without having done anything
// and runs again on a worker, so that the replies of others overtake it.
#pragma once

#include <memory>

#include "omfs/server/lock_waiters.h"
#include "omfs/server/operation.h"
#include "omfs/server/session_table.h"
#include "omfs/server/worker_pool.h"

namespace omfs {

// Thread-safe.
class Dispatcher {
 public:
  // All outlive the dispatcher.
  Dispatcher(Services& services, SessionTable* sessions, Store* store, WorkerPool* workers);

  // A request other than HELLO. An error: the connection is to be closed, and the message says why.
  absl::Status Handle(const std::shared_ptr<Connection>& connection, Message message);

  // For LockWaiters.
  bool TryAgain(const std::shared_ptr<Operation>& op);
  void GiveUp(const std::shared_ptr<Operation>& op, Errno error);
  // For Services::resume.
  void Resume(const std::shared_ptr<Operation>& op) { Run(op); }
  // For Services::record_intent.
  bool RecordIntent(const std::shared_ptr<Operation>& op, const std::vector<CapClaim>& claims);

 private:
  using OperationRef = std::shared_ptr<Operation>;

  void Start(const OperationRef& op, const std::optional<SlotRecord>& intent);
  void Run(const OperationRef& op);
  void RunOnWorker(const OperationRef& op);
  // Acts on a result: replies, hands over to a worker, or parks.
  void Conclude(const OperationRef& op, OpResult result);
  void Complete(const OperationRef& op, uint32_t status, const Reply& reply);
  void CloseAsMalformed(const OperationRef& op, const absl::Status& why);
  void RecordReply(const OperationRef& op, uint32_t status, std::span<const std::byte> meta);
  absl::Status PutRecord(const OperationRef& op, SlotRecord record);

  Services& services_;
  SessionTable* const sessions_;
  Store* const store_;
  WorkerPool* const workers_;
};

}  // namespace omfs
