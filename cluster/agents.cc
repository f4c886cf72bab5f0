#include "cluster/agents.h"

#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>

#include "cluster/files.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr auto kRememberFor = std::chrono::minutes(5);
constexpr auto kKeeperStart = std::chrono::seconds(15);

absl::StatusOr<std::string> RandomToken() {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return Internal("no random numbers");
  std::string token;
  for (const unsigned char b : bytes) token += fmt::format("{:02x}", b);
  return token;
}

}  // namespace

local::ProcessInfo Agents::InfoOf(const Entry& entry) {
  const local::AgentEvent last = entry.agent->last();
  return last.has_process() ? last.process() : entry.initial;
}

void Agents::ForgetOldLocked() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(entries_, [&](const Entry& e) {
    return e.agent->ended() && now - e.agent->end_time() > kRememberFor;
  });
}

std::shared_ptr<Agent> Agents::FindDeputy(pid_t pid) {
  std::lock_guard lock(mutex_);
  for (const Entry& e : entries_) {
    if (!e.keeper && e.initial.pid() == pid && !e.agent->ended()) return e.agent;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<Agent>> Agents::StartDeputy(pid_t pid, const ProcessFacts& facts,
                                                           bool launch) {
  OMFS_ASSIGN_OR_RETURN(const std::string program, FindProgram("omfs-deputy"));
  std::vector<std::string> argv = {program, "--config", config_path_, "--pid", std::to_string(pid)};
  if (launch) argv.push_back("--launch");
  Entry entry;
  entry.initial.set_pid(pid);
  entry.initial.set_home(self_.value);
  entry.initial.set_where(self_.value);
  entry.initial.set_uid(facts.uid);
  entry.initial.set_command(facts.command);
  entry.initial.set_state("starting");
  entry.start_time = facts.start_time;
  std::lock_guard lock(mutex_);
  if (stopping_) return Unavailable("omfsd is ending");
  ForgetOldLocked();
  OMFS_ASSIGN_OR_RETURN(entry.agent, Agent::Start(argv));
  // A process that went away and came home before: its newer agent counts, its older reasons are part of the past.
  std::erase_if(entries_, [&](const Entry& e) {
    return !e.keeper && e.initial.pid() == pid && e.agent->ended();
  });
  entries_.push_back(entry);
  return entry.agent;
}

absl::StatusOr<Ticket> Agents::StartKeeper(NodeId home, pid_t pid) {
  OMFS_ASSIGN_OR_RETURN(const std::string program, FindProgram("omfs-keeper"));
  Ticket ticket;
  OMFS_ASSIGN_OR_RETURN(ticket.token, RandomToken());
  Entry entry;
  entry.keeper = true;
  entry.initial.set_pid(pid);
  entry.initial.set_home(home.value);
  entry.initial.set_where(home.value);
  entry.initial.set_state("starting");
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return Unavailable("omfsd is ending");
    ForgetOldLocked();
    OMFS_ASSIGN_OR_RETURN(entry.agent,
                          Agent::Start({program, "--config", config_path_, "--home",
                                        std::to_string(home.value), "--pid", std::to_string(pid)}));
    entries_.push_back(entry);
  }
  // The token goes through the socket: command lines are public.
  local::AgentCommand first;
  first.mutable_move_to()->set_token(ticket.token);
  absl::Status status = entry.agent->Send(first);
  if (status.ok()) {
    status = entry.agent->Await([](const local::AgentEvent& e) { return e.listening_port() != 0; },
                                kKeeperStart);
  }
  if (!status.ok()) {
    entry.agent->Kill();
    return status;
  }
  ticket.port = static_cast<uint16_t>(entry.agent->last().listening_port());
  return ticket;
}

std::vector<local::ProcessInfo> Agents::List() {
  std::vector<local::ProcessInfo> list;
  std::lock_guard lock(mutex_);
  ForgetOldLocked();
  for (const Entry& e : entries_) {
    if (e.agent->ended()) continue;
    // A keeper has no process until the image has come.
    if (e.keeper && !e.agent->last().has_process()) continue;
    list.push_back(InfoOf(e));
  }
  return list;
}

std::optional<Agents::Known> Agents::Find(pid_t pid) {
  std::lock_guard lock(mutex_);
  ForgetOldLocked();
  const Entry* found = nullptr;
  for (const Entry& e : entries_) {
    if (e.initial.pid() != pid) continue;
    // A process of this node goes before another node's guest of the same number, the newest before older ones.
    if (found == nullptr || found->keeper || !e.keeper) found = &e;
  }
  if (found == nullptr) return std::nullopt;
  if (!found->keeper && found->agent->ended()) {
    const auto now = LookUpProcess(pid);
    if (now.ok() && now->start_time != found->start_time) return std::nullopt;
  }
  return Known{found->agent->ended(), InfoOf(*found), found->agent->last().why()};
}

void Agents::Stop(std::chrono::milliseconds limit) {
  std::vector<std::shared_ptr<Agent>> agents;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const Entry& e : entries_) agents.push_back(e.agent);
  }
  local::AgentCommand home;
  home.mutable_move_home();
  for (const auto& agent : agents) {
    if (!agent->ended()) agent->Send(home).IgnoreError();
  }
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (const auto& agent : agents) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (!agent->ended()) {
      agent->Await([](const local::AgentEvent&) { return false; }, left).IgnoreError();
    }
    if (!agent->ended()) {
      spdlog::warn("agent_left agent_pid={}", agent->pid());
      agent->HangUp();
    }
  }
}

}  // namespace omfs
