#include "omfs-fuse/raw_ops.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "omfs/wire/attr.h"

namespace omfs {
namespace {

constexpr uint32_t kOpTmpFile = 51;
constexpr uint32_t kOpStatx = 52;
constexpr uint64_t kHandleKillPriv = 1ull << 19;
constexpr uint64_t kInitExt = 1ull << 30;
constexpr uint64_t kKillPrivV2 = 1ull << 28;
constexpr uint64_t kDirectIoAllowMmap = 1ull << 36;
constexpr uint64_t kPassthrough = 1ull << 37;

struct OpenOut {  // struct fuse_open_out of 7.40
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenOut) == sizeof(fuse_open_out));

struct StatxTime {
  int64_t sec;
  uint32_t nsec;
  int32_t reserved;
};

struct StatxOut {  // struct fuse_statx_out
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t flags;
  uint64_t spare[2];
  // struct fuse_statx
  uint32_t mask;
  uint32_t blksize;
  uint64_t attributes;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint16_t mode;
  uint16_t spare0;
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t attributes_mask;
  StatxTime atime;
  StatxTime btime;
  StatxTime ctime;
  StatxTime mtime;
  uint32_t rdev_major;
  uint32_t rdev_minor;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(StatxOut) == 32 + 256);

template <typename T>
bool Take(std::span<const std::byte>& in, T* out) {
  if (in.size() < sizeof *out) return false;
  memcpy(out, in.data(), sizeof *out);
  in = in.subspan(sizeof *out);
  return true;
}

std::vector<std::byte> Reply(uint64_t unique, int error, std::span<const std::byte> body = {}) {
  std::vector<std::byte> message(sizeof(fuse_out_header) + body.size());
  fuse_out_header h{};
  h.len = static_cast<uint32_t>(message.size());
  h.error = -error;
  h.unique = unique;
  memcpy(message.data(), &h, sizeof h);
  if (!body.empty()) memcpy(message.data() + sizeof h, body.data(), body.size());
  return message;
}

fuse_attr AttrFrom(const struct stat& st) {
  fuse_attr a{};
  a.ino = st.st_ino;
  a.size = st.st_size;
  a.blocks = st.st_blocks;
  a.atime = st.st_atim.tv_sec;
  a.atimensec = st.st_atim.tv_nsec;
  a.mtime = st.st_mtim.tv_sec;
  a.mtimensec = st.st_mtim.tv_nsec;
  a.ctime = st.st_ctim.tv_sec;
  a.ctimensec = st.st_ctim.tv_nsec;
  a.mode = st.st_mode;
  a.nlink = st.st_nlink;
  a.uid = st.st_uid;
  a.gid = st.st_gid;
  // The kernel's new_encode_dev.
  const unsigned maj = major(st.st_rdev), min = minor(st.st_rdev);
  a.rdev = (min & 0xff) | (maj << 8) | ((min & ~0xffu) << 12);
  a.blksize = st.st_blksize;
  return a;
}

RequestIds IdsOf(const fuse_in_header& h, uint32_t umask) {
  return {h.uid, h.gid, static_cast<pid_t>(h.pid), umask};
}

void TmpFile(FileSystem* fs, const fuse_in_header& h, std::span<const std::byte> body, const SendReply& send) {
  fuse_create_in in;
  if (!Take(body, &in)) return (void)send(Reply(h.unique, EINVAL));
  ErrnoOr<FileSystem::NewFile> file =
      fs->TmpFile(IdsOf(h, in.umask), h.nodeid, static_cast<int>(in.flags), in.mode);
  if (!file.ok()) return (void)send(Reply(h.unique, file.error().value));
  fuse_entry_param entry{};
  entry.ino = file->ino;
  entry.attr = StatFrom(file->attr);
  if (!send(Reply(h.unique, 0, CreateBody(entry, file->handle, file->open_flags, file->backing_id)))) fs->Drop(*file);
}

std::vector<std::byte> StatxReply(uint64_t unique, const omfs_attr& attr) {
  const struct statx stx = StatxFrom(attr);
  const auto time = [](const statx_timestamp& t) { return StatxTime{t.tv_sec, t.tv_nsec, 0}; };
  StatxOut out{};
  out.mask = STATX_BASIC_STATS | STATX_BTIME;
  out.blksize = stx.stx_blksize;
  out.attributes = stx.stx_attributes;
  out.attributes_mask = stx.stx_attributes_mask;
  out.nlink = stx.stx_nlink;
  out.uid = stx.stx_uid;
  out.gid = stx.stx_gid;
  out.mode = stx.stx_mode;
  out.ino = stx.stx_ino;
  out.size = stx.stx_size;
  out.blocks = stx.stx_blocks;
  out.atime = time(stx.stx_atime);
  out.btime = time(stx.stx_btime);
  out.ctime = time(stx.stx_ctime);
  out.mtime = time(stx.stx_mtime);
  out.rdev_major = stx.stx_rdev_major;
  out.rdev_minor = stx.stx_rdev_minor;
  return Reply(unique, 0, std::as_bytes(std::span(&out, 1)));
}

std::vector<std::byte> StatFsReply(uint64_t unique, const struct statvfs& st) {
  fuse_statfs_out out{};
  out.st.blocks = st.f_blocks;
  out.st.bfree = st.f_bfree;
  out.st.bavail = st.f_bavail;
  out.st.files = st.f_files;
  out.st.ffree = st.f_ffree;
  out.st.bsize = static_cast<uint32_t>(st.f_bsize);
  out.st.namelen = static_cast<uint32_t>(st.f_namemax);
  out.st.frsize = static_cast<uint32_t>(st.f_frsize);
  return Reply(unique, 0, std::as_bytes(std::span(&out, 1)));
}

}  // namespace

