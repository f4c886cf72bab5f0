// omfs-box: a cluster on one machine.
#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cluster/local_client.h"
#include "omfs/base/status.h"
#include "tools/box/box.h"
#include "tools/box/daemons.h"
#include "tools/box/hub.h"
#include "tools/box/node.h"
#include "tools/box/run_ip.h"
#include "tools/box/up.h"
#include "tools/tool.h"

namespace omfs::box {
namespace {

constexpr int kExecFailure = 125;
constexpr char kUsage[] =
    "usage: omfs-box VERB [--name NAME] ...\n"
    "  up [--nodes 3] [--dir DIR] [--fs fuse|none] [--set KEY=VALUE]...\n"
    "                                               make a cluster on this machine\n"
    "  exec [--user U] K [--] COMMAND...            run COMMAND in node K\n"
    "  kill K | start K                             SIGKILL omfsd of node K; start it again\n"
    "  stop K | cont K                              SIGSTOP, SIGCONT to omfsd of node K\n"
    "  cut K | heal K                               take node K off the network and back\n"
    "  status [--json]                              what runs\n"
    "  down                                         end the box and remove all of it\n";

int Fail(const absl::Status& status, int exit_status = 1) {
  return FailTool("omfs-box", status, exit_status);
}

absl::StatusOr<int> NodeNumber(const std::string& text) {
  int node = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), node);
  if (error != std::errc() || end != text.data() + text.size() || node < 1) {
    return InvalidArgument("\"{}\" is not a node's number", text);
  }
  return node;
}

// `exec` reads its own options up to K; all after that is the command's.
int Exec(int argc, char** argv) {
  static constexpr option kOptions[] = {{"name", required_argument, nullptr, 'N'},
                                        {"user", required_argument, nullptr, 'u'},
                                        {nullptr, 0, nullptr, 0}};
  std::string name = "box", user;
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, "+:u:", kOptions, nullptr)) != -1;) {
    if (c == 'N') {
      name = optarg;
    } else if (c == 'u') {
      user = optarg;
    } else {
      return Fail(InvalidArgument("exec: {} {}", c == ':' ? "value missing after" : "unknown option",
                                  argv[optind - 1]),
                  kExecFailure);
    }
  }
  if (optind >= argc) return Fail(InvalidArgument("exec: no node given"), kExecFailure);
  const auto node = NodeNumber(argv[optind++]);
  if (!node.ok()) return Fail(node.status(), kExecFailure);
  if (optind < argc && std::string(argv[optind]) == "--") ++optind;
  if (optind >= argc) return Fail(InvalidArgument("exec: no command given"), kExecFailure);
  const auto box = LoadBox(name);
  if (!box.ok()) return Fail(box.status(), kExecFailure);
  return ExecInNode(*box, *node, user, argv + optind);
}

const char* StateWord(char state) {
  return state == 0 ? "dead" : state == 'T' || state == 't' ? "stopped" : "running";
}

nlohmann::json NodeStatusJson(const Box& box, int node) {
  nlohmann::json j = {{"node", node}, {"address", box.Address(node)}, {"dir", box.NodeDir(node)}};
  const auto daemon = DaemonState(box, node, kDaemon);
  const auto fuse = box.fs == "fuse" ? DaemonState(box, node, kFuse) : absl::StatusOr<char>(0);
  const auto link = LinkIsUp(box, node);
  j["alive"] = daemon.ok();
  j["omfsd"] = daemon.ok() ? StateWord(*daemon) : "dead";
  j["omfs_fuse"] = box.fs != "fuse" ? "none" : fuse.ok() ? StateWord(*fuse) : "dead";
  j["link"] = link.ok() ? (*link ? "up" : "cut") : "gone";
  j["answers"] = daemon.ok() && *daemon != 0 && *daemon != 'T' && DaemonAnswers(box, node);
  return j;
}

