// The tools' end of the node's local socket.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/local.pb.h"

namespace omfs {

// Name of the local socket's file within the run directory.
inline constexpr char kLocalSocketName[] = "omfsd.sock";

// Sends one request to the omfsd of run_dir and waits for its reply. Errors: omfsd does not run, or answered with an error,
// whose text is the status's message.
absl::StatusOr<local::Reply> AskDaemon(const std::string& run_dir, const local::Request& request);

}  // namespace omfs
