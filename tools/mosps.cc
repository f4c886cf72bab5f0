// mosps: processes of this node that have moved, and guests of other nodes that run here.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/local_client.h"
#include "omfs/base/status.h"
#include "tools/tool.h"

namespace omfs {
namespace {

void PrintTable(const local::ListReply& list) {
  printf("%7s %5s %5s %6s %-10s %5s %9s %7s %s\n", "PID", "HOME", "WHERE", "UID", "STATE", "MOVES",
         "FORWARDED", "RECALLS", "COMMAND");
  for (const local::ProcessInfo& p : list.processes()) {
    printf("%7d %5u %5u %6u %-10s %5u %9llu %7u %s\n", p.pid(), p.home(), p.where(), p.uid(),
           p.state().c_str(), p.moves(), static_cast<unsigned long long>(p.forwarded()), p.recalls(),
           Printable(p.command()).c_str());
  }
}

void PrintJson(const local::ListReply& list) {
  nlohmann::json out = nlohmann::json::array();
  for (const local::ProcessInfo& p : list.processes()) {
    out.push_back({{"pid", p.pid()}, {"home", p.home()}, {"where", p.where()}, {"uid", p.uid()},
                   {"state", p.state()}, {"moves", p.moves()}, {"forwarded", p.forwarded()},
                   {"local", p.local()}, {"recalls", p.recalls()}, {"command", p.command()}});
  }
  printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

int Main(int argc, char** argv) {
  CLI::App app("Lists migrated processes: where they live and where they run.", "mosps");
  std::string config_path;
  bool json = false;
  app.add_option("--config", config_path, "configuration of the node");
  app.add_flag("--json", json, "print an array of JSON objects");
  int exit_status = 0;
  if (!ParseArguments(&app, argc, argv, &exit_status)) return exit_status;
  const auto config = LoadToolConfig(config_path);
  if (!config.ok()) return FailTool("mosps", config.status());
  local::Request request;
  request.mutable_list();
  auto reply = AskDaemon(config->run_dir, request);
  if (!reply.ok()) return FailTool("mosps", reply.status());
  auto* processes = reply->mutable_list()->mutable_processes();
  std::sort(processes->begin(), processes->end(), [](const auto& a, const auto& b) {
    return std::pair(a.home(), a.pid()) < std::pair(b.home(), b.pid());
  });
  json ? PrintJson(reply->list()) : PrintTable(reply->list());
  return 0;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
