#include "omfs-fuse/own_files.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdlib>

#include "omfs-fuse/proc_file.h"
#include "omfs/base/log.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/local_files.h"

namespace omfs {
namespace {

// Why `local = bind` is not done. Processes that work on a bind mount are native ones to the owner: what they do to names and
// attributes is noticed some milliseconds later where others cache (omfs/server/native_watch.h), until the kernel's delegations
// on directories are used there.
constexpr char kNoBind[] = "local = bind is not done: changes of names and attributes would be noticed late by other nodes";

Passthrough::Options OptionsOf(const Config& config) {
  Passthrough::Options options;
  options.wanted = config.passthrough;
  options.why = "passthrough = no";
  options.root_is_nobody = config.root_squash;
  // No deeper than it must be: the deeper this one counts, the fewer can be stacked on it.
  struct statfs fs;
  if (statfs(config.export_path.c_str(), &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC) options.stack_depth = 2;
  return options;
}

}  // namespace

OwnFiles::OwnFiles(const Config& config, std::string mount_path)
    : mount_path_(std::move(mount_path)),
      remark_(config.local_bind ? kNoBind : ""),
      passthrough_(OptionsOf(config)),
      owner_(config.run_dir + "/" + kLocalFilesSocket) {}

void OwnFiles::Connected(int device, uint64_t offered) {
  passthrough_.Connected(device, offered);
  std::string detail = passthrough_.why_not();
  if (!remark_.empty()) detail += (detail.empty() ? "" : "; ") + remark_;
  spdlog::info("own files path={} passthrough={} detail={}", mount_path_, passthrough_.active() ? "yes" : "no", Quoted(detail));
  owner_.Announce(mount_path_, passthrough_.active(), detail);
}

Passthrough::Terms OwnFiles::Enter(NodeClient* node, FuseInode* inode, const Opened& opened) {
  const RemoteOpenRef& open = opened.open;
  return passthrough_.Enter(&inode->backing, {open->flags(), open->opener().uid, Le32(opened.entry.attr.mode)},
                            [&]() -> ErrnoOr<ScopedFd> {
                              // The owner may have been restarted since.
                              for (int attempt = 0;; ++attempt) {
                                const auto key = node->KeyOf(open);
                                if (!key.ok()) return key.error();
                                auto fd = owner_.Descriptor(key->session, key->open, open->fh());
                                if (fd.ok() || fd.error().value != ESTALE || attempt == 2) return fd;
                              }
                            });
}

bool OwnFiles::BelongsToWrite(const RequestIds& ids, const FuseInode* inode, std::string_view name) {
  if (inode == nullptr || !inode->backing.backed() || name != "security.capability") return false;
  const auto status = ReadProcFile(fmt::format("/proc/{}/status", ids.pid));
  const size_t at = status ? status->find("\nCapEff:") : std::string::npos;
  if (at == std::string::npos) return false;
  const uint64_t effective = strtoull(status->c_str() + at + 8, nullptr, 16);
  return (effective >> CAP_SETFCAP & 1) == 0;
}

void OwnFiles::Leave(FuseInode* inode) {
  // Reads have moved the time of the last access.
  inode->cache.ForgetAttributes();
  passthrough_.Leave(&inode->backing);
}

}  // namespace omfs