bool AnswerRaw(FileSystem* fs, std::span<const std::byte> request, const SendReply& send) {
  fuse_in_header h;
  if (!Take(request, &h)) return false;
  if (h.opcode == kOpTmpFile) {
    TmpFile(fs, h, request, send);
    return true;
  }
  if (h.opcode != kOpStatx) return false;
  const ErrnoOr<omfs_attr> attr = fs->Statx(IdsOf(h, 0), h.nodeid);
  send(attr.ok() ? StatxReply(h.unique, *attr) : Reply(h.unique, attr.error().value));
  return true;
}

bool HasAnswerWithoutOwner(uint32_t opcode) {
  return opcode == FUSE_GETATTR || opcode == kOpStatx || opcode == FUSE_STATFS || opcode == FUSE_GETXATTR ||
         opcode == FUSE_LISTXATTR;
}

std::vector<std::byte> AnswerWithoutOwner(std::span<const std::byte> request, const omfs_attr& attr,
                                          const struct statvfs& st) {
  fuse_in_header h;
  if (!Take(request, &h)) return {};
  switch (h.opcode) {
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr = AttrFrom(StatFrom(attr));
      return Reply(h.unique, 0, std::as_bytes(std::span(&out, 1)));
    }
    case kOpStatx:
      return StatxReply(h.unique, attr);
    case FUSE_STATFS:
      return StatFsReply(h.unique, st);
    case FUSE_GETXATTR:
      return Reply(h.unique, ENODATA);
    case FUSE_LISTXATTR: {
      fuse_getxattr_in in{};
      const fuse_getxattr_out size{};
      if (Take(request, &in) && in.size != 0) return Reply(h.unique, 0);  // an empty list
      return Reply(h.unique, 0, std::as_bytes(std::span(&size, 1)));
    }
    default:
      return Reply(h.unique, EHOSTDOWN);
  }
}

std::vector<std::byte> OpenBody(uint64_t handle, uint32_t open_flags, int32_t backing_id) {
  const OpenOut out{handle, open_flags, backing_id};
  const auto bytes = std::as_bytes(std::span(&out, 1));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> CreateBody(const fuse_entry_param& entry, uint64_t handle, uint32_t open_flags, int32_t backing_id) {
  struct {
    fuse_entry_out entry;
    OpenOut open;
  } out{};
  const auto split = [](double seconds, uint64_t* whole, uint32_t* nanoseconds) {
    *whole = static_cast<uint64_t>(seconds);
    *nanoseconds = static_cast<uint32_t>((seconds - static_cast<double>(*whole)) * 1e9);
  };
  out.entry.nodeid = entry.ino;
  out.entry.generation = entry.generation;
  split(entry.entry_timeout, &out.entry.entry_valid, &out.entry.entry_valid_nsec);
  split(entry.attr_timeout, &out.entry.attr_valid, &out.entry.attr_valid_nsec);
  out.entry.attr = AttrFrom(entry.attr);
  out.open = {handle, open_flags, backing_id};
  const auto bytes = std::as_bytes(std::span(&out, 1));
  return {bytes.begin(), bytes.end()};
}

bool IsInit(std::span<const std::byte> request, uint64_t* offered, uint32_t* minor) {
  fuse_in_header h;
  if (!Take(request, &h) || h.opcode != FUSE_INIT) return false;
  fuse_init_in in{};
  memcpy(&in, request.data(), std::min(request.size(), sizeof in));
  *offered = in.flags;
  *minor = in.minor;
  if ((in.flags & kInitExt) != 0) *offered |= static_cast<uint64_t>(in.flags2) << 32;
  return true;
}

void PatchInitReply(uint64_t offered, uint32_t stack_depth, std::span<std::byte> reply) {
  if (reply.size() < sizeof(fuse_out_header) + sizeof(fuse_init_out)) return;
  fuse_init_out out;
  memcpy(&out, reply.data() + sizeof(fuse_out_header), sizeof out);
  // libfuse 3.14 knows the capability but does not tell the kernel. Without it the kernel clears set-id bits itself with a
  // SETATTR in the name of a writer who need not be the file's owner, and the operation fails.
  if ((offered & kHandleKillPriv) != 0) out.flags |= static_cast<uint32_t>(kHandleKillPriv);
  if ((offered & kInitExt) != 0 && (offered & kDirectIoAllowMmap) != 0) {
    out.flags |= kInitExt;
    out.flags2 |= static_cast<uint32_t>(kDirectIoAllowMmap >> 32);
  }
  if (stack_depth != 0 && (offered & kInitExt) != 0 && (offered & kPassthrough) != 0) {
    out.flags |= kInitExt;
    out.flags2 |= static_cast<uint32_t>(kPassthrough >> 32);
    // max_stack_depth, which follows flags2; Linux 6.1's header does not name it.
    memcpy(reinterpret_cast<std::byte*>(&out) + offsetof(fuse_init_out, flags2) + sizeof out.flags2, &stack_depth,
           sizeof stack_depth);
    // The kernel remembers then that a file has nothing that a write takes away (SB_NOSEC). Otherwise it would ask for the
    // file's capabilities before each write.
    if ((offered & kKillPrivV2) != 0) out.flags |= static_cast<uint32_t>(kKillPrivV2);
  }
  memcpy(reply.data() + sizeof(fuse_out_header), &out, sizeof out);
}

}  // namespace omfs
