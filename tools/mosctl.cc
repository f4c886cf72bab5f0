// mosctl: the administrator's tool.
#include <ctime>
#include <nlohmann/json.hpp>

#include "cluster/control_channel.h"
#include "cluster/local_client.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "tools/membership.h"
#include "tools/mounts.h"
#include "tools/tool.h"

namespace omfs {
namespace {

using nlohmann::json;

// Verbs that DESIGN names and that this version does not carry out.
constexpr const char* kLaterVerbs[] = {"stay", "bring", "expel", "block", "nomfs", "limit"};

struct Arguments {
  std::string config_path = kDefaultConfigPath;
  bool json = false;
  NewNode node;
  std::string token;
  std::string ttl = "24h";
  uint32_t for_node = 0;
  std::string pid;
  std::string which;  // node
  bool hard = false;
  bool soft = false;
};

std::string Dump(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

absl::Status PrintMembership(const absl::StatusOr<Membership>& m, const Arguments& args,
                             const char* what) {
  if (!m.ok()) return m.status();
  if (args.json) {
    printf("%s\n", Dump({{"node", m->node.value}, {"config", m->config_path}, {"pki", m->pki_dir}}).c_str());
  } else {
    printf("node %u %s; certificates in %s\n", m->node.value, what, m->pki_dir.c_str());
  }
  return absl::OkStatus();
}

absl::Status Init(const Arguments& args) {
  NewNode node = args.node;
  node.config_path = args.config_path;
  return PrintMembership(InitCluster(node), args, "holds the CA of a new cluster");
}

absl::Status Join(const Arguments& args) {
  NewNode node = args.node;
  node.config_path = args.config_path;
  return PrintMembership(JoinWithToken(node, args.token), args, "has joined");
}

absl::Status Token(const Arguments& args) {
  OMFS_ASSIGN_OR_RETURN(const NewToken token,
                        MakeJoinToken(args.config_path, args.ttl, args.for_node));
  if (args.json) {
    printf("%s\n", Dump({{"token", token.text}, {"expires", token.expires}}).c_str());
  } else {
    printf("%s\n", token.text.c_str());
  }
  return absl::OkStatus();
}

absl::StatusOr<local::Reply> Ask(const Arguments& args, const local::Request& request) {
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadToolConfig(args.config_path));
  return AskDaemon(config.run_dir, request);
}

json NodesJson(const local::StatusReply& status) {
  json nodes = json::array();
  for (const local::NodeStatus& n : status.nodes()) {
    nodes.push_back({{"node", n.node()}, {"name", n.name()}, {"address", n.address()},
                     {"up", n.up()}, {"detail", n.detail()}, {"self", n.node() == status.node()}});
  }
  return nodes;
}

void PrintNodes(const local::StatusReply& status) {
  printf("%5s %-12s %-20s %-5s %s\n", "NODE", "NAME", "ADDRESS", "STATE", "DETAIL");
  for (const local::NodeStatus& n : status.nodes()) {
    printf("%5u %-12s %-20s %-5s %s\n", n.node(), n.name().c_str(), n.address().c_str(),
           n.up() ? "up" : "down", n.detail().c_str());
  }
}

absl::StatusOr<local::StatusReply> AskStatus(const Arguments& args) {
  local::Request request;
  request.mutable_status();
  OMFS_ASSIGN_OR_RETURN(const local::Reply reply, Ask(args, request));
  return reply.status();
}

absl::Status Nodes(const Arguments& args) {
  OMFS_ASSIGN_OR_RETURN(const local::StatusReply status, AskStatus(args));
  args.json ? (void)printf("%s\n", Dump(NodesJson(status)).c_str()) : PrintNodes(status);
  return absl::OkStatus();
}

json OwnMountsJson(const local::StatusReply& status) {
  json out = json::array();
  for (const local::OwnMount& m : status.own_mounts()) {
    out.push_back({{"path", m.path()}, {"active", m.passthrough() ? "passthrough" : "fuse"}, {"detail", m.detail()}});
  }
  return out;
}

void PrintOwnMounts(const local::StatusReply& status) {
  if (status.own_mounts().empty()) printf("own files       not mounted\n");
  for (const local::OwnMount& m : status.own_mounts()) {
    printf("own files       %s: %s%s%s\n", Printable(m.path()).c_str(),
           m.passthrough() ? "FUSE passthrough" : "FUSE without passthrough", m.detail().empty() ? "" : ": ",
           Printable(m.detail()).c_str());
  }
}

absl::Status Status(const Arguments& args) {
  OMFS_ASSIGN_OR_RETURN(const local::StatusReply status, AskStatus(args));
  if (args.json) {
    printf("%s\n", Dump({{"node", status.node()}, {"export", status.export_path()},
                         {"native_changes", status.native_changes()},
                         {"own_files", OwnMountsJson(status)},
                         {"sessions", status.sessions()}, {"opens", status.opens()},
                         {"nameless", status.nameless()}, {"fd_keeper", status.fd_keeper()},
                         {"nodes", NodesJson(status)}}).c_str());
    return absl::OkStatus();
  }
  printf("node            %u\nexport          %s\nnative changes  %s\n", status.node(), status.export_path().c_str(),
         status.native_changes().c_str());
  PrintOwnMounts(status);
  printf("sessions        %llu\nopens           %llu\nnameless files  %llu (%s)\n\n",
         static_cast<unsigned long long>(status.sessions()), static_cast<unsigned long long>(status.opens()),
         static_cast<unsigned long long>(status.nameless()),
         status.fd_keeper() ? "kept by omfs-fdkeeper" : "lost with omfsd: no fd-keeper runs");
  PrintNodes(status);
  return absl::OkStatus();
}

json ReasonsJson(const google::protobuf::RepeatedPtrField<local::Reason>& reasons) {
  json out = json::array();
  for (const local::Reason& r : reasons) out.push_back({{"what", r.what()}, {"count", r.count()}});
  return out;
}

void PrintReasons(const char* title,
                  const google::protobuf::RepeatedPtrField<local::Reason>& reasons) {
  if (!reasons.empty()) printf("%s\n", title);
  for (const local::Reason& r : reasons) {
    printf("%10llu  %s\n", static_cast<unsigned long long>(r.count()), Printable(r.what()).c_str());
  }
}

absl::Status Why(const Arguments& args) {
  local::Request request;
  OMFS_ASSIGN_OR_RETURN(const int32_t pid, PidArgument(args.pid));
  request.mutable_why()->set_pid(pid);
  OMFS_ASSIGN_OR_RETURN(const local::Reply reply, Ask(args, request));
  const local::WhyReply& why = reply.why();
  if (args.json) {
    printf("%s\n", Dump({{"pid", pid}, {"text", why.text()}, {"recalls", ReasonsJson(why.recalls())},
                         {"forwarded", ReasonsJson(why.forwarded())}}).c_str());
    return absl::OkStatus();
  }
  printf("%s\n", Printable(why.text()).c_str());
  PrintReasons("recalled home:", why.recalls());
  PrintReasons("calls run at home:", why.forwarded());
  return absl::OkStatus();
}

absl::Status Abort(const Arguments& args) { return AbortNode(args.config_path, args.which); }

absl::Status Mount(const Arguments& args) {
  return MountNode(args.config_path, args.which, args.hard || args.soft ? std::optional<bool>(args.hard) : std::nullopt);
}

absl::Status Mounts(const Arguments& args) {
  OMFS_ASSIGN_OR_RETURN(const std::vector<NodeMountState> mounts, ListMounts(args.config_path));
  json list = json::array();
  for (const NodeMountState& m : mounts) {
    list.push_back({{"node", m.node}, {"owner", m.owner}, {"hard", m.hard}, {"mounted", m.mounted}});
  }
  if (args.json) {
    printf("%s\n", Dump(list).c_str());
    return absl::OkStatus();
  }
  printf("%5s %-12s %-5s %s\n", "NODE", "OWNER", "WAITS", "MOUNT");
  for (const NodeMountState& m : mounts) {
    printf("%5u %-12s %-5s %s\n", m.node, Printable(m.owner).c_str(), m.hard ? "hard" : "soft", m.mounted ? "mounted" : "ended");
  }
  return absl::OkStatus();
}

CLI::App* AddVerb(CLI::App* app, const char* name, const char* text, Arguments* args) {
  CLI::App* verb = app->add_subcommand(name, text);
  verb->add_option("--config", args->config_path, "configuration of the node")->capture_default_str();
  verb->add_flag("--json", args->json, "print JSON");
  return verb;
}

void AddNewNode(CLI::App* verb, Arguments* args) {
  verb->add_option("--node", args->node.node, "number of this node, 1..65535")->required();
  verb->add_option("--name", args->node.name, "its name, for a node map that is made now");
  verb->add_option("--address", args->node.address, "its address, for a node map that is made now");
}

int Main(int argc, char** argv) {
  Arguments args;
  CLI::App app("Administers an oMFS node.", "mosctl");
  app.require_subcommand(1);
  using Verb = absl::Status (*)(const Arguments&);
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  const auto add = [&](const char* name, const char* text, Verb run) {
    verbs.emplace_back(AddVerb(&app, name, text, &args), run);
    return verbs.back().first;
  };
  AddNewNode(add("init", "make a new cluster; this node holds its CA", Init), &args);
  CLI::App* token = add("token", "print a token that lets a node join", Token);
  token->add_option("--ttl", args.ttl, "how long it is good: 90s, 30m, 24h, 7d")->capture_default_str();
  token->add_option("--node", args.for_node,
                    "only for this number, even if that has a certificate already");
  CLI::App* join = add("join", "make this node a member of a cluster", Join);
  join->add_option("TOKEN", args.token, "from \"mosctl token\" on the CA's node")->required();
  AddNewNode(join, &args);
  add("status", "this node and what it knows of the others", Status);
  add("nodes", "the nodes of the cluster", Nodes);
  add("why", "why a process is where it is", Why)
      ->add_option("PID", args.pid, "process of this node")->required();
  add("abort", "make every call on a node's files fail at once, until it is back or \"mosctl mount\"", Abort)
      ->add_option("NODE", args.which, "number or name")->required();
  CLI::App* mount = add("mount", "take an abort back; mount a node's directory again", Mount);
  mount->add_option("NODE", args.which, "number or name")->required();
  CLI::Option* hard = mount->add_flag("--hard", args.hard, "from now on calls wait for the node as long as it takes");
  mount->add_flag("--soft", args.soft, "from now on calls fail when the lease has passed")->excludes(hard);
  add("mounts", "how the nodes' directories are mounted here", Mounts);
  std::vector<CLI::App*> later;
  for (const char* name : kLaterVerbs) {
    later.push_back(app.add_subcommand(name, "not in this version")->prefix_command());
  }
  // CLI11 would only say that a verb is missing.
  const auto known = [&](const CLI::App* verb) { return verb->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(known).empty()) {
    return FailTool("mosctl", InvalidArgument("no verb \"{}\" (see mosctl --help)", argv[1]), 2);
  }
  int exit_status = 0;
  if (!ParseArguments(&app, argc, argv, &exit_status)) return exit_status;
  for (CLI::App* verb : later) {
    if (verb->parsed()) {
      return FailTool("mosctl", absl::UnimplementedError(verb->get_name() + ": not in this version"));
    }
  }
  InitLogging("mosctl", "error", "").IgnoreError();
  TakeOverGrpcLog();
  for (const auto& [verb, run] : verbs) {
    if (!verb->parsed()) continue;
    const absl::Status status = run(args);
    return status.ok() ? 0 : FailTool("mosctl", status);
  }
  return 1;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
