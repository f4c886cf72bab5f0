// Removing what a box's users left in its directories.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace omfs::box {

// Removes a file or a whole directory, immutable and append-only files included. It follows no symbolic link and leaves no
// file system. Missing is fine.
absl::Status RemoveTree(const std::string& path);

}  // namespace omfs::box
