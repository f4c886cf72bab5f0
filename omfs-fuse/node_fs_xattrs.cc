// Extended attributes and inode flags.
#include <linux/fs.h>

#include <array>
#include <memory>

#include "omfs-fuse/node_fs.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

// The identity of an object, for agents that move processes: never listed, for root only (the
// kernel asks for CAP_SYS_ADMIN for all trusted attributes). le16 node, le16 flags, le32 0, struct
// omfs_fh. Flag 1: locks may be held on it through this mount.
constexpr std::string_view kHandleAttribute = "trusted.omfs.handle";

struct HandleAttribute {
  __le16 node;
  __le16 flags;
  __le32 reserved;
  omfs_fh fh;
} __attribute__((__packed__));
static_assert(sizeof(HandleAttribute) == 72);
constexpr uint16_t kMayBeLocked = 1;

// Followed by a handle in hex, in the root: the path of the directory that has it, from the owner (ops/xattr.cc).
constexpr std::string_view kPathAttribute = "trusted.omfs.path";

// The kernel reads the old attributes with FS_IOC_FSGETXATTR before every FS_IOC_SETFLAGS. It is
// answered from the flags that have a meaning in both; project ids and extent sizes do not cross
// the wire and read as 0.
fsxattr XattrFrom(uint32_t flags) {
  constexpr struct {
    uint32_t flag, xflag;
  } kBoth[] = {
      {FS_SYNC_FL, FS_XFLAG_SYNC},       {FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE},
      {FS_APPEND_FL, FS_XFLAG_APPEND},   {FS_NODUMP_FL, FS_XFLAG_NODUMP},
      {FS_NOATIME_FL, FS_XFLAG_NOATIME}, {FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT},
  };
  fsxattr x{};
  for (const auto& b : kBoth) {
    if ((flags & b.flag) != 0) x.fsx_xflags |= b.xflag;
  }
  return x;
}

}  // namespace

void NodeFs::GetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, size_t size) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  if (kHandleAttribute == name) {
    if (r.ids().uid != 0) return r.Fail(ENODATA);
    if (size == 0) return r.XattrSize(sizeof(HandleAttribute));
    if (size < sizeof(HandleAttribute)) return r.Fail(ERANGE);
    const bool locked = object->inode != nullptr && object->inode->MayBeLocked();
    const HandleAttribute value{Le16(object->node->node().value), Le16(locked ? kMayBeLocked : 0), 0, object->fh.raw};
    return r.Data(&value, sizeof value);
  }
  std::string wanted = name;
  if (ino == FUSE_ROOT_ID && wanted.starts_with(kPathAttribute) && wanted[kPathAttribute.size()] == ':') {
    if (!FhFromHex(wanted.substr(kPathAttribute.size() + 1), &object->fh)) return r.Fail(ENODATA);
    wanted.resize(kPathAttribute.size());
  }
  std::vector<std::byte> buffer(std::min<size_t>(size, OMFS_XATTR_SIZE_MAX));
  ErrnoOr<size_t> n = object->node->GetXattr(r.caller(), object->fh, wanted, buffer);
  if (!n.ok()) return r.Fail(n.error());
  if (size == 0) return r.XattrSize(*n);
  r.Data(buffer.data(), *n);
}

void NodeFs::SetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, const char* value,
                      size_t size, int flags) {
  if (kHandleAttribute == name) return r.Fail(EPERM);
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  CapTerms terms = Terms(OMFS_CAP_A);
  const Errno e = object->node->SetXattr(r.caller(), object->fh, name,
                                         {reinterpret_cast<const std::byte*>(value), size}, flags, &terms);
  Changed(*object, OMFS_CAP_A, terms);
  r.Done(e);
}

void NodeFs::ListXattr(FuseRequest& r, fuse_ino_t ino, size_t size) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  std::vector<std::byte> buffer(std::min<size_t>(size, OMFS_XATTR_SIZE_MAX));
  ErrnoOr<size_t> n = object->node->ListXattr(r.caller(), object->fh, buffer);
  if (!n.ok()) return r.Fail(n.error());
  if (size == 0) return r.XattrSize(*n);
  r.Data(buffer.data(), *n);
}

void NodeFs::RemoveXattr(FuseRequest& r, fuse_ino_t ino, const char* name) {
  if (kHandleAttribute == name) return r.Fail(EPERM);
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  CapTerms terms = Terms(OMFS_CAP_A);
  const Errno e = object->node->RemoveXattr(r.caller(), object->fh, name, &terms);
  Changed(*object, OMFS_CAP_A, terms);
  if (e.value == EPERM && OwnFiles::BelongsToWrite(r.ids(), object->inode, name)) return r.Done(Errno());
  r.Done(e);
}

void NodeFs::Ioctl(FuseRequest& r, fuse_ino_t ino, unsigned int cmd, void*, fuse_file_info*,
                   unsigned, const void* in, size_t in_size, size_t) {
  // The two ioctls are declared with long but carry an int (ioctl_iflags(2)); a 32-bit caller has
  // numbers of its own.
  const bool get = cmd == FS_IOC_GETFLAGS || cmd == FS_IOC32_GETFLAGS;
  const bool set = cmd == FS_IOC_SETFLAGS || cmd == FS_IOC32_SETFLAGS;
  const bool get_x = cmd == FS_IOC_FSGETXATTR;
  if (!get && !set && !get_x) return r.Fail(ENOTTY);
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  std::optional<uint32_t> value;
  if (set) {
    if (in_size < sizeof(uint32_t)) return r.Fail(EINVAL);
    uint32_t flags;
    memcpy(&flags, in, sizeof flags);
    value = flags;
  }
  CapTerms terms = Terms(OMFS_CAP_A);
  ErrnoOr<uint32_t> flags = object->node->Flags(r.caller(), object->fh, value, &terms);
  if (set) Changed(*object, OMFS_CAP_A, terms);
  if (!flags.ok()) return r.Fail(flags.error());
  if (set) return r.Ioctl(nullptr, 0);
  if (get_x) {
    const fsxattr x = XattrFrom(*flags);
    return r.Ioctl(&x, sizeof x);
  }
  r.Ioctl(&*flags, sizeof(uint32_t));
}

}  // namespace omfs
