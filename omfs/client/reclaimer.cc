#include "omfs/client/reclaimer.h"

#include <algorithm>
#include <chrono>

#include "omfs/base/log.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstRetry{50};
constexpr milliseconds kLastRetry{1000};

}  // namespace

Reclaimer::Reclaimer(Link* link, MakeGood make_good) : link_(link), make_good_(std::move(make_good)) {
  link_->SetReclaimListener([this] {
    std::lock_guard lock(mu_);
    wake_.notify_all();
  });
  thread_ = std::thread([this] { Run(); });
}

Reclaimer::~Reclaimer() {
  link_->SetReclaimListener(nullptr);
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void Reclaimer::Add(const RemoteOpenRef& open) {
  std::lock_guard lock(mu_);
  opens_[open.get()] = open;
  if (opens_.size() < purge_at_) return;
  std::erase_if(opens_, [](const auto& item) { return item.second.expired(); });
  purge_at_ = std::max<size_t>(1024, opens_.size() * 2);
}

void Reclaimer::Remove(const RemoteOpen* open) {
  std::lock_guard lock(mu_);
  opens_.erase(open);
}

std::vector<RemoteOpenRef> Reclaimer::Opens() {
  std::vector<RemoteOpenRef> opens;
  std::lock_guard lock(mu_);
  for (const auto& [address, weak] : opens_) {
    if (RemoteOpenRef open = weak.lock()) opens.push_back(std::move(open));
  }
  return opens;
}

void Reclaimer::Run() {
  uint64_t done = 1;  // the generation before the first connection has no opens
  milliseconds retry = kFirstRetry;
  std::unique_lock lock(mu_);
  while (!stopping_) {
    if (link_->generation() == done) {
      wake_.wait(lock);
      continue;
    }
    lock.unlock();
    const Link::Instance owner = link_->owner();
    const bool good = ReclaimAll(owner) && Report(owner);
    lock.lock();
    if (good) {
      done = owner.generation;
      retry = kFirstRetry;
    } else if (!stopping_) {
      wake_.wait_for(lock, retry);
      retry = std::min(retry * 2, kLastRetry);
    }
  }
}

bool Reclaimer::ReclaimAll(const Link::Instance& owner) {
  bool all = true;
  size_t count = 0;
  for (const RemoteOpenRef& open : Opens()) {
    {
      std::lock_guard lock(mu_);
      if (stopping_) return false;
    }
    const Errno e = make_good_(open);
    if (e.value == EHOSTDOWN || e.value == EIO) {
      // EIO also of an open that is lost for good, with its locks; that one is not tried again.
      all = all && open->lost();
    }
    ++count;
    if (link_->generation() != owner.generation) return false;
  }
  if (all && count > 0) spdlog::info("opens made again node={} opens={}", link_->node().value, count);
  return all;
}

bool Reclaimer::Report(const Link::Instance& owner) {
  if (!owner.knows_reclaimed) return true;
  omfs_reclaimed_req req{};
  req.epoch = Le64(owner.epoch);
  Call call;
  call.op = OMFS_OP_RECLAIMED;
  call.uses_open = true;  // of this generation only
  EncodeRequest(call.op, Credentials(), req, &call.meta);
  return link_->Execute(&call, owner.generation) == Outcome::kReplied;
}

}  // namespace omfs
