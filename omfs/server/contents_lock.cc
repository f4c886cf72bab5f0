#include "omfs/server/contents_lock.h"

#include <algorithm>
#include <cstring>

namespace omfs {

struct ContentsLock::Entry {
  Range range;
  bool waiting;
};

struct ContentsLock::Shard {
  std::mutex mutex;
  std::condition_variable changed;
  // In order of arrival; no empty queues.
  std::unordered_map<omfs_fh, Queue, HandleHash, HandleEqual> files;  // guarded by mutex

  static bool Conflict(const Range& a, const Range& b) {
    return (a.kind == Kind::kChange || b.kind == Kind::kChange) && a.first < b.end && b.first < a.end;
  }
  static bool Free(Queue& queue, Queue::iterator entry) {
    return std::none_of(queue.begin(), entry, [&](const Entry& e) { return Conflict(e.range, entry->range); });
  }
  // mutex held.
  void Remove(const omfs_fh& file, Queue::iterator entry) {
    const auto it = files.find(file);
    it->second.erase(entry);
    if (it->second.empty()) {
      files.erase(it);
    } else if (std::ranges::any_of(it->second, &Entry::waiting)) {
      changed.notify_all();
    }
  }
};

ContentsLock::ContentsLock() {
  for (auto& shard : shards_) shard = std::make_unique<Shard>();
}
ContentsLock::~ContentsLock() = default;

std::optional<ContentsLock::Held> ContentsLock::Take(const omfs_fh& file, Range range, bool may_wait) {
  Shard* const shard = shards_[HandleHash()(file) % kShards].get();
  std::unique_lock lock(shard->mutex);
  Queue& queue = shard->files[file];  // stays where it is while it has an entry
  const auto entry = queue.insert(queue.end(), Entry{range, false});
  if (!Shard::Free(queue, entry)) {
    if (!may_wait) {
      shard->Remove(file, entry);
      return std::nullopt;
    }
    entry->waiting = true;
    shard->changed.wait(lock, [&] { return Shard::Free(queue, entry); });
    entry->waiting = false;
  }
  return Held(shard, file, entry);
}

ContentsLock::Held::~Held() {
  if (shard_ == nullptr) return;
  std::lock_guard lock(shard_->mutex);
  shard_->Remove(file_, entry_);
}

bool ContentsLock::Before(const omfs_fh& a, const omfs_fh& b) { return std::memcmp(&a, &b, sizeof a) < 0; }

}  // namespace omfs
