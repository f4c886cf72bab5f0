#include "omfs-fuse/entry_notifier.h"

#include <vector>

namespace omfs {
namespace {

constexpr std::chrono::milliseconds kPatience{3};

}  // namespace

EntryNotifier::EntryNotifier(std::shared_ptr<KernelCache> kernel) : kernel_(std::move(kernel)) {
  watch_ = std::thread([this] { Watch(); });
}

EntryNotifier::~EntryNotifier() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  watch_.join();
}

void EntryNotifier::Forget(fuse_ino_t dir, const std::string& name, std::function<void()> answer) {
  if (!kernel_->keeps_names()) return answer();  // it has none
  auto pending =
      std::make_shared<Pending>(dir, std::chrono::steady_clock::now(), std::move(answer));
  std::unique_lock lock(mu_);
  if (changing_.contains(dir)) {
    lock.unlock();
    kernel_->ForgetAllEntries();
    return pending->answer();
  }
  pending_.push_back(pending);
  if (pending_.size() == 1) changed_.notify_all();
  lock.unlock();
  kernel_->ForgetEntry(dir, name);
  lock.lock();
  pending_.remove(pending);
  lock.unlock();
  pending->answer();  // perhaps for the second time, which does nothing
}

void EntryNotifier::Rescue(std::unique_lock<std::mutex>& lock,
                           const std::function<bool(const Pending&)>& which) {
  std::vector<std::shared_ptr<Pending>> rescued;
  for (auto it = pending_.begin(); it != pending_.end();) {
    const auto next = std::next(it);
    if (which(**it)) rescued.push_back(*it), pending_.erase(it);
    it = next;
  }
  if (rescued.empty()) return;
  lock.unlock();
  kernel_->ForgetAllEntries();
  for (const auto& p : rescued) p->answer();
  lock.lock();
}

void EntryNotifier::Watch() {
  std::unique_lock lock(mu_);
  while (!stopping_) {
    if (pending_.empty()) {
      changed_.wait(lock);
      continue;
    }
    changed_.wait_for(lock, kPatience);
    const auto limit = std::chrono::steady_clock::now() - kPatience;
    Rescue(lock, [&](const Pending& p) { return p.since <= limit; });
  }
}

EntryNotifier::ChangeScope::ChangeScope(EntryNotifier* notifier, fuse_ino_t dir)
    : notifier_(notifier), dir_(dir) {
  if (notifier_ == nullptr) return;
  std::unique_lock lock(notifier_->mu_);
  ++notifier_->changing_[dir];
  if (!notifier_->pending_.empty())
    notifier_->Rescue(lock, [&](const Pending& p) { return p.dir == dir; });
}

EntryNotifier::ChangeScope::~ChangeScope() {
  if (notifier_ == nullptr) return;
  std::lock_guard lock(notifier_->mu_);
  const auto it = notifier_->changing_.find(dir_);
  if (--it->second == 0) notifier_->changing_.erase(it);
}

}  // namespace omfs
