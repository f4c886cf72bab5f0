#include "omfs-fuse/process_view.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "omfs-fuse/proc_file.h"

namespace omfs {
namespace {

// Deeper ancestries than this do not happen; the bound keeps every request finite.
constexpr int kMostAncestors = 256;

std::optional<pid_t> ThreadGroup(pid_t thread) {
  const std::optional<std::string> status = ReadProcFile(fmt::format("/proc/{}/status", thread));
  if (!status) return std::nullopt;
  const size_t at = status->find("\nTgid:");
  if (at == std::string::npos) return std::nullopt;
  return static_cast<pid_t>(strtol(status->c_str() + at + 6, nullptr, 10));
}

}  // namespace

std::optional<ProcessInfo> FindProcess(pid_t thread) {
  if (thread <= 0) return std::nullopt;
  const std::optional<pid_t> pid = ThreadGroup(thread);
  if (!pid) return std::nullopt;
  const std::optional<std::string> stat = ReadProcFile(fmt::format("/proc/{}/stat", *pid));
  if (!stat) return std::nullopt;
  // "PID (NAME) STATE PPID ..."; the name may hold anything, so count from the last ')'. Start time
  // is field 22.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const char* p = stat->c_str() + name_end + 1;
  ProcessInfo info;
  info.key.pid = *pid;
  for (int field = 3; field <= 22; ++field) {
    while (*p == ' ') ++p;
    if (field == 4) info.parent = static_cast<pid_t>(strtol(p, nullptr, 10));
    if (field == 22) info.key.start_time = strtoull(p, nullptr, 10);
    while (*p != ' ' && *p != '\0') ++p;
  }
  return info;
}

void NodePerProcess::Set(pid_t thread, NodeId node) {
  const std::optional<ProcessInfo> process = FindProcess(thread);
  if (!process) return;
  std::lock_guard lock(mu_);
  nodes_[process->key] = node;
  if (nodes_.size() >= next_sweep_) DropDead();
}

void NodePerProcess::Clear(pid_t thread) {
  const std::optional<ProcessInfo> process = FindProcess(thread);
  if (!process) return;
  std::lock_guard lock(mu_);
  nodes_.erase(process->key);
}

std::optional<NodeId> NodePerProcess::Get(pid_t thread) {
  {
    std::lock_guard lock(mu_);
    if (nodes_.empty()) return std::nullopt;
  }
  std::optional<ProcessInfo> process = FindProcess(thread);
  for (int i = 0; process && i < kMostAncestors; ++i) {
    {
      std::lock_guard lock(mu_);
      if (const auto it = nodes_.find(process->key); it != nodes_.end()) return it->second;
    }
    process = FindProcess(process->parent);
  }
  return std::nullopt;
}

void NodePerProcess::DropDead() {
  std::erase_if(nodes_, [](const auto& entry) {
    const std::optional<ProcessInfo> now = FindProcess(entry.first.pid);
    return !now || now->key != entry.first;
  });
  next_sweep_ = std::max<size_t>(256, 2 * nodes_.size());
}

}  // namespace omfs
