#include "omfs-fuse/passthrough.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

// include/uapi/linux/fuse.h, 7.40.
constexpr uint64_t kPassthroughOffered = 1ull << 37;  // FUSE_PASSTHROUGH
constexpr uint32_t kOpenDirectIo = 1u << 0;           // FOPEN_DIRECT_IO
constexpr uint32_t kOpenPassthrough = 1u << 7;        // FOPEN_PASSTHROUGH
struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);

constexpr uid_t kNobody = 65534;

constexpr uint64_t Bit(int capability) { return 1ull << capability; }

struct Capabilities {
  __user_cap_data_struct words[2];

  static Capabilities OfThread() {
    Capabilities c{};
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    if (syscall(SYS_capget, &header, c.words) != 0) abort();
    return c;
  }
  bool Set() const {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capset, &header, words) == 0;
  }
  uint64_t effective() const { return words[0].effective | static_cast<uint64_t>(words[1].effective) << 32; }
  void set_effective(uint64_t bits) {
    words[0].effective = static_cast<uint32_t>(bits);
    words[1].effective = static_cast<uint32_t>(bits >> 32);
  }
};

// While it lives, this thread has the rights that the kernel is to write a file with; and the one it needs to register it.
class WritersRights {
 public:
  explicit WritersRights(bool roots) : own_(Capabilities::OfThread()), dumpable_(prctl(PR_GET_DUMPABLE)), roots_(roots) {
    Capabilities less = own_;
    less.set_effective(roots ? own_.effective() & ~Bit(CAP_FSETID) : own_.effective() & Bit(CAP_SYS_ADMIN));
    if (!roots_) setfsuid(kNobody);  // the file system's reserved blocks are for a user, too
    if (!less.Set()) abort();
  }
  // A thread that cannot take its own rights back must not go on with others.
  ~WritersRights() {
    if (!roots_) setfsuid(0);
    if (!own_.Set()) abort();
    if (dumpable_ == 1) prctl(PR_SET_DUMPABLE, 1);  // the kernel takes it away with each change of rights
  }
  WritersRights(const WritersRights&) = delete;
  WritersRights& operator=(const WritersRights&) = delete;

 private:
  const Capabilities own_;
  const int dumpable_;
  const bool roots_;
};

bool Writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

void Passthrough::Connected(int device, uint64_t offered) {
  device_ = device;
  const absl::Status probed = Probe(offered);
  std::lock_guard lock(mu_);
  known_ = true;
  active_ = probed.ok();
  if (!probed.ok()) why_not_ = Text(probed);
  connected_.notify_all();
}

// A file without a name in memory stands for all.
absl::Status Passthrough::Probe(uint64_t offered) {
  if (!options_.wanted) return absl::FailedPreconditionError(options_.why);
  if ((offered & kPassthroughOffered) == 0) return absl::UnavailableError("the kernel has no FUSE passthrough (Linux 6.9)");
  const ScopedFd file(memfd_create("omfs-passthrough", MFD_CLOEXEC));
  if (!file) return ErrnoStatus(errno, "memfd_create");
  const ErrnoOr<int32_t> id = RegisterDescriptor(file.get(), true);
  if (!id.ok()) return ErrnoStatus(id.error().value, "registering a backing file");
  Unregister(*id);
  return absl::OkStatus();
}

bool Passthrough::active() {
  if (active_) return true;
  std::unique_lock lock(mu_);
  connected_.wait(lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return known_; });
  return active_;
}

std::string Passthrough::why_not() {
  active();
  std::lock_guard lock(mu_);
  return why_not_;
}

