#include "omfs/server/native_guard.h"

#include <sys/stat.h>

#include <mutex>

#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr uint32_t kData = OMFS_CAP_F | OMFS_CAP_W;
constexpr uint32_t kNames = OMFS_CAP_A | OMFS_CAP_L;

void Nothing() {}

}  // namespace

absl::Status NativeGuard::Start(const NativeWatch::Options& options) {
  OMFS_ASSIGN_OR_RETURN(watch_, NativeWatch::Start(tree_, this, options));
  return absl::OkStatus();
}

void NativeGuard::Stop() {
  std::unique_ptr<NativeWatch> watch;
  {
    std::lock_guard alone(mutex_);
    watch = std::move(watch_);
  }
}

uint32_t NativeGuard::Permitted(const Inode& object, uint32_t wanted) {
  if (watch_ == nullptr || watch_->rung() == NativeWatch::Rung::kNone) return 0;
  const bool delays = (wanted & OMFS_CAP_W) != 0;
  if (!watch_->Watch(object, delays ? NativeWatch::Guard::kOpeners : NativeWatch::Guard::kWriters)
           .ok())
    return 0;
  if (S_ISREG(object.type()) && (wanted & kData) != 0) {
    const NativeUse use = watch_->Use(object);
    if (use == NativeUse::kWriting) wanted &= ~kData;
    if (use == NativeUse::kReading) wanted &= ~OMFS_CAP_W;
  }
  return wanted;
}

CapGrant NativeGuard::Grant(SessionId session, const Inode& object, uint32_t wanted,
                            std::string_view entry, uint64_t seq) {
  std::shared_lock granting(mutex_);
  const CapGrant grant =
      caps_->Grant(session, object.handle(), Permitted(object, wanted), entry, seq);
  granting.unlock();
  // Perhaps it was watched in vain.
  if (wanted != 0 && grant.caps == 0) Idle(object.handle());
  return grant;
}

CapTable::Verdict NativeGuard::Acquire(CapTable::Ticket* ticket, SessionId session,
                                       const Inode& object, std::function<void()> resume,
                                       CapGrant* grant) {
  std::shared_lock granting(mutex_);
  if ((Permitted(object, OMFS_CAP_F) & OMFS_CAP_F) == 0) {
    *grant = {0, caps_->NextSeq()};
    return CapTable::Verdict::kGo;
  }
  return caps_->Acquire(ticket, session, object.handle(), std::move(resume), grant);
}

void NativeGuard::Idle(const omfs_fh& object) {
  std::lock_guard alone(mutex_);
  if (watch_ != nullptr && !caps_->Cached(object)) watch_->Unwatch(object);
}

NativeWatch::Rung NativeGuard::rung() const {
  return watch_ ? watch_->rung() : NativeWatch::Rung::kNone;
}
std::string NativeGuard::Describe() const { return watch_ ? watch_->Describe() : "not watched"; }

void NativeGuard::Opening(const omfs_fh& object, NativeUse use, std::function<void()> done) {
  // What a writer does from now on nobody is told.
  const uint32_t caps = use == NativeUse::kWriting ? kData : OMFS_CAP_W;
  caps_->RecallFromAll(object, caps, {}, std::move(done));
}

void NativeGuard::DataChanged(const omfs_fh& object) {
  caps_->RecallFromAll(object, kData, {}, Nothing);
}

void NativeGuard::AttributesChanged(const omfs_fh& object) {
  caps_->RecallFromAll(object, kNames, {}, Nothing);
}

void NativeGuard::EntryChanged(const omfs_fh& dir, std::string_view name) {
  caps_->RecallFromAll(dir, OMFS_CAP_L, name, Nothing);
}

void NativeGuard::Removed(const omfs_fh& object) {
  caps_->RecallFromAll(object, kNames, {}, Nothing);
  tree_->Removed(object);
}

void NativeGuard::Overflow() {
  SPDLOG_WARN("native changes: reports were lost, all caps are taken back");
  caps_->RecallEverything();
}

}  // namespace omfs
