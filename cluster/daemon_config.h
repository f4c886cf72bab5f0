// omfsd's configuration: the file, with keys overridden by flags (--data-port for data_port, and so on).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"

namespace omfs {

// (flag name without dashes, value), in the order given.
using Overrides = std::vector<std::pair<std::string, std::string>>;

// The flags omfsd takes, one for each key of the configuration file.
const std::vector<std::string>& OverrideFlags();

struct DaemonConfig {
  Config config;
  std::string text;         // of a configuration file that says the same as file and flags together
  bool overridden = false;  // some flag was given
};

// Reads the file and applies the flags. Errors name the file and line or the flag.
absl::StatusOr<DaemonConfig> LoadDaemonConfig(const std::string& path, const Overrides& overrides);

}  // namespace omfs
