#include "omfs/wire/meta.h"

#include <cstring>

#include "omfs/base/status.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

// "Leave unchanged" to setresuid(2) and chown(2): nobody has it.
constexpr uint32_t kNoId = ~0U;

}  // namespace

bool ValidName(std::string_view name) {
  return !name.empty() && name.size() <= OMFS_NAME_MAX && name != "." && name != ".." &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

MetaWriter& MetaWriter::Bytes(std::string_view bytes) {
  const auto* p = reinterpret_cast<const std::byte*>(bytes.data());
  bytes_.insert(bytes_.end(), p, p + bytes.size());
  return *this;
}

MetaWriter& MetaWriter::Creds(const Credentials& creds) {
  omfs_creds c{};
  c.uid = Le32(creds.uid);
  c.gid = Le32(creds.gid);
  c.umask = Le32(creds.umask);
  c.ngroups = Le32(static_cast<uint32_t>(creds.groups.size()));
  Pod(c);
  for (uint32_t g : creds.groups) Pod(Le32(g));
  return *this;
}

absl::Status MetaReader::Copy(void* out, size_t size) {
  if (rest_.size() < size) {
    return InvalidArgument("metadata ends early: {} bytes left, {} wanted", rest_.size(), size);
  }
  memcpy(out, rest_.data(), size);
  rest_ = rest_.subspan(size);
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> MetaReader::Bytes(size_t size, std::string_view what) {
  if (rest_.size() < size) {
    return InvalidArgument("{} of {} bytes, but {} bytes of metadata are left", what, size,
                           rest_.size());
  }
  const std::string_view bytes(reinterpret_cast<const char*>(rest_.data()), size);
  rest_ = rest_.subspan(size);
  return bytes;
}

absl::StatusOr<std::string_view> MetaReader::Name(size_t size) {
  if (size > OMFS_NAME_MAX) return InvalidArgument("a name of {} bytes", size);
  OMFS_ASSIGN_OR_RETURN(const std::string_view name, Bytes(size, "name"));
  if (!ValidName(name)) return InvalidArgument("not the name of a directory entry");
  return name;
}

absl::Status MetaReader::Creds(Credentials* out) {
  omfs_creds c;
  OMFS_RETURN_IF_ERROR(Pod(&c));
  out->uid = Le32(c.uid);
  out->gid = Le32(c.gid);
  out->umask = Le32(c.umask);
  if (out->umask & ~0777U) return InvalidArgument("umask {:o}", out->umask);
  if (out->uid == kNoId || out->gid == kNoId) return InvalidArgument("user or group id -1");
  const size_t n = Le32(c.ngroups);
  if (n > OMFS_GROUPS_MAX || n * 4 > rest_.size()) {
    return InvalidArgument("{} groups, but {} bytes of metadata are left", n, rest_.size());
  }
  out->groups.resize(n);
  for (uint32_t& g : out->groups) {
    OMFS_RETURN_IF_ERROR(Pod(&g));
    g = Le32(g);
    if (g == kNoId) return InvalidArgument("supplementary group -1");
  }
  return absl::OkStatus();
}

absl::Status MetaReader::End() const {
  if (!rest_.empty()) return InvalidArgument("{} bytes follow the metadata", rest_.size());
  return absl::OkStatus();
}

}  // namespace omfs
