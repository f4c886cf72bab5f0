// A box: a cluster on one machine, for tests, the quickstart and benchmarks. Nothing in the product knows about it.
//
// What a box consists of, and why nothing of it can be left behind:
//  - A *hub* process holds a network namespace with a bridge, and is the parent of one *init* per node. An init holds
//    the node's namespaces (pid, mount, network, UTS, IPC) and is its process 1. The hub's death kills the inits, an
//    init's death kills everything in its node, and mounts, interfaces and namespaces go with their last process.
//    Nothing is pinned by a file, and the host's own network and mounts are never touched. So taking a box down is:
//    kill, wait, remove files.
//  - All boxes use the same addresses, 10.77.0.K for node K: each has a bridge of its own.
//  - Files: DIR/node<K>/{etc,state,run,export,mnt} with the daemons' logs beside them, and /run/omfs-box/NAME, which says
//    what there is. It is written before anything is made, so that `down` finds all of it after any failure.
//  - In a node DIR/node<K>'s directories are bound over /etc/omfs, /var/lib/omfs, /run/omfs and /mfs. These mount points
//    must exist on the host; missing ones are made as empty directories while any box is up (mount_points.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"

namespace omfs::box {

inline constexpr char kRunRoot[] = "/run/omfs-box";
inline constexpr int kMaxNodes = 64;

// A process, told from later ones with the same number by its start time (/proc/PID/stat, field 22). pid 0: none.
struct Process {
  pid_t pid = 0;
  uint64_t start_time = 0;
};
// The running process of this number as seen in the caller's /proc; pid 0 if there is none (a zombie counts as none).
Process Identify(pid_t pid);
// Its state letter in /proc/PID/stat ('T' = stopped); 0 when this very process is gone.
char StateOf(const Process& process);

struct Box {
  std::string name;
  std::string dir;           // absolute
  bool made_dir = false;     // dir itself is the box's
  std::string fs;            // "fuse" or "none"
  int nodes = 0;
  std::string program_dir;   // of the build: omfsd and the tools
  Process hub;
  std::vector<Process> inits;  // of node 1, 2, ...

  std::string RunDir() const { return std::string(kRunRoot) + "/" + name; }
  std::string BinDir() const { return RunDir() + "/bin"; }  // program_dir, as nodes see it
  std::string NodeDir(int node) const;
  std::string Address(int node) const;
  // Where the pid of a node's daemon ("omfsd", "omfs-fuse") is kept, and its log.
  std::string PidFile(int node, const std::string& daemon) const;
  std::string LogFile(int node, const std::string& daemon) const;
};

absl::Status SaveBox(const Box& box);
// kNotFound when no such box is up.
absl::StatusOr<Box> LoadBox(const std::string& name);

// Exclusive use of a box's RunDir() while it changes; fails at once when somebody else has it.
absl::StatusOr<ScopedFd> LockBox(const std::string& name);

// kInvalidArgument unless it can be a directory's name.
absl::Status CheckName(const std::string& name);

}  // namespace omfs::box
