#include "omfs/server/orphans.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"

namespace omfs {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{200};
constexpr std::chrono::milliseconds kLastRetry{30'000};

fdkeeper::Key KeyOf(const omfs_fh& handle) {
  fdkeeper::Key key;
  static_assert(sizeof key == sizeof handle);
  memcpy(key.data(), &handle, sizeof handle);
  return key;
}

omfs_fh HandleOf(const fdkeeper::Key& key) {
  omfs_fh handle;
  memcpy(&handle, key.data(), sizeof handle);
  return handle;
}

struct Names {
  uint32_t count = 1;
  bool directory = false;

  // The next removal may be that of the last one.
  bool last() const { return count <= 1 || directory; }
};

// Of what cannot be asked it is assumed that it has one.
Names NamesOf(int fd) {
  struct statx stx;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_NLINK, &stx) != 0) return {};
  return {stx.stx_nlink, S_ISDIR(stx.stx_mode)};
}

}  // namespace

Orphans::Orphans(Export* tree) : tree_(tree), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  tree_->SetFallback([this](const omfs_fh& handle) { return Find(handle); });
}

void Orphans::Start(const Options& options, const std::vector<ClientId>& known) {
  options_ = options;
  std::unique_ptr<fdkeeper::FdKeeper> keeper;
  if (!options_.keeper.program.empty()) {
    auto reached = fdkeeper::FdKeeper::Reach(options_.keeper);
    auto left = reached.ok() ? (*reached)->All() : reached.status();
    std::lock_guard lock(mutex_);
    awaiting_.insert(known.begin(), known.end());
    grace_end_ = std::chrono::steady_clock::now() + options_.grace;
    if (left.ok()) {
      for (auto& [key, fd] : *left) {
        const omfs_fh handle = HandleOf(key);
        // What was handed over before an unlink that has not happened, or is another export's, Refill drops.
        if (!InGrace() || !tree_->Genuine(handle) || NamesOf(fd.get()).count != 0) continue;
        Entry& entry = entries_[handle];
        entry.left = std::move(fd);
        entry.awaited = entry.kept = true;
      }
      if (!entries_.empty()) {
        SPDLOG_INFO("nameless files kept over the restart: {}; clients that may have them open: {}", entries_.size(),
                    awaiting_.size());
      }
      keeper = std::move(*reached);
    } else {
      SPDLOG_ERROR("no fd-keeper, files without a name do not outlive this daemon: {}", Text(left.status()));
    }
  }
  if (keeper != nullptr) Refill(std::move(keeper));
  if (!options_.keeper.program.empty()) watching_ = std::thread([this] { Watch(); });
}

void Orphans::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  Poke();
  if (watching_.joinable()) watching_.join();
  std::lock_guard lock(mutex_);
  keeper_.reset();
}

Orphans::Hold Orphans::Opened(const InodeRef& inode) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[inode->handle()];
  if (entry.inode == nullptr) entry.inode = inode;
  ++entry.opens;
  return Hold(this, inode->handle());
}

void Orphans::Closed(const omfs_fh& handle) {
  Closing closing;
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(handle);
  if (it == entries_.end()) return;
  --it->second.opens;
  EraseIfUnused(it, &closing);
}

Orphans::Removal::Removal(Orphans* owner, const ErrnoOr<omfs_fh>& object)
    : owner_(object.ok() && owner->BeginRemoval(*object) ? owner : nullptr) {
  if (owner_ != nullptr) handle_ = *object;
}

Orphans::Removal::~Removal() {
  if (owner_ != nullptr) owner_->EndRemoval(handle_);
}

bool Orphans::BeginRemoval(const omfs_fh& handle) {
  InodeRef unknown;
  {
    std::unique_lock lock(mutex_);
    if (!entries_.contains(handle)) {
      if (!InGrace()) return false;
      lock.unlock();
      const auto found = tree_->Resolve(handle);
      if (!found.ok()) return false;
      unknown = *found;
    }
  }
  std::lock_guard lock(mutex_);
  const auto it = unknown != nullptr ? entries_.try_emplace(handle).first : entries_.find(handle);
  if (it == entries_.end()) return false;  // closed meanwhile
  Entry& entry = it->second;
  if (entry.fd() < 0) {
    entry.inode = std::move(unknown);
    entry.awaited = true;
  }
  ++entry.removals;
  if (!entry.kept && NamesOf(entry.fd()).last()) Keep(handle, &entry);
  return true;
}

void Orphans::EndRemoval(const omfs_fh& handle) {
  Closing closing;
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(handle);
  if (it == entries_.end()) return;
  --it->second.removals;
  SettleLocked(it, &closing);
}

void Orphans::Settle(const omfs_fh& handle) {
  Closing closing;
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(handle);
  if (it != entries_.end()) SettleLocked(it, &closing);
}

void Orphans::SettleLocked(Map::iterator it, Closing* closing) {
  Entry& entry = it->second;
  if (NamesOf(entry.fd()).count == 0) {
    // Another than those that have it open now may not be back yet.
    entry.awaited = entry.awaited || InGrace();
    if (!entry.kept) Keep(it->first, &entry);
  } else {
    // It will be found by its handle.
    entry.awaited = false;
    if (entry.removals == 0) Release(it->first, &entry);
  }
  EraseIfUnused(it, closing);
}

