// A process that does something natively while a test looks on.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "omfs/base/scoped_fd.h"

namespace omfs {

// Not thread-safe. Killed when the object goes.
class NativeProcess {
 public:
  // f runs in a forked process of one thread: system calls only. Its result is the exit status.
  explicit NativeProcess(const std::function<int()>& f) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      // An exception would go on into the test's own process, twice.
      _exit([&]() noexcept { return f(); }());
    }
    close(ends[1]);
    alive_.reset(ends[0]);
  }
  NativeProcess(const NativeProcess&) = delete;
  NativeProcess& operator=(const NativeProcess&) = delete;
  ~NativeProcess() {
    if (pid_ > 0) Kill();
  }

  pid_t pid() const { return pid_; }
  bool Running() const {
    pollfd p{alive_.get(), POLLIN, 0};
    return poll(&p, 1, 0) == 0;
  }
  // Its exit status; -1 if it was killed.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Kill() {
    kill(pid_, SIGKILL);
    Wait();
  }

 private:
  pid_t pid_ = -1;
  ScopedFd alive_;  // at its end once the process has ended
};

// Runs f natively to its end.
inline int Natively(const std::function<int()>& f) { return NativeProcess(f).Wait(); }

}  // namespace omfs
