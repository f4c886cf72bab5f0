// The command line, for both names of the program.
//
//   omfs-fuse [--config FILE] [-f|--foreground] [-o OPTIONS] [MOUNTPOINT]
//   mount.omfs SOURCE MOUNTPOINT [-fnsv] [-o OPTIONS]     as mount(8) calls it; SOURCE is not used
//
// OPTIONS, comma-separated: config=FILE; hard, soft (docs/failure.md); and the generic ones suid nosuid dev nodev exec noexec
// atime noatime rw ro sync dirsync; defaults, auto, noauto, nofail, _netdev, user, users and x-...
// are mount(8)'s own and mean nothing here.
#pragma once

#include <sys/mount.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace omfs {

struct FuseOptions {
  std::string config_path;
  std::string mount_point;  // empty: as configured
  bool foreground = false;
  bool fake = false;  // mount -f: do everything but mount
  std::optional<bool> hard;  // nullopt: as configured
  unsigned long flags = MS_NOSUID | MS_NODEV;
};

// kCancelled: the text (of --help, --version) is to be printed and nothing done. Other errors: what
// is wrong.
absl::StatusOr<FuseOptions> ParseFuseOptions(int argc, char** argv);

}  // namespace omfs
