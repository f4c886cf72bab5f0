#include "omfs/wire/request.h"

#include <cstddef>
#include <cstdlib>

#include "omfs/base/status.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"

namespace omfs {
namespace {

enum class Kind : uint8_t {
  kNone,
  kName,        // of a directory entry
  kNameOrNone,  // CREATE with O_TMPFILE has none
  kTarget,      // of a symbolic link: 1..4095 bytes, no NUL
  kXattrName,   // 1..255 bytes, no NUL
  kPath,        // 0..4095 bytes, no NUL
};

struct Part {
  Kind kind = Kind::kNone;
  uint16_t length_offset = 0;  // of the field in the fixed structure
  uint8_t length_width = 4;
};

struct Layout {
  uint16_t op;
  uint16_t fixed_size;
  bool has_creds;
  bool non_idempotent;
  uint32_t max_payload;
  Part first, second;
};

#define PART(kind, type, field) \
  Part { Kind::kind, offsetof(type, field), sizeof(type::field) }
constexpr Layout kLayouts[] = {
    // op, fixed part, credentials, non-idempotent, payload, variable parts
    {OMFS_OP_HELLO,
     sizeof(omfs_hello_req),
     false,
     false,
     0,
     PART(kPath, omfs_hello_req, export_len),
     {}},
    {OMFS_OP_PING, 0, false, false, 0, {}, {}},
    {OMFS_OP_BYE, 0, false, false, 0, {}, {}},
    {OMFS_OP_LOOKUP,
     sizeof(omfs_lookup_req),
     true,
     false,
     0,
     PART(kName, omfs_lookup_req, name_len),
     {}},
    {OMFS_OP_GETATTR, sizeof(omfs_getattr_req), true, false, 0, {}, {}},
    {OMFS_OP_SETATTR, sizeof(omfs_setattr_req), true, true, 0, {}, {}},
    {OMFS_OP_READLINK, sizeof(omfs_fh_req), true, false, 0, {}, {}},
    {OMFS_OP_ACCESS, sizeof(omfs_access_req), true, false, 0, {}, {}},
    {OMFS_OP_STATFS, sizeof(omfs_fh_req), true, false, 0, {}, {}},
    {OMFS_OP_MKNOD,
     sizeof(omfs_mknod_req),
     true,
     true,
     0,
     PART(kName, omfs_mknod_req, name_len),
     {}},
    {OMFS_OP_SYMLINK, sizeof(omfs_symlink_req), true, true, 0,
     PART(kName, omfs_symlink_req, name_len), PART(kTarget, omfs_symlink_req, target_len)},
    {OMFS_OP_LINK, sizeof(omfs_link_req), true, true, 0, PART(kName, omfs_link_req, name_len), {}},
    {OMFS_OP_UNLINK,
     sizeof(omfs_unlink_req),
     true,
     true,
     0,
     PART(kName, omfs_unlink_req, name_len),
     {}},
    {OMFS_OP_RENAME, sizeof(omfs_rename_req), true, true, 0, PART(kName, omfs_rename_req, name_len),
     PART(kName, omfs_rename_req, new_name_len)},
    {OMFS_OP_OPEN, sizeof(omfs_open_req), true, true, 0, {}, {}},
    {OMFS_OP_CREATE,
     sizeof(omfs_create_req),
     true,
     true,
     0,
     PART(kNameOrNone, omfs_create_req, name_len),
     {}},
    {OMFS_OP_LOOKUP_OPEN,
     sizeof(omfs_lookup_open_req),
     true,
     true,
     0,
     PART(kName, omfs_lookup_open_req, name_len),
     {}},
    {OMFS_OP_CLOSE, sizeof(omfs_close_req), true, true, 0, {}, {}},
    {OMFS_OP_READ, sizeof(omfs_read_req), true, false, 0, {}, {}},
    {OMFS_OP_WRITE, sizeof(omfs_write_req), true, true, OMFS_MAX_PAYLOAD, {}, {}},
    {OMFS_OP_FSYNC, sizeof(omfs_fsync_req), true, false, 0, {}, {}},
    {OMFS_OP_FALLOCATE, sizeof(omfs_fallocate_req), true, true, 0, {}, {}},
    {OMFS_OP_LSEEK, sizeof(omfs_lseek_req), true, false, 0, {}, {}},
    {OMFS_OP_COPY_RANGE, sizeof(omfs_copy_range_req), true, true, 0, {}, {}},
    {OMFS_OP_READDIR, sizeof(omfs_readdir_req), true, false, 0, {}, {}},
    {OMFS_OP_GETXATTR,
     sizeof(omfs_xattr_req),
     true,
     false,
     0,
     PART(kXattrName, omfs_xattr_req, name_len),
     {}},
    {OMFS_OP_SETXATTR,
     sizeof(omfs_xattr_req),
     true,
     true,
     OMFS_XATTR_SIZE_MAX,
     PART(kXattrName, omfs_xattr_req, name_len),
     {}},
    {OMFS_OP_LISTXATTR, sizeof(omfs_xattr_req), true, false, 0, {}, {}},
    {OMFS_OP_REMOVEXATTR,
     sizeof(omfs_xattr_req),
     true,
     true,
     0,
     PART(kXattrName, omfs_xattr_req, name_len),
     {}},
    {OMFS_OP_GETLK, sizeof(omfs_lock_req), true, false, 0, {}, {}},
    {OMFS_OP_SETLK, sizeof(omfs_lock_req), true, true, 0, {}, {}},
    {OMFS_OP_CANCEL, sizeof(omfs_cancel_req), false, false, 0, {}, {}},
    {OMFS_OP_FLAGS, sizeof(omfs_flags_req), true, true, 0, {}, {}},
    {OMFS_OP_RECALL, sizeof(omfs_recall_req), false, false, 0, PART(kNameOrNone, omfs_recall_req, name_len), {}},
    {OMFS_OP_RELEASE, 0, false, false, OMFS_RELEASE_MAX * sizeof(omfs_release), {}, {}},
    {OMFS_OP_RECLAIMED, sizeof(omfs_reclaimed_req), false, false, 0, {}, {}},
};
#undef PART

const Layout* LayoutOf(uint16_t op) {
  for (const Layout& l : kLayouts) {
    if (l.op == op) return &l;
  }
  return nullptr;
}

size_t LengthOf(const Part& part, const std::byte* fixed) {
  if (part.length_width == 2) {
    uint16_t n;
    memcpy(&n, fixed + part.length_offset, sizeof n);
    return Le16(n);
  }
  uint32_t n;
  memcpy(&n, fixed + part.length_offset, sizeof n);
  return Le32(n);
}

void SetLength(const Part& part, std::byte* fixed, size_t size) {
  if (part.length_width == 2) {
    const uint16_t n = Le16(static_cast<uint16_t>(size));
    memcpy(fixed + part.length_offset, &n, sizeof n);
  } else {
    const uint32_t n = Le32(static_cast<uint32_t>(size));
    memcpy(fixed + part.length_offset, &n, sizeof n);
  }
}

absl::StatusOr<std::string_view> Text(MetaReader* in, size_t size, size_t min, size_t max,
                                      std::string_view what) {
  if (size < min || size > max) return InvalidArgument("{} of {} bytes", what, size);
  OMFS_ASSIGN_OR_RETURN(const std::string_view text, in->Bytes(size, what));
  if (text.find('\0') != text.npos) return InvalidArgument("{} with a NUL", what);
  return text;
}

absl::StatusOr<std::string_view> TakePart(const Part& part, const std::byte* fixed,
                                          MetaReader* in) {
  if (part.kind == Kind::kNone) return std::string_view();
  const size_t size = LengthOf(part, fixed);
  switch (part.kind) {
    case Kind::kNameOrNone:
      if (size == 0) return std::string_view();
      [[fallthrough]];
    case Kind::kName:
      return in->Name(size);
    case Kind::kTarget:
      return Text(in, size, 1, OMFS_PATH_MAX - 1, "link target");
    case Kind::kXattrName:
      return Text(in, size, 1, OMFS_NAME_MAX, "attribute name");
    case Kind::kPath:
      return Text(in, size, 0, OMFS_PATH_MAX - 1, "path");
    case Kind::kNone:
      break;
  }
  return std::string_view();
}

}  // namespace

namespace wire_internal {

absl::Status Decode(uint16_t op, std::span<const std::byte> meta, Credentials* creds, void* fixed,
                    size_t size, std::array<std::string_view, 2>* parts) {
  const Layout* layout = LayoutOf(op);
  if (layout == nullptr) return absl::NotFoundError(fmt::format("{} is no operation", op));
  if (layout->fixed_size != size) return Internal("{} decoded as another operation", OpName(op));
  MetaReader in(meta);
  if (layout->has_creds) OMFS_RETURN_IF_ERROR(in.Creds(creds));
  OMFS_ASSIGN_OR_RETURN(const std::string_view raw, in.Bytes(size, "request"));
  if (size > 0) memcpy(fixed, raw.data(), size);
  const auto* bytes = reinterpret_cast<const std::byte*>(raw.data());
  OMFS_ASSIGN_OR_RETURN((*parts)[0], TakePart(layout->first, bytes, &in));
  OMFS_ASSIGN_OR_RETURN((*parts)[1], TakePart(layout->second, bytes, &in));
  return in.End();
}

void Encode(uint16_t op, const Credentials& creds, std::span<std::byte> fixed,
            std::array<std::string_view, 2> parts, MetaWriter* out) {
  const Layout* layout = LayoutOf(op);
  if (layout == nullptr || layout->fixed_size != fixed.size()) std::abort();  // a bug of the caller
  if (layout->first.kind != Kind::kNone) SetLength(layout->first, fixed.data(), parts[0].size());
  if (layout->second.kind != Kind::kNone) SetLength(layout->second, fixed.data(), parts[1].size());
  if (layout->has_creds) out->Creds(creds);
  out->Bytes({reinterpret_cast<const char*>(fixed.data()), fixed.size()});
  out->Bytes(parts[0]).Bytes(parts[1]);
}

}  // namespace wire_internal

absl::Status CheckRequest(uint16_t op, std::span<const std::byte> meta, uint32_t payload_len) {
  const Layout* layout = LayoutOf(op);
  if (layout == nullptr) return absl::NotFoundError(fmt::format("{} is no operation", op));
  if (payload_len > layout->max_payload) {
    return InvalidArgument("{} with {} bytes of payload", OpName(op), payload_len);
  }
  Credentials creds;
  std::byte fixed[512];
  static_assert(sizeof(omfs_rename_req) <= sizeof fixed);
  std::array<std::string_view, 2> parts;
  return wire_internal::Decode(op, meta, &creds, fixed, layout->fixed_size, &parts);
}

uint32_t MaxPayload(uint16_t op) {
  const Layout* layout = LayoutOf(op);
  return layout != nullptr ? layout->max_payload : 0;
}

bool IsNonIdempotent(uint16_t op) {
  const Layout* layout = LayoutOf(op);
  return layout != nullptr && layout->non_idempotent;
}

}  // namespace omfs
