// Structured logging: one line per event, "time level [program] event key=value ...", to stderr (systemd's
// journal takes it from there) or to a file. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <spdlog/spdlog.h>

#include "absl/status/status.h"

namespace omfs {

// Called once at start. level: trace, debug, info, warning, error. file: empty = stderr.
absl::Status InitLogging(const std::string& program, const std::string& level, const std::string& file);

// A value quoted when it holds blanks or quotes, for use in key=value lines.
std::string Quoted(std::string_view value);

}  // namespace omfs
