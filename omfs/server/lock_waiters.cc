#include "omfs/server/lock_waiters.h"

#include <algorithm>
#include <chrono>

#include "omfs/server/identity.h"
#include "omfs/server/session.h"

namespace omfs {
namespace {

constexpr auto kNativePoll = std::chrono::milliseconds(10);

}  // namespace

void LockWaiters::Start(TryAgain try_again, GiveUp give_up) {
  try_again_ = std::move(try_again);
  give_up_ = std::move(give_up);
  thread_ = std::thread([this] { Run(); });
}

void LockWaiters::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LockWaiters::Park(std::shared_ptr<Operation> operation, InodeRef object) {
  const Header& h = operation->header();
  const WaitKey key{operation->session().id(), h.slot, h.sequence};
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      // Due at once: the lock may have been released since it was tried.
      waiters_.push_back({std::move(operation), key, std::move(object)});
    }
  }
  if (operation != nullptr) {
    give_up_(operation, Errno(EINTR));
  } else {
    changed_.notify_all();
  }
}

void LockWaiters::Wake(const omfs_fh& object) {
  bool any = false;
  {
    std::lock_guard lock(mutex_);
    for (Waiter& w : waiters_) {
      if (!HandleEqual()(w.object->handle(), object)) continue;
      w.due = true;
      any = true;
    }
  }
  if (any) changed_.notify_all();
}

void LockWaiters::Cancel(const WaitKey& key) {
  {
    std::lock_guard lock(mutex_);
    for (Waiter& w : waiters_) {
      if (w.key == key) w.cancelled = true;
    }
  }
  changed_.notify_all();
}

void LockWaiters::EndSession(SessionId session) {
  {
    std::lock_guard lock(mutex_);
    for (Waiter& w : waiters_) {
      if (w.key.session == session) w.cancelled = true;
    }
  }
  changed_.notify_all();
}

void LockWaiters::Run() {
  ThreadIdentity::Enter();
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto ready = [this] {
      return stopping_ ||
             std::ranges::any_of(waiters_, [](const Waiter& w) { return w.due || w.cancelled; });
    };
    if (waiters_.empty()) {
      changed_.wait(lock, [&] { return stopping_ || !waiters_.empty(); });
    } else if (!changed_.wait_for(lock, kNativePoll, ready)) {
      for (Waiter& w : waiters_) w.due = true;
    }
    if (stopping_) {
      for (Waiter& w : waiters_) w.cancelled = true;
    }
    TryDue(&lock);
    if (stopping_ && waiters_.empty()) return;
  }
}

void LockWaiters::TryDue(std::unique_lock<std::mutex>* lock) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (!it->due && !it->cancelled) {
      ++it;
      continue;
    }
    it->due = false;
    const bool cancelled = it->cancelled;
    const std::shared_ptr<Operation> operation = it->operation;
    lock->unlock();
    bool done = true;
    if (cancelled) {
      give_up_(operation, Errno(EINTR));
    } else {
      done = try_again_(operation);
    }
    lock->lock();
    it = done ? waiters_.erase(it) : std::next(it);
  }
}

}  // namespace omfs
