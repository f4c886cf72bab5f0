// What the owner's server must remember across restarts, in RocksDB under <state>/store: the secret
// that signs file handles, the server's epoch, who its clients were, and for each slot of each
// session the last non-idempotent request - its intent before it runs, its reply after.
//
// Writes go to RocksDB's log without fsync: they survive a crash of the daemon; a power failure may
// lose the last ones, as it does for the file operations themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/ids.h"
#include "proto/omfs_wire.h"

namespace omfs {

// A client instance and its session.
struct ClientRecord {
  std::array<uint8_t, 16> client_id{};
  uint64_t boot = 0;
  NodeId node;
  SessionId session;
  bool caching = false;  // it may hold caps: after a restart nothing may change before it is back or its lease has passed
};

// The last non-idempotent request of a slot. A record begins as an intent; its reply, or a restarted daemon that finds out that
// nothing happened, ends it.
struct SlotRecord {
  enum class State : uint8_t {
    kIntent = 0,  // it may have happened
    kDone = 1,
    kUndone = 2,  // the daemon died before it happened
  };
  uint32_t sequence = 0;
  uint16_t op = 0;
  uint64_t digest = 0;          // of the request: its metadata and the length of its payload
  uint64_t time_ns = 0;         // when the intent was written, ns since 1970 by this node's clock
  State state = State::kIntent;
  uint32_t status = 0;          // of the reply
  std::vector<std::byte> meta;  // of the reply
  // kIntent: the request's metadata, and the handle that each name in it had (of length 0: none) when nobody else could change it
  // any more.
  std::vector<std::byte> request;
  std::vector<omfs_fh> names;
  uint32_t caps = 0;  // the request's
};

// Thread-safe.
class Store {
 public:
  // Opens or makes <state_dir>/store (mode 0700). Raises the epoch. Errors: the directory cannot be
  // used; another omfsd has it ("... is in use by another omfsd").
  static absl::StatusOr<std::shared_ptr<Store>> Open(const std::string& state_dir);
  ~Store();

  // Random, made once per store.
  const std::array<uint8_t, 16>& handle_secret() const;
  // 1 at the first Open of a store, one more at each later one.
  uint64_t epoch() const;

  // A session number that this store has never given before.
  absl::StatusOr<SessionId> NewSession();

  absl::Status PutClient(const ClientRecord& record);
  absl::StatusOr<std::vector<ClientRecord>> Clients() const;
  // The record of a client id; nullopt: never seen or forgotten.
  absl::StatusOr<std::optional<ClientRecord>> FindClient(
      std::span<const uint8_t, 16> client_id) const;
  // Forgets the client of a session, and the session's slots.
  absl::Status ForgetClient(const ClientRecord& record);

  // Replaces the record of a slot: the intent before a request acts, what became of it afterwards.
  absl::Status PutSlot(SessionId session, uint16_t slot, const SlotRecord& record);
  // (slot, record) of all slots of a session that have one, in order.
  absl::StatusOr<std::vector<std::pair<uint16_t, SlotRecord>>> Slots(SessionId session) const;

  // Floors of time stamps (omfs/server/stamps.h), ns since 1970 by the handle of the object; of one object one call at a time.
  // Whether there was none before.
  absl::StatusOr<bool> PutFloor(const omfs_fh& object, uint64_t ns);
  // 0: none.
  absl::StatusOr<uint64_t> Floor(const omfs_fh& object) const;
  // Whether there was one.
  absl::StatusOr<bool> DropFloor(const omfs_fh& object);
  absl::StatusOr<uint64_t> CountFloors() const;
  // What the clock must not be below after a restart; 0: nothing known.
  absl::Status PutClockBound(uint64_t ns);
  absl::StatusOr<uint64_t> ClockBound() const;

 private:
  struct Db;
  explicit Store(std::unique_ptr<Db> db);
  absl::Status ForgetOrphans();
  std::unique_ptr<Db> db_;
};

}  // namespace omfs
