// A session: what an owner keeps for one client instance - its opens, its slots, its lease.
//
// Exactly-once, as in NFSv4.1 (RFC 8881, 2.10.6). A slot carries one request at a time. The owner
// keeps of each slot the sequence number of the last request and, if that was not idempotent, its
// reply:
//   sequence = last + 1    new: run it
//   sequence = last        sent again after a reconnect. Still running: its reply goes to the new
//   connection. Reply kept:
//                          answered from there. Idempotent: run again.
//   anything else          a broken client: its connection is closed.
// After a restart of the owner slots come from the store (SessionTable), which knows only the
// durable operations. So the first request on each slot may have any sequence above the stored one:
// whatever else ran on the slot since was idempotent, or on an open that is gone. A record without
// a reply is a dangling intent: the daemon died during the operation; what became of it is looked
// up in the file system (intent.h).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "omfs/server/connection.h"
#include "omfs/server/open_table.h"
#include "omfs/store/store.h"

namespace omfs {

// Thread-safe.
class Session {
 public:
  // first_sequence: of the next request on slot 0, minus 1.
  Session(const ClientRecord& client, uint32_t slots, uint32_t first_sequence,
          OpenTable::Numbers* numbers);

  const ClientRecord& client() const { return client_; }
  SessionId id() const { return client_.session; }
  uint32_t slot_count() const { return static_cast<uint32_t>(slots_.size()); }
  OpenTable& opens() { return opens_; }

  enum class Verdict { kRun, kAnswer, kUnderWay, kMisordered };
  struct Admission {
    Verdict verdict;
    std::string why;                   // kMisordered
    uint32_t status = 0;               // kAnswer: the kept reply
    std::vector<std::byte> meta;       // kAnswer
    std::optional<SlotRecord> intent;  // kRun: the dangling intent it repeats
  };
  // Decides what to do with a request. digest: of its bytes (see SlotRecord), looked at for
  // operations whose replies are kept. After kRun the slot is busy until Finish.
  Admission Admit(const Header& header, uint64_t digest, std::shared_ptr<Connection> connection);

  // The request is done; keep: its reply may be asked for again. Returns where to send the reply.
  std::shared_ptr<Connection> Finish(const Header& header, bool keep, uint64_t digest,
                                     uint32_t status, std::span<const std::byte> meta);

  // Makes this a session of before the restart: takes the slots' records from the store. Before
  // first use.
  void Restore(std::span<const std::pair<uint16_t, SlotRecord>> records);

  // Any request renews the lease.
  void Touch();
  std::chrono::steady_clock::time_point last_used() const;
  // The owner itself keeps the client's next requests waiting: silence is not the client's.
  bool being_read() const;

  void Attach(const std::shared_ptr<Connection>& connection);
  // The connection, attached before, is for recalls; an earlier one is closed.
  void AttachRecalls(const std::shared_ptr<Connection>& connection);
  // nullptr: there is none now.
  std::shared_ptr<Connection> recalls() const;
  // Refuses all further requests and closes the connections.
  void End();
  bool ended() const;

 private:
  struct Slot {
    uint32_t sequence = 0;
    bool restored = false;  // the true last sequence is `sequence` or above
    bool busy = false;
    bool kept = false;  // status and meta are the reply to `sequence`
    uint16_t op = 0;
    uint64_t digest = 0;
    uint32_t status = 0;
    std::vector<std::byte> meta;
    std::optional<SlotRecord> intent;
    std::shared_ptr<Connection> reply_to;  // while busy
  };

  const ClientRecord client_;
  OpenTable opens_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;                             // guarded by mutex_
  std::chrono::steady_clock::time_point last_used_;     // guarded by mutex_
  std::vector<std::weak_ptr<Connection>> connections_;  // guarded by mutex_
  std::weak_ptr<Connection> recalls_;                   // guarded by mutex_
  bool ended_ = false;                                  // guarded by mutex_
};

}  // namespace omfs
