// The daemons of a node: omfsd, and omfs-fuse for /mfs.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tools/box/box.h"

namespace omfs::box {

inline constexpr char kDaemon[] = "omfsd";
inline constexpr char kFuse[] = "omfs-fuse";

// Starts one; its output goes to box.LogFile(node, name). It becomes a child of the node's init.
absl::Status StartDaemon(const Box& box, int node, const std::string& name);

// Waits until omfsd answers on its local socket. The error holds the last lines of its log.
absl::Status AwaitDaemon(const Box& box, int node);
// Waits until omfsd sees every node up, and /mfs/J of every node J can be listed.
absl::Status AwaitCluster(const Box& box, int node);

// State letter of a daemon's process as in /proc/PID/stat; 0: it does not run.
absl::StatusOr<char> DaemonState(const Box& box, int node, const std::string& name);

// Sends omfsd a signal and waits until it shows (killed, stopped, running).
absl::Status SignalDaemon(const Box& box, int node, int signal);

// Whether omfsd answers now.
bool DaemonAnswers(const Box& box, int node);

}  // namespace omfs::box
