#include "omfs/server/handle.h"

#include <fcntl.h>

#include <span>

#include "omfs/server/siphash.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

constexpr uint8_t kHandleVersion = 1;
constexpr uint16_t kExportId = 1;  // a node has one export

// struct file_handle with room for what the wire can carry.
struct KernelHandle {
  alignas(file_handle) unsigned char room[sizeof(file_handle) + OMFS_FH_BYTES];
  file_handle* get() { return reinterpret_cast<file_handle*>(room); }
};

}  // namespace

uint64_t HandleCodec::Sign(const omfs_fh& fh) const {
  omfs_fh unsigned_fh = fh;
  memset(unsigned_fh.mac, 0, sizeof unsigned_fh.mac);
  return SipHash(secret_, std::as_bytes(std::span(&unsigned_fh, 1)));
}

ErrnoOr<omfs_fh> HandleCodec::Of(int fd, const char* name) const {
  KernelHandle kernel;
  kernel.get()->handle_bytes = OMFS_FH_BYTES;
  int mount_id;
  const int flags = *name == '\0' ? AT_EMPTY_PATH : 0;
  if (name_to_handle_at(fd, name, kernel.get(), &mount_id, flags) != 0) return Errno::Last();
  return Of(*kernel.get());
}

ErrnoOr<omfs_fh> HandleCodec::Of(const file_handle& kernel) const {
  if (kernel.handle_bytes > OMFS_FH_BYTES) return Errno(EOVERFLOW);
  omfs_fh fh{};
  fh.len = static_cast<__u8>(kernel.handle_bytes);
  fh.version = kHandleVersion;
  fh.export_id = Le16(kExportId);
  fh.type = Le32(static_cast<uint32_t>(kernel.handle_type));
  memcpy(fh.data, kernel.f_handle, fh.len);
  const uint64_t mac = Sign(fh);
  memcpy(fh.mac, &mac, sizeof mac);
  return fh;
}

bool HandleCodec::Genuine(const omfs_fh& fh) const {
  const uint64_t mac = Sign(fh);
  return fh.version == kHandleVersion && fh.len <= OMFS_FH_BYTES &&
         memcmp(&mac, fh.mac, sizeof mac) == 0;
}

ErrnoOr<ScopedFd> HandleCodec::Open(int mount_fd, const omfs_fh& fh) {
  KernelHandle kernel;
  kernel.get()->handle_bytes = fh.len;
  kernel.get()->handle_type = static_cast<int>(Le32(fh.type));
  memcpy(kernel.get()->f_handle, fh.data, fh.len);
  ScopedFd fd(open_by_handle_at(mount_fd, kernel.get(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Errno::Last();
  return fd;
}

}  // namespace omfs
