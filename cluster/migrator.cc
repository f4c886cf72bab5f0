#include "cluster/migrator.h"

#include <unistd.h>

#include <algorithm>

#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr auto kLaunchStart = std::chrono::seconds(15);

}  // namespace

absl::StatusOr<NodeEntry> Migrator::Destination(uint32_t node) const {
  const NodeEntry* entry = node <= 65535 ? config_.Find(NodeId(static_cast<uint16_t>(node))) : nullptr;
  if (entry == nullptr) return absl::NotFoundError(fmt::format("no node {} in the node map", node));
  return *entry;
}

absl::StatusOr<local::AgentCommand> Migrator::Prepare(const NodeEntry& node, pid_t pid,
                                                      const ProcessFacts& facts) {
  control::ReceiveRequest request;
  request.set_home(config_.node.value);
  request.set_pid(pid);
  request.set_uid(facts.uid);
  request.set_command(facts.command);
  for (const std::string& feature : CpuFeatures()) request.add_cpu_flags(feature);
  request.set_xsave_size(ExtendedStateSize());
  OMFS_ASSIGN_OR_RETURN(const control::ReceiveReply ticket, control_->Receive(node.id, request));
  local::AgentCommand command;
  local::MoveTo* to = command.mutable_move_to();
  to->set_node(node.id.value);
  to->set_address(node.address);
  to->set_port(ticket.port());
  to->set_token(ticket.token());
  return command;
}

absl::Status Migrator::Migrate(pid_t pid, uint32_t node, uid_t user, bool no_dfsa) {
  OMFS_ASSIGN_OR_RETURN(const ProcessFacts facts, LookUpProcess(pid));
  OMFS_RETURN_IF_ERROR(CheckMayMove(pid, facts, user));
  if (pid == getpid() || pid == 1) return InvalidArgument("process {} cannot be moved", pid);
  {
    std::lock_guard lock(mutex_);
    if (!moving_.insert(pid).second) {
      return FailedPrecondition("process {} is being moved already", pid);
    }
  }
  const absl::Status status = MigrateExclusively(pid, node, facts, no_dfsa);
  {
    std::lock_guard lock(mutex_);
    moving_.erase(pid);
  }
  if (status.ok()) {
    spdlog::info("moved pid={} node={} by_uid={}", pid, node == 0 ? config_.node.value : node, user);
  } else {
    spdlog::warn("move_failed pid={} node={} by_uid={} reason={}", pid, node, user,
                 Quoted(Text(status)));
  }
  return status;
}

absl::Status Migrator::MigrateExclusively(pid_t pid, uint32_t node, const ProcessFacts& facts,
                                          bool no_dfsa) {
  const bool homeward = node == 0 || node == config_.node.value;
  NodeEntry destination;
  if (!homeward) {
    OMFS_ASSIGN_OR_RETURN(destination, Destination(node));
  }
  std::shared_ptr<Agent> agent = agents_->FindDeputy(pid);
  const uint32_t where =
      agent && agent->last().has_process() ? agent->last().process().where() : config_.node.value;
  const bool away = where != config_.node.value;
  if (homeward ? !away : where == node) return absl::OkStatus();

  local::AgentCommand go;
  if (!homeward) {
    OMFS_ASSIGN_OR_RETURN(go, Prepare(destination, pid, facts));
    go.mutable_move_to()->set_no_dfsa(no_dfsa);
  }
  if (away) {
    local::AgentCommand home;
    home.mutable_move_home();
    const absl::Status status = agent->Command(home);
    // It may have been on its way home already, and its agent ended before reading the command.
    const bool back = agent->ended() && agent->last().process().where() == config_.node.value;
    if (!status.ok() && !back) return status;
    if (homeward) return absl::OkStatus();
    agent = agents_->FindDeputy(pid);  // it may have ended with its work done
  }
  if (agent) {
    const absl::Status status = agent->Command(go);
    if (status.ok() || !agent->ended()) return status;
    // It was on its way out after bringing the process home, now or a moment ago, and never read the command.
  }
  OMFS_ASSIGN_OR_RETURN(agent, agents_->StartDeputy(pid, facts, false));
  return agent->Command(go);
}

absl::Status Migrator::Launch(const ucred& caller, uint32_t node, bool no_dfsa) {
  if (node == config_.node.value) return absl::OkStatus();
  OMFS_ASSIGN_OR_RETURN(const NodeEntry destination, Destination(node));
  OMFS_ASSIGN_OR_RETURN(const ProcessFacts facts, LookUpProcess(caller.pid));
  OMFS_RETURN_IF_ERROR(CheckMayMove(caller.pid, facts, caller.uid));
  if (agents_->FindDeputy(caller.pid)) {
    return FailedPrecondition("process {} has been moved already", caller.pid);
  }
  OMFS_ASSIGN_OR_RETURN(local::AgentCommand go, Prepare(destination, caller.pid, facts));
  go.mutable_move_to()->set_no_dfsa(no_dfsa);
  OMFS_ASSIGN_OR_RETURN(const std::shared_ptr<Agent> agent,
                        agents_->StartDeputy(caller.pid, facts, true));
  const absl::Status watching = agent->Await(
      [](const local::AgentEvent& e) { return e.has_process(); }, kLaunchStart);
  if (!watching.ok()) {
    agent->Kill();
    return watching;
  }
  OMFS_RETURN_IF_ERROR(agent->Send(go));
  spdlog::info("launching pid={} node={} by_uid={}", caller.pid, node, caller.uid);
  return absl::OkStatus();
}

absl::StatusOr<control::ReceiveReply> Migrator::Receive(const control::ReceiveRequest& request) {
  const std::vector<std::string> here = CpuFeatures();
  for (const std::string& feature : request.cpu_flags()) {
    if (!std::binary_search(here.begin(), here.end(), feature)) {
      return FailedPrecondition("the processor of node {} lacks {}", config_.node.value, feature);
    }
  }
  if (request.xsave_size() > ExtendedStateSize()) {
    return FailedPrecondition("the processor state of node {} is smaller than the process's",
                              config_.node.value);
  }
  if (request.pid() <= 0) return InvalidArgument("process number {}", request.pid());
  OMFS_ASSIGN_OR_RETURN(const Ticket ticket,
                        agents_->StartKeeper(NodeId(static_cast<uint16_t>(request.home())),
                                             request.pid()));
  spdlog::info("receiving home={} pid={} uid={} command={}", request.home(), request.pid(),
               request.uid(), Quoted(request.command()));
  control::ReceiveReply reply;
  reply.set_port(ticket.port);
  reply.set_token(ticket.token);
  return reply;
}

absl::StatusOr<local::WhyReply> Migrator::Why(pid_t pid) {
  if (const auto known = agents_->Find(pid)) {
    local::WhyReply why = known->why;
    if (why.text().empty()) {
      why.set_text(fmt::format("process {} ({}) is on node {}: {}{}", pid, known->process.command(),
                               known->process.where(), known->process.state(),
                               known->ended ? ", its agent has ended" : ""));
    }
    return why;
  }
  OMFS_ASSIGN_OR_RETURN(const ProcessFacts facts, LookUpProcess(pid));
  local::WhyReply why;
  if (facts.kernel_thread) {
    why.set_text(fmt::format("process {} is a kernel thread and cannot be moved", pid));
  } else {
    why.set_text(fmt::format("process {} ({}) is at home, node {}: nobody has moved it", pid,
                             facts.command, config_.node.value));
  }
  return why;
}

}  // namespace omfs
