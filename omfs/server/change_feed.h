// What was done to watched objects, after the fact: a fanotify group that reports file handles.
//
// Events are read in batches: the thread that reads them lets a moment pass after the first, in
// which the kernel merges what is alike and the daemon's own changes - they are reported too - pile
// up without waking anybody. So a thousand files that the daemon makes in a watched directory cost
// a wake-up or two.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/server/export.h"

namespace omfs {

class ChangeFeed {
 public:
  struct Change {
    uint64_t mask;                  // FAN_*
    bool own;                       // done by this process
    std::optional<omfs_fh> object;  // that was changed, or that the entry is or was of
    std::optional<omfs_fh> dir;     // of an entry that was made, moved or removed
    std::string_view name;
  };
  // Called on the feed's thread. mask FAN_Q_OVERFLOW: changes were lost, nothing else is set.
  using Report = std::function<void(const Change&)>;

  // e: outlives the feed. pause: between the first change and the reading.
  static absl::StatusOr<std::unique_ptr<ChangeFeed>> Start(const Export* e,
                                                           std::chrono::milliseconds pause,
                                                           Report report);
  ~ChangeFeed() { Stop(); }
  void Stop();

  // Sets or removes the mark on an object of any kind; as the daemon, on a server thread (FdPath).
  Errno Mark(int path_fd, uint32_t type);
  Errno Unmark(int path_fd, uint32_t type);

 private:
  ChangeFeed(const Export* e, std::chrono::milliseconds pause, Report report);
  void Run();
  // false: nothing more is there.
  bool ReadBatch();

  const Export* const export_;
  const std::chrono::milliseconds pause_;
  const Report report_;
  const pid_t self_;
  ScopedFd group_;
  ScopedFd stop_;  // eventfd
  std::unique_ptr<char[]> buffer_;
  std::thread thread_;
};

}  // namespace omfs
