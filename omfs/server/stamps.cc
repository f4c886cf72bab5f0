#include "omfs/server/stamps.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"
#include "omfs/wire/attr.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// How far above the clock the bound in the store is set: it is written again when the clock has got there.
constexpr uint64_t kBoundAhead = 10 * kSecond;

uint64_t Nanoseconds(int64_t sec, uint32_t nsec) { return static_cast<uint64_t>(sec) * kSecond + nsec; }
uint64_t Nanoseconds(const statx_timestamp& t) { return t.tv_sec < 0 ? 0 : Nanoseconds(t.tv_sec, t.tv_nsec); }
timespec Timespec(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
}

void LogStoreError(const absl::Status& s) {
  if (!s.ok()) SPDLOG_ERROR("{}: a time stamp may go back after a restart", Text(s));
}

}  // namespace

absl::Status Stamps::Load() {
  OMFS_ASSIGN_OR_RETURN(const uint64_t bound, store_->ClockBound());
  if (bound > clock_->Physical() && !clock_->Merge(bound)) {
    SPDLOG_WARN("the clock has been set back by more than a day: time stamps of files will go back");
  }
  bound_ = bound;
  OMFS_ASSIGN_OR_RETURN(const uint64_t floors, store_->CountFloors());
  floors_ = floors;
  return absl::OkStatus();
}

Stamps::Change::Change(Stamps* stamps, std::initializer_list<omfs_fh> objects) : stamps_(stamps) {
  for (const omfs_fh& object : objects) {
    if (object.len != 0 && count_ < shards_.size()) shards_[count_++] = ShardOf(object);
  }
  const auto end = shards_.begin() + static_cast<ptrdiff_t>(count_);
  std::sort(shards_.begin(), end);
  count_ = static_cast<size_t>(std::unique(shards_.begin(), end) - shards_.begin());
  for (size_t i = 0; i < count_; ++i) stamps_->mutexes_[shards_[i]].lock();
}

Stamps::Change::~Change() {
  for (size_t i = count_; i > 0; --i) stamps_->mutexes_[shards_[i - 1]].unlock();
}

void Stamps::Change::Set(const omfs_fh& object, int fd, uint32_t what) {
  HybridClock& clock = *stamps_->clock_;
  if (!clock.Ahead()) {
    struct statx stx;
    if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_CTIME, &stx) == 0) clock.Shown(Nanoseconds(stx.stx_ctime));
    // The kernel's own stamp is above what has been seen so far, the floor included.
    stamps_->DropFloor(object);
    return;
  }
  const uint64_t stamp = clock.Next();
  stamps_->KeepBound(stamp);
  if (fd >= 0 && (what & (kModify | kAccess)) != 0) {
    const timespec at = Timespec(stamp);
    const timespec omit{0, UTIME_OMIT};
    const timespec times[2] = {(what & kAccess) ? at : omit, (what & kModify) ? at : omit};
    ThreadIdentity::BecomeDaemon();
    // It fails where nothing may be changed (chattr +i, +a): then the kernel's stamp stands.
    utimensat(AT_FDCWD, FdPath(fd).c_str(), times, 0);
  }
  stamps_->RaiseFloor(object, stamp);
}

void Stamps::Show(const omfs_fh& object, omfs_attr* attr) {
  const auto of = [](const omfs_time& t) {
    const auto sec = static_cast<int64_t>(Le64(t.sec));
    return sec < 0 ? 0 : Nanoseconds(sec, Le32(t.nsec));
  };
  const uint64_t ctime = of(attr->ctime);
  clock_->Shown(ctime);
  clock_->Shown(of(attr->mtime));
  if (floors_.load(std::memory_order_relaxed) == 0) return;
  const auto floor = store_->Floor(object);
  if (!floor.ok()) return LogStoreError(floor.status());
  if (*floor > ctime || (*floor != 0 && clock_->offset())) attr->ctime = ToWire(Timespec(*floor));
}

void Stamps::RaiseFloor(const omfs_fh& object, uint64_t stamp) {
  ThreadIdentity::BecomeDaemon();
  const auto added = store_->PutFloor(object, stamp);
  if (!added.ok()) return LogStoreError(added.status());
  if (*added) floors_.fetch_add(1, std::memory_order_relaxed);
}

void Stamps::DropFloor(const omfs_fh& object) {
  if (floors_.load(std::memory_order_relaxed) == 0) return;
  ThreadIdentity::BecomeDaemon();
  const auto dropped = store_->DropFloor(object);
  if (!dropped.ok()) return LogStoreError(dropped.status());
  if (*dropped) floors_.fetch_sub(1, std::memory_order_relaxed);
}

void Stamps::KeepBound(uint64_t stamp) {
  if (stamp < bound_.load(std::memory_order_relaxed)) return;
  std::lock_guard lock(bound_mutex_);
  if (stamp < bound_) return;
  ThreadIdentity::BecomeDaemon();
  LogStoreError(store_->PutClockBound(stamp + kBoundAhead));
  bound_ = stamp + kBoundAhead;
}

}  // namespace omfs
