// LocalFiles: the daemon's end of the socket for this node's own omfs-fuse (omfs/wire/local_files.h).
//
// A descriptor is given out for an open that the server has granted: the caller's permission was checked and the recalls were
// made when it was opened, and the descriptor is one of the export's private mount, of the very file. It is an O_PATH
// descriptor: nothing can be read or written with it; the kernel opens the file anew from it for each open of FUSE's, with that
// one's access mode.
//
// What is done through such opens is native to this server: it does not pass it. The kernel counts those opens, and maps that
// outlive them, like those of any other process, and makes them wait at the gate of a watched file (native_watch.h); so a file
// that is open for writing through one is cached by nobody, and no claim or recall needs to know of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"
#include "proto/omfs_wire.h"

namespace omfs {

// Thread-safe.
class LocalFiles {
 public:
  // The O_PATH descriptor of what an open of this session is of. ESTALE: there is no such open, or it is of another file.
  // Called from several threads.
  using Find = std::function<ErrnoOr<ScopedFd>(SessionId session, OpenId open, const omfs_fh& object)>;

  // A mount of this node that serves its own files.
  struct Mount {
    std::string path;
    bool passthrough = false;
    std::string detail;  // why not otherwise; may be empty
  };

  // Listens on path, for root only. Errors name the path.
  static absl::StatusOr<std::unique_ptr<LocalFiles>> Start(const std::string& path, Find find);
  // Those that have said so and whose connection lasts.
  std::vector<Mount> Mounts() const;
  // No more connections; find is not called any more. Idempotent.
  void Stop();
  ~LocalFiles();

 private:
  class Impl;
  explicit LocalFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace omfs
