#include "cluster/daemon_config.h"

#include <algorithm>

#include "cluster/files.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

std::string KeyOf(std::string flag) {
  std::replace(flag.begin(), flag.end(), '-', '_');
  return flag;
}

// A flag's value is checked alone first, so that an error names the flag and not a line nobody wrote.
absl::Status CheckFlag(const std::string& flag, const std::string& value) {
  const auto parsed = value.find_first_of("#\n") == value.npos
                          ? ParseConfig(fmt::format("node = 1\n{} = {}\n", KeyOf(flag), value), "flag")
                          : absl::InvalidArgumentError("");
  if (parsed.ok()) return absl::OkStatus();
  return InvalidArgument("--{}: \"{}\" is no value for it", flag, value);
}

}  // namespace

const std::vector<std::string>& OverrideFlags() {
  static const std::vector<std::string> flags = {
      "node",  "listen", "data-port", "control-port", "export",    "root-squash", "mount",
      "nodes", "pki",    "state",     "run",          "log-level", "log-file",    "lease-ms"};
  return flags;
}

absl::StatusOr<DaemonConfig> LoadDaemonConfig(const std::string& path, const Overrides& overrides) {
  OMFS_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path));
  const bool has_node = std::any_of(overrides.begin(), overrides.end(),
                                    [](const auto& flag) { return flag.first == "node"; });
  OMFS_RETURN_IF_ERROR(ParseConfig(has_node ? text + "\nnode = 1\n" : text, path).status());
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (const auto& [flag, value] : overrides) {
    OMFS_RETURN_IF_ERROR(CheckFlag(flag, value));
    text += fmt::format("{} = {}\n", KeyOf(flag), value);
  }
  DaemonConfig out;
  OMFS_ASSIGN_OR_RETURN(out.config, ParseConfig(text, path));
  OMFS_ASSIGN_OR_RETURN(const std::string map, ReadWholeFile(out.config.node_map));
  OMFS_ASSIGN_OR_RETURN(out.config.nodes, ParseNodeMap(map, out.config.node_map));
  if (out.config.Find(out.config.node) == nullptr) {
    return InvalidArgument("{}: node {} of {} is not in the map", out.config.node_map,
                           out.config.node.value, path);
  }
  out.text = std::move(text);
  out.overridden = !overrides.empty();
  return out;
}

}  // namespace omfs
