// showmap: the node map of this node's configuration.
#include <nlohmann/json.hpp>

#include "tools/tool.h"

namespace omfs {
namespace {

int Main(int argc, char** argv) {
  CLI::App app("Prints the node map.", "showmap");
  std::string config_path;
  bool json = false;
  app.add_option("--config", config_path, "configuration of the node");
  app.add_flag("--json", json, "print an array of JSON objects");
  int exit_status = 0;
  if (!ParseArguments(&app, argc, argv, &exit_status)) return exit_status;
  const auto config = LoadToolConfig(config_path);
  if (!config.ok()) return FailTool("showmap", config.status());
  nlohmann::json out = nlohmann::json::array();
  if (!json) printf("%5s %-16s %-24s %5s %7s\n", "NODE", "NAME", "ADDRESS", "DATA", "CONTROL");
  for (const NodeEntry& n : config->nodes) {
    const bool self = n.id == config->node;
    if (json) {
      out.push_back({{"node", n.id.value}, {"name", n.name}, {"address", n.address},
                     {"data_port", n.data_port}, {"control_port", n.control_port}, {"self", self}});
    } else {
      printf("%5u %-16s %-24s %5u %7u%s\n", n.id.value, n.name.c_str(), n.address.c_str(),
             n.data_port, n.control_port, self ? "  (this node)" : "");
    }
  }
  if (json) printf("%s\n", out.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
