#include "omfs/server/session_table.h"

#include <algorithm>

#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr uint32_t kMaxSlots = 64;  // bounds the memory of one client's requests under way

uint32_t SlotsFor(uint32_t wanted) { return std::clamp<uint32_t>(wanted, 1, kMaxSlots); }

void LogStoreError(const absl::Status& s) {
  if (!s.ok()) SPDLOG_ERROR("{}", Text(s));
}

}  // namespace

SessionTable::SessionTable(Store* store, std::chrono::milliseconds lease,
                           std::function<void(Session&)> on_end)
    : store_(store), lease_(lease), on_end_(std::move(on_end)), open_numbers_(store->epoch()) {}

absl::Status SessionTable::Load() {
  OMFS_ASSIGN_OR_RETURN(const std::vector<ClientRecord> clients, store_->Clients());
  std::lock_guard lock(mutex_);
  for (const ClientRecord& c : clients) remembered_[c.client_id] = c;
  return absl::OkStatus();
}

absl::StatusOr<SessionTable::Welcome> SessionTable::Greet(const Hello& hello) {
  std::shared_ptr<Session> replaced;
  Welcome welcome{nullptr, false};
  {
    std::lock_guard lock(mutex_);
    const auto same = [&](const ClientRecord& known) {
      return known.boot == hello.client.boot && known.node == hello.client.node &&
             (hello.client.session.value == 0 || hello.client.session == known.session);
    };
    const ClientId& id = hello.client.client_id;
    if (const auto it = sessions_.find(id); it != sessions_.end()) {
      if (same(it->second->client()) && !it->second->ended()) {
        it->second->Touch();
        return Welcome{it->second, true};
      }
      if (hello.must_exist) return absl::NotFoundError("its session has ended");
      replaced = std::move(it->second);
      sessions_.erase(it);
    } else if (hello.must_exist) {
      return absl::NotFoundError("it has no session");
    } else if (const auto old = remembered_.find(id); old != remembered_.end()) {
      const ClientRecord known = old->second;
      remembered_.erase(old);
      if (same(known)) {
        OMFS_ASSIGN_OR_RETURN(welcome.session, Recover(known, hello));
        welcome.resumed = true;
      } else {
        OMFS_RETURN_IF_ERROR(store_->ForgetClient(known));
      }
    }
    if (welcome.session == nullptr) {
      OMFS_ASSIGN_OR_RETURN(welcome.session, Make(hello.client, hello));
    }
    sessions_[id] = welcome.session;
  }
  if (replaced != nullptr) End(replaced);
  return welcome;
}

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Make(ClientRecord client,
                                                            const Hello& hello) {
  OMFS_ASSIGN_OR_RETURN(client.session, store_->NewSession());
  OMFS_RETURN_IF_ERROR(store_->PutClient(client));
  return std::make_shared<Session>(client, SlotsFor(hello.slots), hello.sequence, &open_numbers_);
}

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Recover(const ClientRecord& known,
                                                               const Hello& hello) {
  OMFS_ASSIGN_OR_RETURN(const auto slots, store_->Slots(known.session));
  auto session = std::make_shared<Session>(known, SlotsFor(hello.slots), 0, &open_numbers_);
  session->Restore(slots);
  return session;
}

std::vector<SessionId> SessionTable::Caching() const {
  std::lock_guard lock(mutex_);
  std::vector<SessionId> caching;
  for (const auto& [id, client] : remembered_) {
    if (client.caching) caching.push_back(client.session);
  }
  return caching;
}

std::vector<SessionTable::ClientId> SessionTable::Remembered() const {
  std::lock_guard lock(mutex_);
  std::vector<ClientId> ids;
  for (const auto& [id, client] : remembered_) ids.push_back(id);
  return ids;
}

absl::Status SessionTable::SetCaching(const Session& session) {
  ClientRecord record = session.client();
  if (record.caching) return absl::OkStatus();
  record.caching = true;
  return store_->PutClient(record);
}

std::shared_ptr<Session> SessionTable::Find(SessionId id) const {
  std::lock_guard lock(mutex_);
  for (const auto& [client, session] : sessions_) {
    if (session->id() == id) return session;
  }
  return nullptr;
}

void SessionTable::End(const std::shared_ptr<Session>& session) {
  session->End();
  Retire(session);
}

void SessionTable::Retire(const std::shared_ptr<Session>& session) {
  {
    std::lock_guard lock(mutex_);
    const auto it = sessions_.find(session->client().client_id);
    if (it != sessions_.end() && it->second == session) sessions_.erase(it);
  }
  on_end_(*session);
  session->opens().Clear();
  LogStoreError(store_->ForgetClient(session->client()));
}

void SessionTable::Expire() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<Session>> expired;
  std::vector<ClientRecord> gone;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, session] : sessions_) {
      if (session->being_read()) session->Touch();
      if (now - session->last_used() > lease_) expired.push_back(session);
    }
    if (now - started_ > lease_) {
      for (const auto& [id, client] : remembered_) gone.push_back(client);
      remembered_.clear();
    }
  }
  for (const auto& session : expired) {
    SPDLOG_INFO("lease passed, session ended: node={} session={} opens={}",
                session->client().node.value, session->id().value, session->opens().size());
    End(session);
  }
  for (const ClientRecord& client : gone) LogStoreError(store_->ForgetClient(client));
}

void SessionTable::Suspend() {
  std::map<ClientId, std::shared_ptr<Session>> all;
  {
    std::lock_guard lock(mutex_);
    all.swap(sessions_);
  }
  for (const auto& [id, session] : all) {
    session->End();
    on_end_(*session);
    session->opens().Clear();
  }
}

size_t SessionTable::sessions() const {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

size_t SessionTable::opens() const {
  std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& [id, session] : sessions_) n += session->opens().size();
  return n;
}

}  // namespace omfs
