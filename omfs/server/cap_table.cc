#include "omfs/server/cap_table.h"

#include <algorithm>
#include <utility>

#include "proto/omfs_wire.h"

namespace omfs {
namespace {

// The caps that others may not hold while an operation does this.
uint32_t Conflicts(const CapClaim& claim) {
  uint32_t caps = claim.changes;
  if (claim.changes & OMFS_CAP_F) caps |= OMFS_CAP_W;
  if (claim.reads_data) caps |= OMFS_CAP_W;
  return caps;
}

}  // namespace

CapTable::Verdict CapTable::Claim(Ticket* ticket, SessionId session, std::vector<CapClaim> claims,
                                  std::function<void()> resume) {
  Later later;
  Verdict verdict = Verdict::kGo;
  {
    std::lock_guard lock(mutex_);
    ticket->session_ = session;
    if (ticket->claims_ != claims) {
      Withdraw(ticket, &later);
      const bool early = !expected_.empty() && std::ranges::any_of(claims, [&](const CapClaim& c) {
        return c.changes != 0 && !(c.owed && expected_.contains(session));
      });
      if (early) {
        in_grace_.push_back(ticket);
        ticket->in_grace_ = true;
      } else if (std::ranges::none_of(claims,
                                      [&](const CapClaim& c) { return Blocked(ticket, c); })) {
        Stand(ticket, std::move(claims), &later);
      }
    }
    if (ticket->in_grace_ || ticket->blocked_on_ || !ticket->unanswered_.empty()) {
      Wait(ticket, std::move(resume));
      verdict = Verdict::kWait;
    }
  }
  Do(std::move(later));
  return verdict;
}

bool CapTable::Blocked(Ticket* ticket, const CapClaim& claim) {
  const auto it = objects_.find(claim.object);
  if (it == objects_.end()) return false;
  Object& object = it->second;
  const bool taken = !claim.entry.empty() &&
                     std::ranges::find(object.entries, claim.entry) != object.entries.end();
  const bool awaited = (claim.changes & OMFS_CAP_F) != 0 && !claim.owed &&
                       std::ranges::any_of(object.acquiring, [&](const Ticket* t) {
                         return t->session_ != ticket->session_;
                       });
  if (!taken && !awaited) return false;
  object.blocked.push_back(ticket);
  ticket->blocked_on_ = claim.object;
  return true;
}

void CapTable::Wait(Ticket* ticket, std::function<void()> resume) {
  ticket->resume_ = std::move(resume);
  ++waits_;
}

void CapTable::Stand(Ticket* ticket, std::vector<CapClaim> claims, Later* later) {
  for (const CapClaim& claim : claims) {
    // Nobody has anything of it, and nobody needs to know.
    if (claim.changes == 0 && claim.entry.empty() && !objects_.contains(claim.object)) continue;
    Object& object = objects_[claim.object];
    if (claim.changes & OMFS_CAP_A) ++object.changing_a;
    if (claim.changes & OMFS_CAP_F) ++object.changing_f;
    if (!claim.entry.empty()) {
      object.entries.push_back(claim.entry);
    } else if (claim.changes & OMFS_CAP_L) {
      ++object.changing_l;
    }
    // The caller's own kernel knows the entry by the old name until it has the answer; others may
    // see the new one before. Where there are any, it is told as they are.
    const bool shared = !claim.entry.empty() && (claim.changes & OMFS_CAP_L) != 0 &&
                        std::ranges::any_of(object.holders, [&](const Holder& h) {
                          return h.session != ticket->session_ && (h.caps & OMFS_CAP_L) != 0;
                        });
    const Holder* asker = FindHolder(object, ticket->session_);
    const bool passes =
        claim.owed && asker != nullptr && Recalled(*asker, OMFS_CAP_F | OMFS_CAP_W);
    if (claim.owed && !passes) object.owing.push_back(ticket);
    for (Holder& holder : object.holders) {
      const bool own = holder.session == ticket->session_;
      if (own && !shared) continue;
      const auto recalls =
          BringHome(claim.object, holder, own ? OMFS_CAP_L : Conflicts(claim), claim.entry, later);
      if (!passes) ticket->unanswered_.insert(recalls.begin(), recalls.end());
    }
  }
  for (const uint64_t number : ticket->unanswered_)
    outstanding_.at(number).tickets.push_back(ticket);
  ticket->claims_ = std::move(claims);
}

std::vector<uint64_t> CapTable::BringHome(const omfs_fh& fh, Holder& holder, uint32_t caps,
                                          std::string_view entry, Later* later) {
  std::vector<uint64_t> numbers;
  uint32_t rest = holder.caps & caps;
  for (const uint64_t number : holder.recalls) {
    const CapRecall& r = outstanding_.at(number).recall;
    if (r.kind != OMFS_RECALL_DROP || (r.caps & rest) == 0) continue;
    numbers.push_back(number);
    rest &= ~r.caps;
  }
  if ((rest & OMFS_CAP_L) != 0 && !entry.empty()) {
    numbers.push_back(RecallFrom(fh, holder, OMFS_RECALL_ENTRY, 0, entry, later));
    rest &= ~OMFS_CAP_L;
  }
  if (rest != 0) numbers.push_back(RecallFrom(fh, holder, OMFS_RECALL_DROP, rest, {}, later));
  return numbers;
}

uint64_t CapTable::RecallFrom(const omfs_fh& fh, Holder& holder, uint32_t kind, uint32_t caps,
                              std::string_view entry, Later* later) {
  const uint64_t number = ++seq_;
  ++recalls_;
  Outstanding& o = outstanding_[number];
  o.recall = {holder.session, fh, kind, caps, std::string(entry), number};
  o.since = Clock::now();
  holder.recalls.push_back(number);
  Client& client = clients_[holder.session];
  client.unsent.push_back(number);
  Transmit(&client, later);
  if (kind == OMFS_RECALL_DROP && (caps & (OMFS_CAP_F | OMFS_CAP_W)) != 0) {
    for (Ticket* ticket : objects_.at(fh).owing) {
      if (ticket->session_ == holder.session) StopWaiting(ticket, later);
    }
  }
  return number;
}

void CapTable::StopWaiting(Ticket* ticket, Later* later) {
  for (const uint64_t number : ticket->unanswered_) {
    std::erase(outstanding_.at(number).tickets, ticket);
  }
  ticket->unanswered_.clear();
  if (ticket->resume_) later->run.push_back(std::exchange(ticket->resume_, nullptr));
}

void CapTable::Transmit(Client* client, Later* later) {
  while (!client->unsent.empty() && client->sent.size() < kMostSent) {
    const uint64_t number = client->unsent.front();
    client->unsent.pop_front();
    client->sent.insert(number);
    later->send.push_back(outstanding_.at(number).recall);
  }
}

void CapTable::Release(Ticket* ticket) {
  Later later;
  {
    std::lock_guard lock(mutex_);
    Withdraw(ticket, &later);
  }
  Do(std::move(later));
}

void CapTable::Withdraw(Ticket* ticket, Later* later) {
  for (const uint64_t number : ticket->unanswered_)
    std::erase(outstanding_.at(number).tickets, ticket);
  ticket->unanswered_.clear();
  ticket->resume_ = nullptr;
  if (std::exchange(ticket->in_grace_, false)) std::erase(in_grace_, ticket);
  for (const auto& waits_on : {std::exchange(ticket->blocked_on_, std::nullopt),
                               std::exchange(ticket->acquiring_, std::nullopt)}) {
    if (!waits_on) continue;
    const auto it = objects_.find(*waits_on);
    if (it == objects_.end()) continue;
    std::erase(it->second.blocked, ticket);
    // Changes may have waited for this acquisition.
    if (std::erase(it->second.acquiring, ticket) != 0) Unblock(it->second, later);
    DropIfIdle(*waits_on);
  }
  for (const CapClaim& claim : ticket->claims_) {
    const auto it = objects_.find(claim.object);
    if (it == objects_.end()) continue;
    Object& object = it->second;
    if (claim.owed) std::erase(object.owing, ticket);
    if (claim.changes & OMFS_CAP_A) --object.changing_a;
    if (claim.changes & OMFS_CAP_F) --object.changing_f;
    if (!claim.entry.empty()) {
      object.entries.erase(std::ranges::find(object.entries, claim.entry));
    } else if (claim.changes & OMFS_CAP_L) {
      --object.changing_l;
    }
    if (claim.changes != 0 || !claim.entry.empty()) Unblock(object, later);
    DropIfIdle(claim.object);
  }
  ticket->claims_.clear();
}

void CapTable::Unblock(Object& object, Later* later) {
  for (Ticket* ticket : std::exchange(object.blocked, {})) {
    ticket->blocked_on_.reset();
    if (ticket->resume_) later->run.push_back(std::exchange(ticket->resume_, nullptr));
  }
}

bool CapTable::Recalled(const Holder& holder, uint32_t caps) const {
  return std::ranges::any_of(holder.recalls, [&](uint64_t number) {
    const CapRecall& r = outstanding_.at(number).recall;
    return r.kind == OMFS_RECALL_DROP && (r.caps & caps) != 0;
  });
}

uint32_t CapTable::Grantable(const Object& object, SessionId session, uint32_t wanted,
                             std::string_view entry, bool must) const {
  uint32_t caps = 0;
  if ((wanted & OMFS_CAP_A) != 0 && object.changing_a == 0) caps |= OMFS_CAP_A;
  const bool names_change = entry.empty()
                                ? !object.entries.empty()
                                : std::ranges::find(object.entries, entry) != object.entries.end();
  if ((wanted & OMFS_CAP_L) != 0 && object.changing_l == 0 && !names_change) caps |= OMFS_CAP_L;

  bool own_writer = false, others_write = false, others_open = false, others_cache = false,
       others_delay = false;
  for (const Holder& h : object.holders) {
    if (h.session == session) {
      own_writer = h.writers != 0;
      // What is being taken back is not given at the same time.
      for (const uint32_t cap : {OMFS_CAP_A, OMFS_CAP_L, OMFS_CAP_F, OMFS_CAP_W}) {
        if (Recalled(h, cap)) wanted &= ~cap, caps &= ~cap;
      }
      continue;
    }
    others_write |= h.writers != 0;
    others_open |= h.writers + h.readers != 0;
    others_cache |= (h.caps & OMFS_CAP_F) != 0;
    others_delay |= (h.caps & OMFS_CAP_W) != 0;
  }
  const bool shared_writing = others_write || (own_writer && others_open);
  if ((wanted & OMFS_CAP_F) != 0 && object.changing_f == 0 && !others_delay &&
      (must || !shared_writing)) {
    caps |= OMFS_CAP_F;
    if ((wanted & OMFS_CAP_W) != 0 && own_writer && !others_open && !others_cache)
      caps |= OMFS_CAP_W;
  }
  return caps;
}

CapGrant CapTable::Grant(SessionId session, const omfs_fh& fh, uint32_t wanted,
                         std::string_view entry, uint64_t seq) {
  std::lock_guard lock(mutex_);
  CapGrant grant{0, seq != 0 ? seq : ++seq_};
  const auto client = clients_.find(session);
  if (wanted == 0 || client == clients_.end() || !client->second.connected) return grant;
  const auto it = objects_.find(fh);
  grant.caps =
      Grantable(it != objects_.end() ? it->second : Object(), session, wanted, entry, false);
  if (grant.caps == 0) return grant;
  Holder& holder = HolderOf(fh, objects_[fh], session);
  holder.caps |= grant.caps;
  holder.seq = std::max(holder.seq, grant.seq);
  return grant;
}

CapTable::Verdict CapTable::Acquire(Ticket* ticket, SessionId session, const omfs_fh& fh,
                                    std::function<void()> resume, CapGrant* grant) {
  Later later;
  Verdict verdict = Verdict::kGo;
  {
    std::lock_guard lock(mutex_);
    ticket->session_ = session;
    *grant = {0, ++seq_};
    const auto client = clients_.find(session);
    Object& object = objects_[fh];
    const Holder* own = FindHolder(object, session);
    if (client == clients_.end() || !client->second.connected ||
        (own != nullptr && Recalled(*own, OMFS_CAP_F))) {
      Withdraw(ticket, &later);
    } else if ((Grantable(object, session, OMFS_CAP_F, {}, true) & OMFS_CAP_F) != 0) {
      Withdraw(ticket, &later);
      Holder& holder = HolderOf(fh, objects_[fh], session);
      holder.caps |= OMFS_CAP_F;
      holder.seq = std::max(holder.seq, grant->seq);
      grant->caps = OMFS_CAP_F;
    } else {
      if (!ticket->acquiring_) {
        ticket->acquiring_ = fh;
        object.acquiring.push_back(ticket);
      }
      std::vector<uint64_t> recalls;
      for (Holder& h : object.holders) {
        if (h.session == session) continue;
        const auto more = BringHome(fh, h, OMFS_CAP_W, {}, &later);
        recalls.insert(recalls.end(), more.begin(), more.end());
      }
      for (const uint64_t number : recalls) {
        if (ticket->unanswered_.insert(number).second)
          outstanding_.at(number).tickets.push_back(ticket);
      }
      if (ticket->unanswered_.empty() && !ticket->blocked_on_) {
        object.blocked.push_back(ticket);
        ticket->blocked_on_ = fh;
      }
      Wait(ticket, std::move(resume));
      verdict = Verdict::kWait;
    }
    DropIfIdle(fh);
  }
  Do(std::move(later));
  return verdict;
}

bool CapTable::OthersHold(SessionId session, const omfs_fh& fh, uint32_t caps) const {
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(fh);
  return it != objects_.end() && std::ranges::any_of(it->second.holders, [&](const Holder& h) {
           return h.session != session && (h.caps & caps) != 0;
         });
}

uint64_t CapTable::NextSeq() {
  std::lock_guard lock(mutex_);
  return ++seq_;
}

void CapTable::AddOpen(SessionId session, const omfs_fh& fh, bool writing) {
  std::lock_guard lock(mutex_);
  Holder& holder = HolderOf(fh, objects_[fh], session);
  ++(writing ? holder.writers : holder.readers);
}

void CapTable::RemoveOpen(SessionId session, const omfs_fh& fh, bool writing) {
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(fh);
  if (it == objects_.end()) return;
  Holder* holder = FindHolder(it->second, session);
  if (holder == nullptr) return;
  uint32_t& count = writing ? holder->writers : holder->readers;
  if (count > 0) --count;
  RemoveHolderIfIdle(fh, session);
}

void CapTable::Answer(SessionId session, uint64_t number) {
  Later later;
  {
    std::lock_guard lock(mutex_);
    const auto it = outstanding_.find(number);
    if (it == outstanding_.end() || it->second.recall.session != session) return;
    Answered(number, &later);
  }
  Do(std::move(later));
}

void CapTable::Answered(uint64_t number, Later* later) {
  Outstanding o = std::move(outstanding_.at(number));
  outstanding_.erase(number);
  const CapRecall& r = o.recall;
  if (const auto client = clients_.find(r.session); client != clients_.end()) {
    if (client->second.sent.erase(number) == 0) std::erase(client->second.unsent, number);
    Transmit(&client->second, later);
  }
  if (const auto it = objects_.find(r.object); it != objects_.end()) {
    if (Holder* holder = FindHolder(it->second, r.session); holder != nullptr) {
      std::erase(holder->recalls, number);
      if (r.kind == OMFS_RECALL_DROP) holder->caps &= ~r.caps;
    }
    NoteIfUncached(r.object, later);
    RemoveHolderIfIdle(r.object, r.session);
  }
  for (Ticket* ticket : o.tickets) {
    ticket->unanswered_.erase(number);
    if (ticket->unanswered_.empty() && ticket->resume_) {
      later->run.push_back(std::exchange(ticket->resume_, nullptr));
    }
  }
  for (auto& done : o.done) {
    if (done.use_count() == 1) later->run.push_back(std::move(*done));
  }
}

void CapTable::GiveBack(SessionId session, const omfs_fh& fh, uint64_t seq) {
  Later later;
  {
    std::lock_guard lock(mutex_);
    const auto it = objects_.find(fh);
    if (it == objects_.end()) return;
    Holder* holder = FindHolder(it->second, session);
    if (holder == nullptr || holder->seq > seq) return;
    holder->caps = 0;
    NoteIfUncached(fh, &later);
    RemoveHolderIfIdle(fh, session);
  }
  Do(std::move(later));
}

void CapTable::NoteIfUncached(const omfs_fh& fh, Later* later) {
  const auto it = objects_.find(fh);
  const bool cached =
      it != objects_.end() &&
      std::ranges::any_of(it->second.holders, [](const Holder& h) { return h.caps != 0; });
  if (!cached && idle_) later->idle.push_back(fh);
}

bool CapTable::Cached(const omfs_fh& fh) const {
  std::lock_guard lock(mutex_);
  const auto it = objects_.find(fh);
  return it != objects_.end() &&
         std::ranges::any_of(it->second.holders, [](const Holder& h) { return h.caps != 0; });
}

void CapTable::RecallEverything() {
  Later later;
  {
    std::lock_guard lock(mutex_);
    for (auto& [fh, object] : objects_) {
      for (Holder& holder : object.holders) BringHome(fh, holder, OMFS_CAP_ALL, {}, &later);
    }
  }
  Do(std::move(later));
}

void CapTable::StartGrace(std::vector<SessionId> sessions) {
  std::lock_guard lock(mutex_);
  expected_.insert(sessions.begin(), sessions.end());
}

bool CapTable::in_grace() const {
  std::lock_guard lock(mutex_);
  return !expected_.empty();
}

void CapTable::EndGrace() {
  Later later;
  {
    std::lock_guard lock(mutex_);
    for (const SessionId session : std::vector<SessionId>(expected_.begin(), expected_.end())) {
      LeaveGrace(session, &later);
    }
  }
  Do(std::move(later));
}

void CapTable::LeaveGrace(SessionId session, Later* later) {
  if (expected_.erase(session) == 0 || !expected_.empty()) return;
  for (Ticket* ticket : std::exchange(in_grace_, {})) {
    ticket->in_grace_ = false;
    if (ticket->resume_) later->run.push_back(std::exchange(ticket->resume_, nullptr));
  }
}

void CapTable::Reconnected(SessionId session) {
  Later later;
  {
    std::lock_guard lock(mutex_);
    Client& client = clients_[session];
    client.connected = true;
    LeaveGrace(session, &later);
    for (const uint64_t number : client.sent) later.send.push_back(outstanding_.at(number).recall);
    Transmit(&client, &later);
  }
  Do(std::move(later));
}

void CapTable::EndSession(SessionId session) {
  Later later;
  {
    std::lock_guard lock(mutex_);
    LeaveGrace(session, &later);
    const auto it = clients_.find(session);
    Client client;
    if (it != clients_.end()) {
      client = std::move(it->second);
      clients_.erase(it);
    }
    for (const omfs_fh& fh : client.objects) {
      const auto object = objects_.find(fh);
      if (object == objects_.end()) continue;
      Holder* holder = FindHolder(object->second, session);
      if (holder == nullptr) continue;
      holder->caps = 0;
      holder->readers = holder->writers = 0;
      // The last answer removes the holder.
      for (const uint64_t number : std::vector<uint64_t>(holder->recalls)) Answered(number, &later);
      NoteIfUncached(fh, &later);
      RemoveHolderIfIdle(fh, session);
    }
  }
  Do(std::move(later));
}

std::vector<SessionId> CapTable::Overdue(Clock::duration age) const {
  std::lock_guard lock(mutex_);
  std::vector<SessionId> sessions;
  const auto limit = Clock::now() - age;
  for (const auto& [number, o] : outstanding_) {
    if (o.since < limit && std::ranges::find(sessions, o.recall.session) == sessions.end()) {
      sessions.push_back(o.recall.session);
    }
  }
  return sessions;
}

void CapTable::RecallFromAll(const omfs_fh& fh, uint32_t caps, std::string_view entry,
                             std::function<void()> done) {
  Later later;
  auto shared = std::make_shared<std::function<void()>>(std::move(done));
  {
    std::lock_guard lock(mutex_);
    if (const auto it = objects_.find(fh); it != objects_.end()) {
      for (Holder& holder : it->second.holders) {
        for (const uint64_t number : BringHome(fh, holder, caps, entry, &later)) {
          outstanding_.at(number).done.push_back(shared);
        }
      }
    }
    if (shared.use_count() == 1) later.run.push_back(std::move(*shared));
    shared.reset();  // before the last answer can come
  }
  Do(std::move(later));
}

CapTable::Stats CapTable::stats() const {
  std::lock_guard lock(mutex_);
  Stats s;
  s.objects = objects_.size();
  for (const auto& [session, client] : clients_) s.grants += client.objects.size();
  s.recalls_unanswered = outstanding_.size();
  s.recalls = recalls_;
  s.waits = waits_;
  return s;
}

CapTable::Holder* CapTable::FindHolder(Object& object, SessionId session) {
  const auto it = std::ranges::find(object.holders, session, &Holder::session);
  return it != object.holders.end() ? &*it : nullptr;
}

CapTable::Holder& CapTable::HolderOf(const omfs_fh& fh, Object& object, SessionId session) {
  if (Holder* found = FindHolder(object, session); found != nullptr) return *found;
  clients_[session].objects.insert(fh);
  Holder& made = object.holders.emplace_back();
  made.session = session;
  return made;
}

void CapTable::RemoveHolderIfIdle(const omfs_fh& fh, SessionId session) {
  const auto it = objects_.find(fh);
  if (it == objects_.end()) return;
  const Holder* holder = FindHolder(it->second, session);
  if (holder == nullptr || holder->caps != 0 || holder->readers + holder->writers != 0 ||
      !holder->recalls.empty()) {
    return;
  }
  std::erase_if(it->second.holders, [&](const Holder& h) { return h.session == session; });
  if (const auto client = clients_.find(session); client != clients_.end())
    client->second.objects.erase(fh);
  DropIfIdle(fh);
}

void CapTable::DropIfIdle(const omfs_fh& fh) {
  const auto it = objects_.find(fh);
  if (it != objects_.end() && it->second.idle()) objects_.erase(it);
}

void CapTable::Do(Later later) {
  for (const CapRecall& recall : later.send) send_(recall);
  for (const omfs_fh& fh : later.idle) idle_(fh);
  for (const auto& run : later.run) run();
}

}  // namespace omfs
