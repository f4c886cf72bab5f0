// Network set-up, by the ip(8) program.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace omfs::box {

// The full path of ip(8); kNotFound names the package to install.
absl::StatusOr<std::string> FindIp();

// Runs "ip ARGUMENTS" (blanks separate) in the calling process's network namespace. The error holds ip's own last line.
absl::Status RunIp(const std::string& ip, const std::string& arguments);

}  // namespace omfs::box
