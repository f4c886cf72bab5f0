#include "tools/box/daemons.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <functional>
#include <sstream>

#include "cluster/files.h"
#include "cluster/local_client.h"
#include "omfs/base/status.h"
#include "tools/box/node.h"

namespace omfs::box {
namespace {

constexpr int kReadyLimitMs = 180 * 1000;  // sanitizer builds on a busy machine take their time
constexpr int kQuickLimitMs = 60 * 1000;
constexpr int kStepUs = 30 * 1000;
constexpr int kLogLines = 12;
constexpr char kRunDir[] = "/run/omfs";

std::vector<std::string> CommandOf(const std::string& name) {
  const std::string config = "/etc/omfs/omfs.conf";
  if (name == kDaemon) return {kDaemon, "--config", config};
  return {kFuse, "--config", config, "-f", "/mfs"};
}

std::string LastLines(const std::string& path) {
  const auto text = ReadWholeFile(path);
  if (!text.ok() || text->empty()) return "(its log is empty)";
  size_t begin = text->size();
  for (int i = 0; i <= kLogLines && begin != 0 && begin != text->npos; ++i) {
    begin = text->rfind('\n', begin - 1);
  }
  return text->substr(begin == text->npos ? 0 : begin + 1);
}

absl::Status WithLog(const Box& box, int node, const std::string& name, const std::string& what) {
  return Internal("node {}: {} {}; the end of {}:\n{}", node, name, what, box.LogFile(node, name),
                  LastLines(box.LogFile(node, name)));
}

// The daemon's process in the numbers of its node; call only inside it.
Process ReadPidFile(const Box& box, int node, const std::string& name) {
  Process p;
  const auto text = ReadWholeFile(box.PidFile(node, name));
  if (text.ok()) std::istringstream(*text) >> p.pid >> p.start_time;
  return p;
}

// In the node: makes the daemon a child of the node's init and leaves its number in the pid file.
int Detach(const Box& box, int node, const std::string& name, const std::string& log) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return 1;
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    SetNodePath(box);
    std::vector<std::string> words = CommandOf(name);
    std::vector<char*> argv;
    for (std::string& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    execv((box.BinDir() + "/" + name).c_str(), argv.data());
    const int err = errno;
    [[maybe_unused]] const ssize_t n = write(ends[1], &err, sizeof err);
    _exit(127);
  }
  close(ends[1]);
  int err = 0;
  if (pid < 0 || read(ends[0], &err, sizeof err) > 0) {
    fprintf(stderr, "omfs-box: %s: %s\n", name.c_str(), strerror(pid < 0 ? errno : err));
    return 1;
  }
  const Process p = Identify(pid);
  const std::string text = fmt::format("{} {}\n", pid, p.start_time);
  return WriteFileAtomically(box.PidFile(node, name), text, 0644).ok() ? 0 : 1;
}

bool CanList(const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return false;
  errno = 0;
  const bool listed = readdir(dir) != nullptr || errno == 0;
  closedir(dir);
  return listed;
}

bool AllUp(const Box& box) {
  local::Request request;
  request.mutable_status();
  const auto reply = AskDaemon(kRunDir, request);
  if (!reply.ok() || reply->status().nodes_size() != box.nodes) return false;
  for (const local::NodeStatus& n : reply->status().nodes()) {
    if (!n.up()) return false;
  }
  return true;
}

enum Waited { kReady = 0, kDied = 10, kFuseDied = 11 };

// In the node: tries until `ready` or a daemon it depends on has died.
int Await(const Box& box, int node, const std::function<bool()>& ready, bool fuse) {
  for (;;) {
    if (ready()) return kReady;
    if (StateOf(ReadPidFile(box, node, kDaemon)) == 0) return kDied;
    if (fuse && StateOf(ReadPidFile(box, node, kFuse)) == 0) return kFuseDied;
    usleep(kStepUs);
  }
}

absl::Status Explain(const Box& box, int node, const absl::StatusOr<int>& waited,
                     const std::string& culprit) {
  if (!waited.ok() && absl::IsCancelled(waited.status())) return waited.status();
  if (!waited.ok()) return WithLog(box, node, culprit, "is not ready: " + Text(waited.status()));
  if (*waited == kReady) return absl::OkStatus();
  return WithLog(box, node, *waited == kFuseDied ? kFuse : kDaemon, "has ended");
}

}  // namespace

absl::Status StartDaemon(const Box& box, int node, const std::string& name) {
  OMFS_ASSIGN_OR_RETURN(const int status, InNode(box, node, kQuickLimitMs, [&] {
    return Detach(box, node, name, box.LogFile(node, name));
  }));
  return status == 0 ? absl::OkStatus() : Internal("node {}: cannot start {}", node, name);
}

absl::Status AwaitDaemon(const Box& box, int node) {
  const auto waited = InNode(box, node, kReadyLimitMs, [&] {
    local::Request request;
    request.mutable_status();
    return Await(box, node, [&] { return AskDaemon(kRunDir, request).ok(); }, false);
  });
  return Explain(box, node, waited, kDaemon);
}

absl::Status AwaitCluster(const Box& box, int node) {
  const bool fuse = box.fs == "fuse";
  auto waited =
      InNode(box, node, kReadyLimitMs, [&] { return Await(box, node, [&] { return AllUp(box); }, fuse); });
  OMFS_RETURN_IF_ERROR(Explain(box, node, waited, kDaemon));
  if (!fuse) return absl::OkStatus();
  waited = InNode(box, node, kReadyLimitMs, [&] {
    int next = 1;
    return Await(box, node, [&] {
      while (next <= box.nodes && CanList(fmt::format("/mfs/{}", next))) ++next;
      return next > box.nodes;
    }, true);
  });
  return Explain(box, node, waited, kFuse);
}

absl::StatusOr<char> DaemonState(const Box& box, int node, const std::string& name) {
  OMFS_ASSIGN_OR_RETURN(const int state, InNode(box, node, kQuickLimitMs, [&] {
    return static_cast<int>(StateOf(ReadPidFile(box, node, name)));
  }));
  return static_cast<char>(state);
}

absl::Status SignalDaemon(const Box& box, int node, int signal) {
  OMFS_ASSIGN_OR_RETURN(const int status, InNode(box, node, kQuickLimitMs, [&] {
    const Process p = ReadPidFile(box, node, kDaemon);
    if (StateOf(p) == 0 || kill(p.pid, signal) != 0) return 1;
    for (;; usleep(1000)) {
      const char state = StateOf(p);
      if (state == 0 || (signal == SIGSTOP && state == 'T') || (signal == SIGCONT && state != 'T')) {
        return 0;
      }
    }
  }));
  if (status == 0) return absl::OkStatus();
  return FailedPrecondition("omfsd of node {} does not run", node);
}

bool DaemonAnswers(const Box& box, int node) {
  const auto answered = InNode(box, node, 2000, [&] {
    local::Request request;
    request.mutable_status();
    return AskDaemon(kRunDir, request).ok() ? 0 : 1;
  });
  return answered.ok() && *answered == 0;
}

}  // namespace omfs::box
