// The sessions of a server, by client.
//
// A session lives until its client says BYE, until a newer instance of the client appears, or until
// its lease has passed without a request. Its identity and the slots' records are in the store, so
// that it survives a restart of the server (its opens do not). Sessions in the store whose clients
// do not return within a lease after the start are forgotten.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "absl/status/statusor.h"
#include "omfs/server/session.h"

namespace omfs {

// Thread-safe. Called with the daemon's identity.
class SessionTable {
 public:
  using ClientId = std::array<uint8_t, 16>;

  // on_end: called for each session that ends, after it refuses requests, without locks held.
  SessionTable(Store* store, std::chrono::milliseconds lease, std::function<void(Session&)> on_end);

  // Takes the known clients from the store.
  absl::Status Load();

  struct Hello {
    ClientRecord client;    // session: the one the client believes to have, 0 if none
    uint32_t slots;         // wanted
    uint32_t sequence = 0;  // of the HELLO itself
    bool must_exist = false;  // NotFound rather than a new session
  };
  struct Welcome {
    std::shared_ptr<Session> session;
    bool resumed;
  };
  absl::StatusOr<Welcome> Greet(const Hello& hello);

  // Sessions of before the restart whose clients may cache.
  std::vector<SessionId> Caching() const;
  // The clients of before the restart that have not come back.
  std::vector<ClientId> Remembered() const;
  // Notes that the session's client may cache from now on.
  absl::Status SetCaching(const Session& session);

  // nullptr: there is no such session (any more).
  std::shared_ptr<Session> Find(SessionId id) const;

  // Takes it out of the table, closes its opens, drops its locks; its connection stays, for the reply to BYE.
  void Retire(const std::shared_ptr<Session>& session);
  // Ends it for good: its opens are closed, the store forgets it.
  void End(const std::shared_ptr<Session>& session);
  // Ends all whose lease has passed. Called every so often.
  void Expire();
  // The server stops: sessions end here, but the store keeps them for the next start.
  void Suspend();

  size_t sessions() const;
  size_t opens() const;

 private:
  absl::StatusOr<std::shared_ptr<Session>> Make(ClientRecord client, const Hello& hello);
  absl::StatusOr<std::shared_ptr<Session>> Recover(const ClientRecord& known, const Hello& hello);

  Store* const store_;
  const std::chrono::milliseconds lease_;
  const std::function<void(Session&)> on_end_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  OpenTable::Numbers open_numbers_;

  // Held during a HELLO: two of one client must not make two sessions.
  mutable std::mutex mutex_;
  std::map<ClientId, std::shared_ptr<Session>> sessions_;  // guarded by mutex_
  std::map<ClientId, ClientRecord> remembered_;  // guarded by mutex_; from before the restart
};

}  // namespace omfs
