#include "tools/box/mount_points.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <sstream>

#include "absl/status/statusor.h"
#include "cluster/files.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"
#include "tools/box/box.h"
#include "tools/box/remove_tree.h"

namespace omfs::box {
namespace {

const std::string kMadePath = std::string(kRunRoot) + "/.made";

// The lock on /run/omfs-box, which is made if missing. Another box's end may remove the directory while this one waits
// for its lock: then it tries again.
absl::StatusOr<ScopedFd> LockRoot() {
  for (;;) {
    OMFS_RETURN_IF_ERROR(MakeDirectories(kRunRoot, 0755));
    ScopedFd fd(open(kRunRoot, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return ErrnoStatus(errno, kRunRoot);
    if (flock(fd.get(), LOCK_EX) != 0) return ErrnoStatus(errno, kRunRoot);
    struct stat mine {}, there {};
    if (fstat(fd.get(), &mine) == 0 && stat(kRunRoot, &there) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev) {
      return fd;
    }
  }
}

absl::Status MakeMountPoints() {
  std::string made;
  if (FileExists(kMadePath)) {
    OMFS_ASSIGN_OR_RETURN(made, ReadWholeFile(kMadePath));
  }
  for (const MountPoint& m : kMountPoints) {
    struct stat st {};
    if (stat(m.target, &st) == 0 && S_ISDIR(st.st_mode)) continue;
    // Written first: a directory on the list that was never made does no harm.
    made += std::string(m.target) + "\n";
    OMFS_RETURN_IF_ERROR(WriteFileAtomically(kMadePath, made, 0600));
    OMFS_RETURN_IF_ERROR(MakeDirectories(m.target, 0755));
  }
  return absl::OkStatus();
}

bool AnyBox() {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(kRunRoot), closedir);
  if (!dir) return false;
  while (const dirent* e = readdir(dir.get())) {
    if (e->d_name[0] != '.') return true;
  }
  return false;
}

}  // namespace

absl::Status ReserveBox(const std::string& name) {
  OMFS_ASSIGN_OR_RETURN(const ScopedFd lock, LockRoot());
  const std::string dir = fmt::format("{}/{}", kRunRoot, name);
  if (mkdir(dir.c_str(), 0755) != 0) {
    if (errno != EEXIST) return ErrnoStatus(errno, dir);
    return absl::AlreadyExistsError(
        fmt::format("box {0} is up already, or was not taken down (omfs-box down --name {0})", name));
  }
  return MakeMountPoints();
}

absl::Status ReleaseBox(const std::string& name) {
  OMFS_ASSIGN_OR_RETURN(const ScopedFd lock, LockRoot());
  OMFS_RETURN_IF_ERROR(RemoveTree(fmt::format("{}/{}", kRunRoot, name)));
  if (AnyBox()) return absl::OkStatus();
  if (FileExists(kMadePath)) {
    OMFS_ASSIGN_OR_RETURN(const std::string made, ReadWholeFile(kMadePath));
    std::istringstream in(made);
    // Not empty or in use by now: somebody else's.
    for (std::string path; std::getline(in, path);) rmdir(path.c_str());
    unlink(kMadePath.c_str());
  }
  rmdir(kRunRoot);
  return absl::OkStatus();
}

}  // namespace omfs::box
