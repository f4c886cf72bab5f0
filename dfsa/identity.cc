#include "dfsa/identity.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstring>

#include <fmt/format.h>

namespace omfs::dfsa {
namespace {

struct HandleXattr {
  uint16_t node;
  uint16_t flags;
  uint32_t zero;
  omfs_fh handle;
};
static_assert(sizeof(HandleXattr) == 72);

constexpr char kHandleAttribute[] = "trusted.omfs.handle";

// n: what getxattr(2) has returned.
ErrnoOr<Identity> IdentityFrom(const HandleXattr& x, ssize_t n) {
  if (n < 0) return Errno::Last();
  if (n != sizeof x) return Errno(EPROTO);
  constexpr uint16_t kMayBeLocked = 1;
  return Identity{NodeId(le16toh(x.node)), x.handle, (le16toh(x.flags) & kMayBeLocked) != 0};
}

}  // namespace

ErrnoOr<Identity> IdentifyPath(const std::string& path) {
  HandleXattr x{};
  return IdentityFrom(x, getxattr(path.c_str(), kHandleAttribute, &x, sizeof x));
}

ErrnoOr<ScopedFd> OpenThroughMfs(const Identity& id, const std::string& mfs, int flags) {
  const std::string root = fmt::format("{}/{}", mfs, id.node.value);
  std::string hex;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&id.handle);
  for (size_t i = 0; i < sizeof id.handle; ++i) hex += fmt::format("{:02x}", bytes[i]);
  constexpr int kAttempts = 16;  // it may be renamed between question and use
  for (int i = 0; i < kAttempts; ++i) {
    char path[PATH_MAX];
    const ssize_t n = getxattr(root.c_str(), ("trusted.omfs.path:" + hex).c_str(), path, sizeof path);
    if (n < 0) break;  // not a directory, or one without a name
    ScopedFd fd(open((root + std::string(path, n)).c_str(), flags | O_CLOEXEC));
    if (!fd) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      return Errno::Last();
    }
    // Not by way of /proc, which is not there in the root of a guest.
    HandleXattr x{};
    const auto reached = IdentityFrom(x, fgetxattr(fd.get(), kHandleAttribute, &x, sizeof x));
    if (reached.ok() && memcmp(&reached->handle, &id.handle, sizeof id.handle) == 0) return fd;
  }
  ScopedFd fd(open((root + "/.omfs-fh:" + hex).c_str(), flags | O_CLOEXEC));
  if (!fd) return Errno::Last();
  return fd;
}

ErrnoOr<ScopedFd> OpenNative(int mount, const Identity& id, int flags) {
  alignas(file_handle) char buffer[sizeof(file_handle) + OMFS_FH_BYTES];
  auto* h = reinterpret_cast<file_handle*>(buffer);
  if (id.handle.len > OMFS_FH_BYTES) return Errno(ESTALE);
  h->handle_bytes = id.handle.len;
  h->handle_type = static_cast<int>(le32toh(id.handle.type));
  memcpy(h->f_handle, id.handle.data, id.handle.len);
  ScopedFd fd(open_by_handle_at(mount, h, flags));
  if (!fd) return Errno::Last();
  return fd;
}

}  // namespace omfs::dfsa
