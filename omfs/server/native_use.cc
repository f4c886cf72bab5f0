#include "omfs/server/native_use.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "fmt/format.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {
namespace {

bool SingleThreaded(pid_t pid) {
  struct stat st;
  // A directory's link count is that of its subdirectories, which are the threads, and two.
  return stat(fmt::format("/proc/{}/task", pid).c_str(), &st) == 0 && st.st_nlink == 3;
}

}  // namespace

bool LeaseProbe::Free(int fd, int lease) {
  fcntl(fd, F_SETSIG, SIGURG);
  if (fcntl(fd, F_SETLEASE, lease) != 0) return false;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

bool LeaseProbe::AnyWriter(int fd) {
  std::lock_guard lock(mutex_);
  return !Free(fd, F_RDLCK);
}

NativeUse LeaseProbe::OtherUse(int fd) {
  std::lock_guard lock(mutex_);
  if (Free(fd, F_WRLCK)) return NativeUse::kNone;
  return Free(fd, F_RDLCK) ? NativeUse::kReading : NativeUse::kWriting;
}

bool OpensForReading(pid_t pid) {
  if (!SingleThreaded(pid)) return false;
  ScopedFd file(open(fmt::format("/proc/{}/syscall", pid).c_str(), O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t n = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return false;
  text[n] = '\0';
  // "NUMBER ARG0 ... ARG5 SP PC", or "running" while it has not come to wait yet.
  long number;
  unsigned long args[3];
  if (sscanf(text, "%ld %lx %lx %lx", &number, &args[0], &args[1], &args[2]) != 4) return false;
  unsigned long flags = O_RDWR;
  if (number == SYS_open) flags = args[1];
  if (number == SYS_openat) flags = args[2];
  return (flags & O_ACCMODE) == O_RDONLY && (flags & O_TRUNC) == 0;
}

}  // namespace omfs