absl::Status Status(const Box& box, bool as_json) {
  nlohmann::json j = {{"name", box.name}, {"dir", box.dir}, {"fs", box.fs}, {"nodes", nlohmann::json::array()}};
  for (int node = 1; node <= box.nodes; ++node) j["nodes"].push_back(NodeStatusJson(box, node));
  if (as_json) {
    printf("%s\n", j.dump(2).c_str());
    return absl::OkStatus();
  }
  printf("box %s in %s\n%4s  %-12s %-8s %-9s %-5s %s\n", box.name.c_str(), box.dir.c_str(), "NODE",
         "ADDRESS", "OMFSD", "OMFS-FUSE", "LINK", "ANSWERS");
  for (const auto& n : j["nodes"]) {
    printf("%4d  %-12s %-8s %-9s %-5s %s\n", n["node"].get<int>(), n["address"].get<std::string>().c_str(),
           n["omfsd"].get<std::string>().c_str(), n["omfs_fuse"].get<std::string>().c_str(),
           n["link"].get<std::string>().c_str(), n["answers"].get<bool>() ? "yes" : "no");
  }
  return absl::OkStatus();
}

absl::Status OnNode(const std::string& verb, const Box& box, const std::string& node_text) {
  OMFS_ASSIGN_OR_RETURN(const int node, NodeNumber(node_text));
  OMFS_RETURN_IF_ERROR(OpenNode(box, node).status());
  if (verb == "kill") return SignalDaemon(box, node, SIGKILL);
  if (verb == "stop") return SignalDaemon(box, node, SIGSTOP);
  if (verb == "cont") return SignalDaemon(box, node, SIGCONT);
  if (verb == "start") return StartNodeDaemons(box, node);
  OMFS_ASSIGN_OR_RETURN(const std::string ip, FindIp());
  return SetLink(box, ip, node, verb == "heal");
}

struct Arguments {
  UpOptions up;
  std::string node;
  bool json = false;
};

absl::Status Run(const std::string& verb, const Arguments& args) {
  if (verb == "up") return Up(args.up);
  if (verb == "down") {
    OMFS_ASSIGN_OR_RETURN(const bool was_up, Down(args.up.name));
    if (!was_up) printf("omfs-box: box %s is not up\n", args.up.name.c_str());
    return absl::OkStatus();
  }
  OMFS_ASSIGN_OR_RETURN(const Box box, LoadBox(args.up.name));
  if (verb == "status") return Status(box, args.json);
  return OnNode(verb, box, args.node);
}

int Main(int argc, char** argv) {
  // "omfs-box --name NAME VERB ..." means the same as "omfs-box VERB --name NAME ...".
  if (argc > 3 && std::string(argv[1]) == "--name") std::rotate(argv + 1, argv + 3, argv + 4);
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb.empty() || verb == "--help" || verb == "help" || verb == "-h") {
    fputs(kUsage, verb.empty() ? stderr : stdout);
    return verb.empty() ? 2 : 0;
  }
  const bool on_node = verb == "kill" || verb == "start" || verb == "stop" || verb == "cont" ||
                       verb == "cut" || verb == "heal";
  if (!on_node && verb != "up" && verb != "exec" && verb != "status" && verb != "down") {
    return Fail(InvalidArgument("no verb \"{}\" (see omfs-box --help)", verb), 2);
  }
  if (verb == "exec" && geteuid() == 0) return Exec(argc - 1, argv + 1);
  Arguments args;
  CLI::App app("omfs-box " + verb, "omfs-box");
  app.add_option("--name", args.up.name, "which box")->capture_default_str();
  app.add_flag("--json", args.json, "print JSON");
  if (verb == "up") {
    app.add_option("--nodes", args.up.nodes, "number of nodes")->capture_default_str();
    app.add_option("--dir", args.up.dir, "where its files are (default /var/tmp/omfs-box-NAME)");
    app.add_option("--fs", args.up.fs, "client of /mfs: fuse, or none for no /mfs")->capture_default_str();
    app.add_option("--skew", args.up.skews, "K=SECONDS: node K stamps files by a clock so far ahead, or behind if negative");
    app.add_option("--set", args.up.settings, "a line of every node's omfs.conf, e.g. lease_ms=2000");
  }
  if (on_node) app.add_option("K", args.node, "number of the node")->required();
  if (verb == "exec") app.prefix_command();
  int exit_status = 0;
  if (!ParseArguments(&app, argc - 1, argv + 1, &exit_status)) return exit_status;
  if (geteuid() != 0) {
    return Fail(absl::PermissionDeniedError("needs root"), verb == "exec" ? kExecFailure : 1);
  }
  const absl::Status status = Run(verb, args);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace omfs::box

int main(int argc, char** argv) { return omfs::box::Main(argc, argv); }
