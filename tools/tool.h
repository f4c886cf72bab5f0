// What the users' tools share: the node's configuration, one-line errors, names of nodes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"

namespace omfs {

// Prints "TOOL: message" on stderr and gives the exit status.
int FailTool(const std::string& tool, const absl::Status& status, int exit_status = 1);

// Parses; on wrong arguments prints one line. true: go on; false: end with *exit_status.
bool ParseArguments(CLI::App* app, int argc, char** argv, int* exit_status);

// The node's configuration and map. from: a file, or empty for the usual one.
absl::StatusOr<Config> LoadToolConfig(const std::string& from);

// A node by number or name; "home" gives 0.
absl::StatusOr<uint32_t> NodeArgument(const Config& config, const std::string& text);

// A process number, 1 or more.
absl::StatusOr<int32_t> PidArgument(const std::string& text);

}  // namespace omfs
