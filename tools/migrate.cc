// migrate: moves a running process.
#include "cluster/local_client.h"
#include "omfs/base/status.h"
#include "tools/tool.h"

#include <nlohmann/json.hpp>

namespace omfs {
namespace {

absl::Status Migrate(const Config& config, const std::string& pid_text, const std::string& where, bool no_dfsa) {
  OMFS_ASSIGN_OR_RETURN(const int32_t pid, PidArgument(pid_text));
  OMFS_ASSIGN_OR_RETURN(const uint32_t node, NodeArgument(config, where));
  local::Request request;
  request.mutable_migrate()->set_pid(pid);
  request.mutable_migrate()->set_node(node);
  request.mutable_migrate()->set_no_dfsa(no_dfsa);
  return AskDaemon(config.run_dir, request).status();
}

int Main(int argc, char** argv) {
  CLI::App app("Moves a running process to a node, or home.", "migrate");
  std::string pid, where, config_path;
  bool json = false, no_dfsa = false;
  app.add_option("PID", pid, "process of this node")->required();
  app.add_option("NODE", where, "number or name of a node, \"home\", or \"balance\"")->required();
  app.add_option("--config", config_path, "configuration of the node");
  app.add_flag("--no-dfsa", no_dfsa, "forward file calls below /mfs home like all others");
  app.add_flag("--json", json, "print the result as JSON");
  int exit_status = 0;
  if (!ParseArguments(&app, argc, argv, &exit_status)) return exit_status;
  if (where == "balance") {
    return FailTool("migrate", absl::UnimplementedError("balance: not in this version"));
  }
  const auto config = LoadToolConfig(config_path);
  const absl::Status status = config.ok() ? Migrate(*config, pid, where, no_dfsa) : config.status();
  if (json) {
    nlohmann::json out = {{"pid", pid}, {"node", where}, {"ok", status.ok()}};
    if (!status.ok()) out["error"] = Text(status);
    printf("%s\n", out.dump().c_str());
    return status.ok() ? 0 : 1;
  }
  return status.ok() ? 0 : FailTool("migrate", status);
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
