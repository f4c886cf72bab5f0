#include "omfs/server/native_watch.h"

#include <fcntl.h>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/fanotify_watch.h"

namespace omfs {
namespace {

// Linux 6.19, <linux/fcntl.h>.
constexpr int kGetDelegation = 1024 + 15;
struct Delegation {
  uint32_t flags;
  uint16_t type;
  uint16_t pad;
};

// Older kernels: EINVAL, as for any command they do not know.
bool KernelHasDelegations(const Inode& directory) {
  ScopedFd fd(openat(directory.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Delegation delegation{};
  return fd && fcntl(fd.get(), kGetDelegation, &delegation) == 0;
}

class NoWatch : public NativeWatch {
 public:
  explicit NoWatch(absl::Status reason) : reason_(std::move(reason)) {}
  Rung rung() const override { return Rung::kNone; }
  std::string Describe() const override {
    return fmt::format("none, so nothing may be cached: {}", Text(reason_));
  }
  absl::Status Watch(const Inode&, Guard) override { return reason_; }
  void Unwatch(const omfs_fh&) override {}
  NativeUse Use(const Inode&) override { return NativeUse::kWriting; }

 private:
  const absl::Status reason_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<NativeWatch>> NativeWatch::Start(Export* e, Listener* listener,
                                                                const Options& options) {
  const bool delegations = KernelHasDelegations(*e->root());
  auto watch = FanotifyWatch::Start(e, listener, options, delegations);
  if (watch.ok()) return watch;
  if (!absl::IsUnavailable(watch.status())) return watch.status();
  return std::make_unique<NoWatch>(watch.status());
}

}  // namespace omfs
