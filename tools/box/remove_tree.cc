#include "tools/box/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs::box {
namespace {

// Takes the immutable and append-only marks (chattr +i, +a) off a file or directory.
void ClearMarks(int parent, const char* name) {
  ScopedFd fd(openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  int flags = 0;
  if (!fd || ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

int UnlinkEvenIfMarked(int parent, const char* name, int flags) {
  if (unlinkat(parent, name, flags) == 0) return 0;
  if (errno != EPERM) return errno;
  ClearMarks(parent, name);
  if (parent != AT_FDCWD) ClearMarks(parent, ".");
  return unlinkat(parent, name, flags) == 0 ? 0 : errno;
}

std::vector<std::string> NamesIn(int fd) {
  std::vector<std::string> names;
  ScopedFd own(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::unique_ptr<DIR, int (*)(DIR*)> dir(own ? fdopendir(own.get()) : nullptr, closedir);
  if (!dir) return names;
  own.release();
  while (const dirent* e = readdir(dir.get())) {
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) names.emplace_back(e->d_name);
  }
  return names;
}

// One directory on the way down. Depth costs memory, not stack: users can nest deeply. Only the deepest one is open;
// the way up is "..", which nobody else can redirect by now.
struct Level {
  std::string name;  // in its parent
  std::vector<std::string> left;
};

absl::Status RemoveContents(int top_fd, dev_t device, const std::string& path) {
  ScopedFd here(fcntl(top_fd, F_DUPFD_CLOEXEC, 3));
  std::vector<Level> levels;
  levels.push_back({"", NamesIn(here.get())});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.left.empty()) {
      const std::string name = level.name;
      levels.pop_back();
      if (levels.empty()) break;
      here = ScopedFd(openat(here.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const int err = here ? UnlinkEvenIfMarked(here.get(), name.c_str(), AT_REMOVEDIR) : errno;
      if (err != 0) return ErrnoStatus(err, fmt::format("cannot remove {} in {}", name, path));
      continue;
    }
    const std::string name = std::move(level.left.back());
    level.left.pop_back();
    struct stat st {};
    if (fstatat(here.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (st.st_dev != device) {
      return FailedPrecondition("{} in {} is on another file system: not removed", name, path);
    }
    if (!S_ISDIR(st.st_mode)) {
      const int err = UnlinkEvenIfMarked(here.get(), name.c_str(), 0);
      if (err != 0) return ErrnoStatus(err, fmt::format("cannot remove {} in {}", name, path));
      continue;
    }
    ScopedFd below(openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!below) return ErrnoStatus(errno, fmt::format("cannot remove {} in {}", name, path));
    here = std::move(below);
    levels.push_back({name, NamesIn(here.get())});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, path);
  }
  if (S_ISDIR(st.st_mode)) {
    ScopedFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return ErrnoStatus(errno, path);
    OMFS_RETURN_IF_ERROR(RemoveContents(fd.get(), st.st_dev, path));
  }
  const int err = UnlinkEvenIfMarked(AT_FDCWD, path.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
  return err == 0 ? absl::OkStatus() : ErrnoStatus(err, fmt::format("cannot remove {}", path));
}

}  // namespace omfs::box
