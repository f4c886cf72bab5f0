#include "omfs/wire/header.h"

#include <cstring>

#include "omfs/base/status.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

static_assert(sizeof(omfs_hdr) == OMFS_HDR_SIZE);

constexpr uint32_t kKnownFlags =
    OMFS_F_REPLY | OMFS_F_CACHE | OMFS_F_REPLAY | OMFS_F_CRC | OMFS_F_SERVER;
constexpr uint32_t kMaxErrno = 4095;  // include/linux/err.h MAX_ERRNO

}  // namespace

void Header::Pack(PackedHeader out) const {
  omfs_hdr h{};
  h.magic = Le32(OMFS_MAGIC);
  h.version = Le16(version);
  h.op = Le16(op);
  h.flags = Le32(flags);
  h.status = Le32(status);
  h.session = Le64(session);
  h.slot = Le16(slot);
  h.credits = Le16(credits);
  h.sequence = Le32(sequence);
  h.meta_len = Le32(meta_len);
  h.payload_len = Le32(payload_len);
  h.hlc = Le64(hlc);
  h.crc = Le32(crc);
  h.caps = Le32(caps);
  h.cap_seq = Le64(cap_seq);
  memcpy(out.data(), &h, sizeof h);
}

absl::Status Header::Unpack(ConstPackedHeader in, Header* out) {
  omfs_hdr h;
  memcpy(&h, in.data(), sizeof h);
  if (Le32(h.magic) != OMFS_MAGIC) {
    return InvalidArgument("magic {:08x} is not oMFS's", Le32(h.magic));
  }
  out->version = Le16(h.version);
  out->op = Le16(h.op);
  out->flags = Le32(h.flags);
  out->status = Le32(h.status);
  out->session = Le64(h.session);
  out->slot = Le16(h.slot);
  out->credits = Le16(h.credits);
  out->sequence = Le32(h.sequence);
  out->meta_len = Le32(h.meta_len);
  out->payload_len = Le32(h.payload_len);
  out->hlc = Le64(h.hlc);
  out->crc = Le32(h.crc);
  out->caps = Le32(h.caps);
  out->cap_seq = Le64(h.cap_seq);
  if (out->version < OMFS_VERSION_MIN || out->version > OMFS_VERSION) {
    return absl::UnimplementedError(
        fmt::format("version {} is not in {}..{}", out->version, OMFS_VERSION_MIN, OMFS_VERSION));
  }
  if (out->flags & ~kKnownFlags) return InvalidArgument("unknown flags {:#x}", out->flags);
  if (out->meta_len > OMFS_MAX_META) {
    return InvalidArgument("metadata length {} is above {}", out->meta_len, OMFS_MAX_META);
  }
  if (out->payload_len > OMFS_MAX_PAYLOAD) {
    return InvalidArgument("payload length {} is above {}", out->payload_len, OMFS_MAX_PAYLOAD);
  }
  if (out->slot >= OMFS_MAX_SLOTS) return InvalidArgument("slot {} is above the limit", out->slot);
  if (out->status > kMaxErrno) return InvalidArgument("status {} is no errno", out->status);
  if (!out->reply() && out->status != 0) return InvalidArgument("a request with a status");
  if (out->status != 0 && (out->meta_len != 0 || out->payload_len != 0)) {
    return InvalidArgument("an error reply with a body");
  }
  constexpr uint32_t kKnownCaps = OMFS_CAPS(OMFS_CAP_ALL | OMFS_CAP_MUST, OMFS_CAP_ALL);
  if (out->caps & ~kKnownCaps) return InvalidArgument("unknown caps {:#x}", out->caps);
  return absl::OkStatus();
}

std::string OpName(uint16_t op) {
  switch (static_cast<omfs_op>(op)) {
#define OMFS_NAME_OF(name) \
  case OMFS_OP_##name:     \
    return #name;
    OMFS_NAME_OF(HELLO)
    OMFS_NAME_OF(PING)
    OMFS_NAME_OF(BYE)
    OMFS_NAME_OF(LOOKUP)
    OMFS_NAME_OF(GETATTR)
    OMFS_NAME_OF(SETATTR)
    OMFS_NAME_OF(READLINK)
    OMFS_NAME_OF(ACCESS)
    OMFS_NAME_OF(STATFS)
    OMFS_NAME_OF(MKNOD)
    OMFS_NAME_OF(SYMLINK)
    OMFS_NAME_OF(LINK)
    OMFS_NAME_OF(UNLINK)
    OMFS_NAME_OF(RENAME)
    OMFS_NAME_OF(OPEN)
    OMFS_NAME_OF(CREATE)
    OMFS_NAME_OF(LOOKUP_OPEN)
    OMFS_NAME_OF(CLOSE)
    OMFS_NAME_OF(READ)
    OMFS_NAME_OF(WRITE)
    OMFS_NAME_OF(FSYNC)
    OMFS_NAME_OF(FALLOCATE)
    OMFS_NAME_OF(LSEEK)
    OMFS_NAME_OF(COPY_RANGE)
    OMFS_NAME_OF(READDIR)
    OMFS_NAME_OF(GETXATTR)
    OMFS_NAME_OF(SETXATTR)
    OMFS_NAME_OF(LISTXATTR)
    OMFS_NAME_OF(REMOVEXATTR)
    OMFS_NAME_OF(GETLK)
    OMFS_NAME_OF(SETLK)
    OMFS_NAME_OF(CANCEL)
    OMFS_NAME_OF(FLAGS)
    OMFS_NAME_OF(RECALL)
    OMFS_NAME_OF(RELEASE)
    OMFS_NAME_OF(RECLAIMED)
#undef OMFS_NAME_OF
  }
  return fmt::format("op {}", op);
}

}  // namespace omfs
