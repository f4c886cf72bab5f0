// Native processes that open a watched file, held at the door: a fanotify group with permission
// marks.
//
// The kernel makes every opener of a marked file wait for an answer, also the daemon's own threads,
// which may hold any of its locks. So one thread does nothing but answer: the daemon's own opens at
// once, others when it is told so. It waits for nothing but the kernel's next event: what may wait
// is done elsewhere (Admit says which openers stay, and done lets them go, from any thread). It is
// also this thread that lets an opener go that has waited for too long.
//
// When the group is closed - by the kernel, when the daemon dies - all who wait go on. An opener
// that waits can be killed. A permission event cannot get lost: the queue has no limit, and each
// event in it is a process that waits.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/server/export.h"
#include "omfs/server/native_use.h"

namespace omfs {

class WaitingOpeners;

class OpenerGate {
 public:
  struct Opener {
    omfs_fh object;
    pid_t pid;     // of the process, as this one sees it
    bool writers;  // somebody has the file open for writing, perhaps the opener, perhaps the daemon
  };
  // Called on the answering thread: must not wait. Takes the opener over - done will be called,
  // from any thread, once or more - and returns true; or returns false, and the opener goes on at
  // once.
  using Admit = std::function<bool(const Opener& opener, const std::function<void()>& done)>;
  // Called on the answering thread: must not wait. For the log.
  using Note = std::function<void(std::string line)>;

  // e, probe: outlive the gate. patience: how long an opener waits at most.
  static absl::StatusOr<std::unique_ptr<OpenerGate>> Start(const Export* e,
                                                           std::shared_ptr<LeaseProbe> probe,
                                                           std::chrono::milliseconds patience,
                                                           Admit admit, Note note);
  ~OpenerGate() { Stop(); }
  // Lets everybody go; marks are gone. done may still be called, also after the gate's destruction.
  void Stop();

  // Sets or removes the mark on a regular file; as the daemon, on a server thread (FdPath).
  Errno Mark(int path_fd);
  Errno Unmark(int path_fd);

 private:
  OpenerGate(const Export* e, std::shared_ptr<LeaseProbe> probe, std::chrono::milliseconds patience,
             Admit admit, Note note);
  void Run();
  void LetOverdueGo();
  void ReadEvents();
  void Arrived(ScopedFd event, pid_t pid);

  const Export* const export_;
  const std::shared_ptr<LeaseProbe> probe_;
  const std::chrono::milliseconds patience_;
  const Admit admit_;
  const Note note_;
  const pid_t self_;
  int group_ = -1;  // owned by waiting_
  ScopedFd stop_;   // eventfd
  std::shared_ptr<WaitingOpeners> waiting_;
  std::thread thread_;
};

}  // namespace omfs
