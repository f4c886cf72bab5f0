#include "omfs-fuse/mount_point.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "proto/omfs_wire.h"

namespace omfs {
namespace {

struct Mounted {
  std::string type, source;
};

// The topmost file system mounted on exactly path; empty if none is. path is absolute and normal.
Mounted MountedOn(const std::string& path) {
  std::ifstream in("/proc/self/mountinfo");
  std::string line;
  Mounted found;
  while (std::getline(in, line)) {
    // ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [FIELDS...] - TYPE SOURCE SUPEROPTIONS (proc(5))
    std::istringstream fields(line);
    std::string id, parent, dev, root, at, word;
    fields >> id >> parent >> dev >> root >> at;
    while (fields >> word && word != "-") {
    }
    Mounted mounted;
    if (at == path && fields >> mounted.type >> mounted.source) found = mounted;
  }
  return found;
}

}  // namespace

absl::Status PrepareMountPoint(const std::string& path) {
  if (const std::string type = MountedOn(path).type; type.starts_with("fuse")) {
    // Attributes may still be in the kernel's cache; statfs is always asked of the program behind
    // the mount.
    struct statfs fs;
    if (statfs(path.c_str(), &fs) == 0 || errno != ENOTCONN) {
      return FailedPrecondition("mount point {}: busy, a {} file system is mounted there", path,
                                type);
    }
    spdlog::info("detaching what a dead predecessor left path={}", path);
    OMFS_RETURN_IF_ERROR(UnmountFuse(path));
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, fmt::format("mount point {}", path));
  if (!S_ISDIR(st.st_mode)) return InvalidArgument("mount point {}: not a directory", path);
  return absl::OkStatus();
}

bool IsMounted(const std::string& path, const std::string& source) { return MountedOn(path).source == source; }

absl::StatusOr<ScopedFd> OpenFuseDevice() {
  ScopedFd fd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, "/dev/fuse");
  return fd;
}

absl::Status MountFuse(int device, const std::string& path, const std::string& source,
                       unsigned long flags) {
  const std::string options = fmt::format(
      "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read={}",
      device, OMFS_MAX_PAYLOAD);
  if (mount(source.c_str(), path.c_str(), "fuse.omfs", flags, options.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("mounting {} on {}", source, path));
  }
  return absl::OkStatus();
}

absl::Status UnmountFuse(const std::string& path) {
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0) return absl::OkStatus();
  if (errno == EINVAL || errno == ENOENT) return absl::OkStatus();
  const int err = errno;
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH | MNT_FORCE) == 0) {
    spdlog::info("in use, connection aborted and mount detached path={}", path);
    return absl::OkStatus();
  }
  return ErrnoStatus(err, fmt::format("unmounting {}", path));
}

}  // namespace omfs