void Orphans::EraseIfUnused(Map::iterator it, Closing* closing) {
  Entry& entry = it->second;
  if (entry.opens > 0 || entry.removals > 0 || (entry.awaited && InGrace())) return;
  Release(it->first, &entry);
  closing->push_back(std::move(entry));
  entries_.erase(it);
}

void Orphans::Keep(const omfs_fh& handle, Entry* entry) {
  entry->kept = true;
  if (keeper_ != nullptr && !stopping_ && !keeper_->Put(KeyOf(handle), entry->fd())) Poke();
}

void Orphans::Release(const omfs_fh& handle, Entry* entry) {
  if (!std::exchange(entry->kept, false)) return;
  if (keeper_ != nullptr && !stopping_ && !keeper_->Drop(KeyOf(handle))) Poke();
}

ScopedFd Orphans::Find(const omfs_fh& handle) {
  std::lock_guard lock(mutex_);
  const auto it = entries_.find(handle);
  if (it == entries_.end()) return ScopedFd();
  return ScopedFd(fcntl(it->second.fd(), F_DUPFD_CLOEXEC, 0));
}

void Orphans::Reclaimed(const ClientId& client) {
  Closing closing;
  std::lock_guard lock(mutex_);
  if (awaiting_.erase(client) > 0 && awaiting_.empty()) EndGrace("all clients have their opens again", &closing);
}

void Orphans::EndGrace(const char* why, Closing* closing) {
  awaiting_.clear();
  size_t dropped = 0;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto next = std::next(it);
    if (std::exchange(it->second.awaited, false)) {
      const size_t before = closing->size();
      EraseIfUnused(it, closing);
      dropped += closing->size() - before;
    }
    it = next;
  }
  SPDLOG_INFO("opens reclaimed: {}; nameless files let go: {}", why, dropped);
}

void Orphans::Tick() {
  Closing closing;
  std::vector<std::pair<omfs_fh, InodeRef>> named;
  {
    std::lock_guard lock(mutex_);
    if (InGrace() && std::chrono::steady_clock::now() > grace_end_) EndGrace("the time for it is over", &closing);
    if (keeper_ == nullptr) return;
    for (const auto& [handle, entry] : entries_) {
      if (!entry.kept && entry.inode != nullptr) named.emplace_back(handle, entry.inode);
    }
  }
  for (const auto& [handle, inode] : named) {
    if (NamesOf(inode->fd()).count == 0) Settle(handle);
  }
}

Orphans::Stats Orphans::stats() const {
  std::lock_guard lock(mutex_);
  const auto kept = std::ranges::count_if(entries_, [](const auto& item) { return item.second.kept; });
  return {static_cast<size_t>(kept), keeper_ != nullptr};
}

// ---- the keeper's death ----

void Orphans::Poke() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
}

void Orphans::Watch() {
  ThreadIdentity::Enter();
  std::chrono::milliseconds retry = kFirstRetry;
  std::string reported;
  for (;;) {
    std::shared_ptr<fdkeeper::FdKeeper> keeper;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      keeper = keeper_;
    }
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {keeper != nullptr ? keeper->socket() : -1, POLLIN, 0}};
    poll(fds, 2, keeper != nullptr ? -1 : static_cast<int>(retry.count()));
    uint64_t drained;
    const bool poked = fds[0].revents != 0 && read(wake_.get(), &drained, sizeof drained) > 0;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      if (keeper != nullptr && (poked || fds[1].revents != 0)) {
        SPDLOG_WARN("the fd-keeper is lost, starting another");
        keeper_.reset();
        retry = kFirstRetry;
      }
      if (keeper_ != nullptr) continue;
    }
    keeper.reset();
    auto next = fdkeeper::FdKeeper::Reach(options_.keeper);
    if (next.ok()) {
      Refill(std::move(*next));
      continue;
    }
    retry = std::min(retry * 2, kLastRetry);
    if (reported != Text(next.status())) SPDLOG_ERROR("no fd-keeper: {}", Text(next.status()));
    reported = Text(next.status());
  }
}

void Orphans::Refill(std::unique_ptr<fdkeeper::FdKeeper> keeper) {
  const auto held = keeper->All();
  if (!held.ok()) return;  // tried again
  Closing closing;
  std::lock_guard lock(mutex_);
  bool good = true;
  std::set<fdkeeper::Key> there;
  for (const auto& [key, fd] : *held) {
    const auto it = entries_.find(HandleOf(key));
    if (it == entries_.end() || !it->second.kept) {
      good = good && keeper->Drop(key);
    } else {
      there.insert(key);
    }
  }
  for (const auto& [handle, entry] : entries_) {
    if (entry.kept && !there.contains(KeyOf(handle))) good = good && keeper->Put(KeyOf(handle), entry.fd());
  }
  if (good) keeper_ = std::move(keeper);
}

}  // namespace omfs