Passthrough::Terms Passthrough::Enter(Backing* backing, const Open& open,
                                      const std::function<ErrnoOr<ScopedFd>()>& descriptor) {
  std::lock_guard lock(backing->mu_);
  if (backing->mode_ == Backing::Mode::kUnused) Decide(backing, open, descriptor);
  Terms terms;
  if (backing->mode_ == Backing::Mode::kBacked) {
    if ((open.flags & O_DIRECT) != 0 && !HasDirectIo(descriptor)) {
      terms.refused = Errno(EINVAL);
    } else {
      const bool root = open.uid == 0 && !options_.root_is_nobody;
      const bool set_id = (open.mode & (S_ISUID | S_ISGID)) != 0;
      const bool served = (open.flags & O_APPEND) != 0 || (Writes(open.flags) && (root != backing->with_roots_rights_ || set_id));
      terms.open_flags = kOpenPassthrough | (served ? kOpenDirectIo : 0);
      terms.backing_id = backing->id_;
    }
  }
  ++backing->opens_;
  if (!terms.refused.ok()) Part(backing);
  return terms;
}

void Passthrough::Decide(Backing* backing, const Open& open, const std::function<ErrnoOr<ScopedFd>()>& descriptor) {
  backing->mode_ = Backing::Mode::kServed;
  if (!active()) return;
  if (registered_.fetch_add(1) >= options_.most) {
    --registered_;
    return;
  }
  const bool with_roots_rights = open.uid == 0 && !options_.root_is_nobody;
  const int32_t id = Register(descriptor, with_roots_rights);
  if (id == 0) {
    --registered_;
    return;
  }
  backing->mode_ = Backing::Mode::kBacked;
  backing->id_ = id;
  backing->with_roots_rights_ = with_roots_rights;
  backing->backed_ = true;
}

void Passthrough::Leave(Backing* backing) {
  std::lock_guard lock(backing->mu_);
  Part(backing);
}

void Passthrough::Part(Backing* backing) {
  if (--backing->opens_ != 0) return;
  if (backing->mode_ == Backing::Mode::kBacked) {
    Unregister(backing->id_);
    --registered_;
  }
  backing->mode_ = Backing::Mode::kUnused;
  backing->backed_ = false;
}

int32_t Passthrough::Register(const std::function<ErrnoOr<ScopedFd>()>& descriptor, bool with_roots_rights) {
  const ErrnoOr<ScopedFd> fd = descriptor();
  if (!fd.ok()) {
    Refused("omfsd gives no descriptor", fd.error());
    return 0;
  }
  const ErrnoOr<int32_t> id = RegisterDescriptor(fd->get(), with_roots_rights);
  if (!id.ok()) {
    Refused("the kernel does not take the backing file", id.error());
    return 0;
  }
  return *id;
}

ErrnoOr<int32_t> Passthrough::RegisterDescriptor(int fd, bool with_roots_rights) {
  BackingMap map{fd, 0, 0};
  const WritersRights rights(with_roots_rights);
  const int id = ioctl(device_, kBackingOpen, &map);
  if (id < 0) return Errno::Last();
  if (id == 0) return Errno(EPROTO);
  return id;
}

void Passthrough::Unregister(int32_t id) {
  const auto number = static_cast<uint32_t>(id);
  if (ioctl(device_, kBackingClose, &number) != 0) spdlog::debug("backing file {}: {}", id, strerror(errno));
}

void Passthrough::Refused(const char* what, Errno e) {
  if (refusal_logged_.exchange(true)) return;
  spdlog::warn("passthrough: a file is served without: {}: {} (said once)", what, strerror(e.value));
}

// Found out with the first open that asks for it; any file is like the others.
bool Passthrough::HasDirectIo(const std::function<ErrnoOr<ScopedFd>()>& descriptor) {
  if (direct_io_ == DirectIo::kUnknown) {
    const ErrnoOr<ScopedFd> path = descriptor();
    if (!path.ok()) return false;
    const std::string name = fmt::format("/proc/self/fd/{}", path->get());
    const ScopedFd file(::open(name.c_str(), O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno != EINVAL) return true;  // let the kernel try
    direct_io_ = file ? DirectIo::kYes : DirectIo::kNo;
  }
  return direct_io_ == DirectIo::kYes;
}

}  // namespace omfs
