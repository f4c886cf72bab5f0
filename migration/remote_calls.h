// System calls in a stopped task, with errors as absl::Status.
#pragma once

#include <initializer_list>
#include <string>

#include "migration/traced_task.h"
#include "omfs/base/status.h"

namespace omfs::migration {

class RemoteCalls {
 public:
  // site: a `syscall` instruction in the task.
  RemoteCalls(TracedTask* task, RemotePtr site) : task_(task), site_(site) {}

  // The result as the kernel gives it: a negative errno is a value here.
  absl::StatusOr<int64_t> Raw(long nr, std::initializer_list<uint64_t> args) {
    return task_->Syscall(site_, nr, std::span(args.begin(), args.size()));
  }
  // A negative errno is an error; `what` names the call in it.
  absl::StatusOr<uint64_t> Do(const char* what, long nr, std::initializer_list<uint64_t> args) {
    OMFS_ASSIGN_OR_RETURN(const int64_t rc, Raw(nr, args));
    if (rc < 0 && rc > -4096) {
      return ErrnoStatus(static_cast<int>(-rc), fmt::format("{} in process {}", what, task_->pid()));
    }
    return static_cast<uint64_t>(rc);
  }

  TracedTask& task() { return *task_; }
  RemotePtr site() const { return site_; }

 private:
  TracedTask* task_;
  RemotePtr site_;
};

}  // namespace omfs::migration
