// Going into the background, with an exit status that tells whether it worked.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

// Forks; call before there are threads. The parent waits in here until the child calls Ready or
// Failed, and ends with status 0 or 1 (after printing what went wrong). Only the child returns.
class Background {
 public:
  static absl::StatusOr<Background> Enter();
  // Cuts the ties to the terminal and releases the parent.
  void Ready();
  // The parent prints the line and ends with status 1.
  void Failed(const std::string& line);

 private:
  explicit Background(ScopedFd pipe) : pipe_(std::move(pipe)) {}
  ScopedFd pipe_;
};

}  // namespace omfs
