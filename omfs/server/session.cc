#include "omfs/server/session.h"

#include <algorithm>

#include "omfs/base/status.h"

namespace omfs {

Session::Session(const ClientRecord& client, uint32_t slots, uint32_t first_sequence,
                 OpenTable::Numbers* numbers)
    : client_(client),
      opens_(numbers),
      slots_(slots),
      last_used_(std::chrono::steady_clock::now()) {
  slots_[0].sequence = first_sequence;
}

Session::Admission Session::Admit(const Header& h, uint64_t digest,
                                  std::shared_ptr<Connection> connection) {
  std::lock_guard lock(mutex_);
  last_used_ = std::chrono::steady_clock::now();
  const auto misordered = [](std::string why) {
    return Admission{Verdict::kMisordered, std::move(why), 0, {}, {}};
  };
  if (ended_) return misordered("the session has ended");
  if (h.slot >= slots_.size()) return misordered(fmt::format("slot {} was not granted", h.slot));
  Slot& slot = slots_[h.slot];
  if (h.sequence == slot.sequence + 1 || (slot.restored && h.sequence > slot.sequence)) {
    if (slot.busy) return misordered(fmt::format("slot {} is in use", h.slot));
    slot = Slot();
    slot.sequence = h.sequence;
    slot.busy = true;
    slot.op = h.op;
    slot.digest = digest;
    slot.reply_to = std::move(connection);
    return {Verdict::kRun, "", 0, {}, {}};
  }
  if (h.sequence != slot.sequence || h.sequence == 0) {
    return misordered(
        fmt::format("slot {}: sequence {} after {}", h.slot, h.sequence, slot.sequence));
  }
  if ((slot.busy || slot.kept || slot.intent) && (slot.op != h.op || slot.digest != digest)) {
    return misordered(fmt::format("slot {}: another request with sequence {}", h.slot, h.sequence));
  }
  if (slot.busy) {
    slot.reply_to = std::move(connection);
    return {Verdict::kUnderWay, "", 0, {}, {}};
  }
  if (slot.kept) return {Verdict::kAnswer, "", slot.status, slot.meta, {}};
  slot.busy = true;
  slot.op = h.op;
  slot.digest = digest;
  slot.reply_to = std::move(connection);
  Admission run{Verdict::kRun, "", 0, {}, std::move(slot.intent)};
  slot.intent.reset();
  return run;
}

std::shared_ptr<Connection> Session::Finish(const Header& h, bool keep, uint64_t digest,
                                            uint32_t status, std::span<const std::byte> meta) {
  std::lock_guard lock(mutex_);
  last_used_ = std::chrono::steady_clock::now();
  Slot& slot = slots_[h.slot];
  slot.busy = false;
  slot.kept = keep;
  if (keep) {
    slot.digest = digest;
    slot.status = status;
    slot.meta.assign(meta.begin(), meta.end());
  }
  return std::move(slot.reply_to);
}

void Session::Restore(std::span<const std::pair<uint16_t, SlotRecord>> records) {
  std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) slot.restored = true;
  for (const auto& [index, record] : records) {
    if (index >= slots_.size()) continue;
    Slot& slot = slots_[index];
    slot.sequence = record.sequence;
    slot.op = record.op;
    slot.digest = record.digest;
    // The reply to a CREATE names an open that is gone: that request is concluded like a dangling
    // intent.
    const bool done = record.state == SlotRecord::State::kDone;
    const bool still_true = done && (record.op != OMFS_OP_CREATE || record.status != 0);
    if (still_true) {
      slot.kept = true;
      slot.status = record.status;
      slot.meta = record.meta;
    } else {
      slot.intent = record;
    }
  }
}

void Session::Touch() {
  std::lock_guard lock(mutex_);
  last_used_ = std::chrono::steady_clock::now();
}

std::chrono::steady_clock::time_point Session::last_used() const {
  std::lock_guard lock(mutex_);
  return last_used_;
}

bool Session::being_read() const {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(connections_, [](const auto& weak) {
    const auto connection = weak.lock();
    return connection != nullptr && connection->handling();
  });
}

void Session::Attach(const std::shared_ptr<Connection>& connection) {
  std::lock_guard lock(mutex_);
  std::erase_if(connections_, [](const auto& c) { return c.expired(); });
  connections_.push_back(connection);
}

void Session::AttachRecalls(const std::shared_ptr<Connection>& connection) {
  std::lock_guard lock(mutex_);
  if (const auto old = recalls_.lock()) old->Close();
  recalls_ = connection;
}

std::shared_ptr<Connection> Session::recalls() const {
  std::lock_guard lock(mutex_);
  return recalls_.lock();
}

void Session::End() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  for (const auto& weak : connections_) {
    if (auto connection = weak.lock()) connection->Close();
  }
}

bool Session::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

}  // namespace omfs
