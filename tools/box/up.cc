#include "tools/box/up.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cluster/files.h"
#include "omfs/base/status.h"
#include "tools/box/daemons.h"
#include "tools/box/hub.h"
#include "tools/box/mount_points.h"
#include "tools/box/node.h"
#include "tools/box/remove_tree.h"
#include "tools/box/run_ip.h"

namespace omfs::box {
namespace {

void Progress(const std::string& text) {
  printf("omfs-box: %s\n", text.c_str());
  fflush(stdout);
}

absl::StatusOr<std::string> ProgramDir() {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n < 0) return ErrnoStatus(errno, "/proc/self/exe");
  return DirectoryOf(std::string(self, n));
}

absl::Status CheckPrograms(const Box& box) {
  std::vector<std::string> programs = {kDaemon, "mosctl"};
  if (box.fs == "fuse") programs.push_back(kFuse);
  for (const std::string& p : programs) {
    if (access((box.program_dir + "/" + p).c_str(), X_OK) != 0) {
      return absl::NotFoundError(fmt::format("no program {} in {}: build it first", p, box.program_dir));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Box> Describe(const UpOptions& options) {
  OMFS_RETURN_IF_ERROR(CheckName(options.name));
  if (options.nodes < 1 || options.nodes > kMaxNodes) {
    return InvalidArgument("--nodes {}: want 1 to {}", options.nodes, kMaxNodes);
  }
  if (options.fs == "kernel") return absl::UnimplementedError("--fs kernel: not in this version");
  if (options.fs != "fuse" && options.fs != "none") {
    return InvalidArgument("--fs {}: want fuse, kernel or none", options.fs);
  }
  if (options.fs == "fuse" && !ScopedFd(open("/dev/fuse", O_RDWR | O_CLOEXEC))) {
    return ErrnoStatus(errno, "/dev/fuse cannot be used (is the module fuse loaded?)");
  }
  Box box;
  box.name = options.name;
  box.nodes = options.nodes;
  box.fs = options.fs;
  std::string dir = options.dir.empty() ? "/var/tmp/omfs-box-" + options.name : options.dir;
  if (dir[0] != '/') {
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof cwd) == nullptr) return ErrnoStatus(errno, "working directory");
    dir = std::string(cwd) + "/" + dir;
  }
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  box.dir = dir;
  box.made_dir = !FileExists(dir);
  // What is there is not the box's, and `down` must never remove it.
  for (int node = 1; node <= box.nodes; ++node) {
    if (FileExists(box.NodeDir(node))) {
      return absl::AlreadyExistsError(
          fmt::format("{} exists already: remove it or give another --dir", box.NodeDir(node)));
    }
  }
  OMFS_ASSIGN_OR_RETURN(box.program_dir, ProgramDir());
  OMFS_RETURN_IF_ERROR(CheckPrograms(box));
  return box;
}

// By node, seconds.
absl::StatusOr<std::map<int, int>> ParseSkews(const Box& box, const std::vector<std::string>& skews) {
  std::map<int, int> by_node;
  for (const std::string& skew : skews) {
    int node = 0, seconds = 0, used = 0;
    if (sscanf(skew.c_str(), "%d=%d%n", &node, &seconds, &used) != 2 || static_cast<size_t>(used) != skew.size() ||
        node < 1 || node > box.nodes || seconds <= -86400 || seconds >= 86400) {
      return absl::InvalidArgumentError(fmt::format("--skew {}: want K=SECONDS, of a node of the box, less than a day", skew));
    }
    by_node[node] = seconds;
  }
  return by_node;
}

absl::Status MakeFiles(const Box& box, const UpOptions& options) {
  OMFS_ASSIGN_OR_RETURN(const auto skews, ParseSkews(box, options.skews));
  OMFS_RETURN_IF_ERROR(MakeDirectories(box.BinDir(), 0755));
  std::string map = "# NUMBER NAME ADDRESS\n";
  for (int node = 1; node <= box.nodes; ++node) {
    map += fmt::format("{0} node{0} {1}\n", node, box.Address(node));
  }
  for (int node = 1; node <= box.nodes; ++node) {
    const std::string dir = box.NodeDir(node);
    for (const MountPoint& m : kMountPoints) {
      OMFS_RETURN_IF_ERROR(MakeDirectories(dir + "/" + m.source, 0755));
    }
    // Like /tmp: every user of the node may make files, nobody may remove another's.
    OMFS_RETURN_IF_ERROR(MakeDirectories(dir + "/export", 0755));
    if (chmod((dir + "/export").c_str(), 01777) != 0) return ErrnoStatus(errno, dir + "/export");
    std::string conf = fmt::format("node = {}\nexport = {}/export\n", node, dir);
    if (const auto skew = skews.find(node); skew != skews.end()) {
      conf += fmt::format("clock_offset_ms = {}\n", skew->second * 1000LL);
    }
    for (const std::string& setting : options.settings) conf += setting + "\n";
    OMFS_RETURN_IF_ERROR(WriteFileAtomically(dir + "/etc/omfs.conf", conf, 0644));
    OMFS_RETURN_IF_ERROR(WriteFileAtomically(dir + "/etc/nodes", map, 0644));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Mosctl(const Box& box, int node, std::vector<std::string> arguments) {
  const std::string verb = arguments[0];
  arguments.insert(arguments.begin(), "mosctl");
  OMFS_ASSIGN_OR_RETURN(Output output, RunInNode(box, node, arguments));
  if (output.exit_status != 0) return Internal("node {}: mosctl {}: {}", node, verb, output.errors);
  while (!output.out.empty() && output.out.back() == '\n') output.out.pop_back();
  return output.out;
}

// Node 1 makes the cluster, the others join it through its omfsd, as on real machines.
absl::Status MakeCluster(const Box& box) {
  OMFS_RETURN_IF_ERROR(Mosctl(box, 1, {"init", "--node", "1"}).status());
  OMFS_RETURN_IF_ERROR(StartDaemon(box, 1, kDaemon));
  OMFS_RETURN_IF_ERROR(AwaitDaemon(box, 1));
  Progress("node 1 holds the cluster's CA");
  if (box.nodes == 1) return absl::OkStatus();
  OMFS_ASSIGN_OR_RETURN(const std::string token, Mosctl(box, 1, {"token", "--ttl", "1h"}));
  for (int node = 2; node <= box.nodes; ++node) {
    OMFS_RETURN_IF_ERROR(Mosctl(box, node, {"join", token, "--node", std::to_string(node)}).status());
    OMFS_RETURN_IF_ERROR(StartDaemon(box, node, kDaemon));
    Progress(fmt::format("node {} has joined", node));
  }
  return absl::OkStatus();
}

absl::Status Build(Box* box, const UpOptions& options, const std::string& ip, ScopedFd* keep) {
  OMFS_RETURN_IF_ERROR(SaveBox(*box));
  OMFS_RETURN_IF_ERROR(MakeFiles(*box, options));
  OMFS_RETURN_IF_ERROR(StartHub(box, ip, keep));
  Progress(fmt::format("{} nodes with their network", box->nodes));
  OMFS_RETURN_IF_ERROR(MakeCluster(*box));
  for (int node = 1; box->fs == "fuse" && node <= box->nodes; ++node) {
    OMFS_RETURN_IF_ERROR(StartDaemon(*box, node, kFuse));
  }
  for (int node = 1; node <= box->nodes; ++node) {
    OMFS_RETURN_IF_ERROR(AwaitCluster(*box, node));
    Progress(fmt::format("node {} sees all nodes{}", node, box->fs == "fuse" ? ", /mfs is mounted" : ""));
  }
  return KeepHub(*keep);
}

// Takes the box apart; the caller holds its lock.
absl::Status Dismantle(const Box& box) {
  OMFS_RETURN_IF_ERROR(KillHub(box));
  for (int node = 1; node <= box.nodes; ++node) {
    OMFS_RETURN_IF_ERROR(RemoveTree(box.NodeDir(node)));
  }
  if (box.made_dir) rmdir(box.dir.c_str());  // not empty: somebody else's files are in it by now
  return ReleaseBox(box.name);
}

}  // namespace

absl::Status Up(const UpOptions& options) {
  OMFS_ASSIGN_OR_RETURN(const std::string ip, FindIp());
  OMFS_ASSIGN_OR_RETURN(Box box, Describe(options));
  CatchEndSignals catcher;
  OMFS_RETURN_IF_ERROR(ReserveBox(box.name));
  const auto lock = LockBox(box.name);
  if (!lock.ok()) return lock.status();
  ScopedFd keep;
  absl::Status status = Build(&box, options, ip, &keep);
  // Whatever a signal broke on its way: the signal is the reason.
  if (Interrupted()) status = absl::CancelledError("interrupted");
  if (status.ok()) return status;
  keep.reset();
  if (const absl::Status undone = Dismantle(box); !undone.ok()) {
    return Internal("{}\nand then: {}", Text(status), Text(undone));
  }
  return status;
}

absl::StatusOr<bool> Down(const std::string& name) {
  OMFS_RETURN_IF_ERROR(CheckName(name));
  if (!FileExists(fmt::format("{}/{}", kRunRoot, name))) return false;
  OMFS_ASSIGN_OR_RETURN(const ScopedFd lock, LockBox(name));
  const auto box = LoadBox(name);
  if (!box.ok() && !absl::IsNotFound(box.status())) return box.status();
  // Reserved, and nothing made yet when its `up` was killed.
  OMFS_RETURN_IF_ERROR(box.ok() ? Dismantle(*box) : ReleaseBox(name));
  return true;
}

absl::Status StartNodeDaemons(const Box& box, int node) {
  bool started = false;
  for (const char* name : {kDaemon, kFuse}) {
    if (name == kFuse && box.fs != "fuse") continue;
    OMFS_ASSIGN_OR_RETURN(const char state, DaemonState(box, node, name));
    if (state != 0) continue;
    OMFS_RETURN_IF_ERROR(StartDaemon(box, node, name));
    started = true;
  }
  if (!started) return FailedPrecondition("the daemons of node {} run already", node);
  return AwaitDaemon(box, node);
}

}  // namespace omfs::box
