#include "omfs/server/identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <mutex>

#include "omfs/base/log.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr mode_t kDaemonUmask = 022;

struct State {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = kDaemonUmask;
  std::vector<uint32_t> groups;
};
thread_local State state;

int& ProcFdDir() {
  static int fd = -1;
  return fd;
}

bool SetUid(uint32_t uid) { return syscall(SYS_setresuid, -1, uid, -1) == 0; }
bool SetGid(uint32_t gid) { return syscall(SYS_setresgid, -1, gid, -1) == 0; }

// A thread that cannot take its own rights back must not go on with anybody else's.
[[noreturn]] void Die(const char* what) {
  SPDLOG_CRITICAL("cannot {}: {}", what, strerror(errno));
  abort();
}

}  // namespace

absl::Status ThreadIdentity::Prepare() {
  if (geteuid() != 0) return FailedPrecondition("the server must run as root");
  ScopedFd dir(open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct statfs fs;
  if (!dir || fstatfs(dir.get(), &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) {
    return FailedPrecondition("/proc is not mounted");
  }
  static std::once_flag once;
  std::call_once(once, [&] { ProcFdDir() = dir.release(); });
  return absl::OkStatus();
}

void ThreadIdentity::Enter() {
  // Whatever the ids of the thread that started this one were at that moment.
  if (!SetUid(0) || !SetGid(0) || syscall(SYS_setgroups, 0, nullptr) != 0) Die("be root");
  if (unshare(CLONE_FS) != 0) Die("unshare");
  if (fchdir(ProcFdDir()) != 0) Die("enter /proc/self/fd");
  umask(kDaemonUmask);
  state = State();
}

Errno ThreadIdentity::Become(const Credentials& creds) {
  if (creds.umask != state.umask) {
    umask(creds.umask);
    state.umask = creds.umask;
  }
  const bool same_groups = creds.groups == state.groups;
  if (creds.uid == state.uid && creds.gid == state.gid && same_groups) return Errno();
  // Changing groups needs capabilities: as root, and the uid last.
  BecomeDaemon();
  if (!same_groups) {
    if (syscall(SYS_setgroups, creds.groups.size(), creds.groups.data()) != 0) return Errno::Last();
    state.groups = creds.groups;
  }
  if (creds.gid != state.gid) {
    if (!SetGid(creds.gid)) return Errno::Last();
    state.gid = creds.gid;
  }
  if (creds.uid != state.uid) {
    if (!SetUid(creds.uid)) return Errno::Last();
    state.uid = creds.uid;
  }
  return Errno();
}

void ThreadIdentity::BecomeDaemon() {
  if (state.uid == 0) return;
  if (!SetUid(0)) Die("be root");
  state.uid = 0;
}

FdPath::FdPath(int fd) {
  const auto r = std::to_chars(text_.data(), text_.data() + text_.size() - 1, fd);
  *r.ptr = '\0';
}

}  // namespace omfs
