// Locks: fcntl ranges, OFD, flock; conflicts between processes, answers of F_GETLK, waiting,
// release.

#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

struct flock Range(short type, off_t start, off_t length, short whence = SEEK_SET) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = whence;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int SetLock(int fd, short type, off_t start, off_t length, int command = F_SETLK) {
  struct flock lock = Range(type, start, length);
  return fcntl(fd, command, &lock);
}

// What F_GETLK answers, the holder told as one of the known processes.
std::string Ask(int fd, short type, off_t start, off_t length, pid_t holder,
                int command = F_GETLK) {
  struct flock lock = Range(type, start, length);
  if (fcntl(fd, command, &lock) != 0) return ErrnoName(errno);
  if (lock.l_type == F_UNLCK) return "free";
  std::string who = lock.l_pid == holder ? "holder"
                    : lock.l_pid == -1   ? "-1"
                    : lock.l_pid == 0    ? "0"
                                         : "SOMEBODY";
  return std::string(lock.l_type == F_RDLCK ? "read" : "write") + " " +
         std::to_string(lock.l_start) + "+" + std::to_string(lock.l_len) + " by " + who;
}

// A child that runs `hold`, then waits until told to end.
class Holder {
 public:
  explicit Holder(const std::function<void()>& hold) {
    int ready[2], go[2];
    Must(pipe(ready) == 0 && pipe(go) == 0, "pipe");
    pid_ = fork();
    Must(pid_ >= 0, "fork");
    if (pid_ == 0) {
      close(go[1]);
      hold();
      char c = 'x';
      (void)!write(ready[1], &c, 1);
      (void)!read(go[0], &c, 1);
      _exit(0);
    }
    close(ready[1]);
    close(go[0]);
    char c;
    Must(read(ready[0], &c, 1) == 1, "the holder's sign");
    close(ready[0]);
    go_.reset(go[1]);
  }
  pid_t pid() const { return pid_; }
  void End() {
    // Not by closing: children forked meanwhile hold the pipe open too.
    Must(write(go_.get(), "x", 1) == 1, "end the holder");
    WaitExit(pid_);
  }
  void Kill() {
    kill(pid_, SIGKILL);
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t pid_;
  ScopedFd go_;
};

ScopedFd OpenLockFile() {
  ScopedFd fd(open("f", O_RDWR | O_CREAT, 0666));
  Must(fd.valid(), "open the lock file");
  return fd;
}

}  // namespace

CASE(lock, posix_conflicts) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] {
    int mine = open("f", O_RDWR);
    Must(SetLock(mine, F_WRLCK, 100, 50) == 0 && SetLock(mine, F_RDLCK, 200, 10) == 0, "lock");
  });
  t.Ok("write_over_write", SetLock(fd.get(), F_WRLCK, 120, 1));
  t.Ok("read_over_write", SetLock(fd.get(), F_RDLCK, 149, 1));
  t.Ok("just_before", SetLock(fd.get(), F_WRLCK, 90, 10));
  t.Ok("just_behind", SetLock(fd.get(), F_WRLCK, 150, 10));
  t.Ok("read_over_read", SetLock(fd.get(), F_RDLCK, 200, 10));
  t.Ok("write_over_read", SetLock(fd.get(), F_WRLCK, 205, 1));
  t.Ok("whole_file", SetLock(fd.get(), F_WRLCK, 0, 0));
  t.Say("ask_write", Ask(fd.get(), F_WRLCK, 0, 0, holder.pid()));
  t.Say("ask_read_201", Ask(fd.get(), F_RDLCK, 201, 1, holder.pid()));
  t.Say("ask_write_201", Ask(fd.get(), F_WRLCK, 201, 1, holder.pid()));
  t.Say("ask_free", Ask(fd.get(), F_WRLCK, 300, 1, holder.pid()));
  holder.End();
  t.Ok("after_the_end", SetLock(fd.get(), F_WRLCK, 0, 0));
}

CASE(lock, posix_release) {
  ScopedFd fd = OpenLockFile();
  Holder killed([] { Must(SetLock(open("f", O_RDWR), F_WRLCK, 0, 0) == 0, "lock"); });
  t.Ok("held", SetLock(fd.get(), F_WRLCK, 0, 0));
  killed.Kill();
  t.Ok("after_kill", SetLock(fd.get(), F_WRLCK, 0, 0, F_SETLKW));
  SetLock(fd.get(), F_UNLCK, 0, 0);
  Holder closes([] {
    int mine = open("f", O_RDWR);
    Must(SetLock(mine, F_WRLCK, 0, 0) == 0, "lock");
    close(open("f", O_RDONLY));  // closing any descriptor of the file drops the process's locks
  });
  t.Ok("after_other_close", SetLock(fd.get(), F_WRLCK, 0, 0));
  closes.End();
}

CASE(lock, posix_split_and_merge) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] {
    int mine = open("f", O_RDWR);
    Must(SetLock(mine, F_WRLCK, 0, 100) == 0 && SetLock(mine, F_UNLCK, 40, 20) == 0, "lock");
    Must(SetLock(mine, F_RDLCK, 10, 5) == 0 && SetLock(mine, F_WRLCK, 100, 10) == 0, "lock");
  });
  for (off_t at : {0, 9, 10, 14, 15, 39, 40, 59, 60, 99, 100, 109, 110}) {
    t.Say("write_at_" + std::to_string(at), Ask(fd.get(), F_WRLCK, at, 1, holder.pid()));
    t.Say("read_at_" + std::to_string(at), Ask(fd.get(), F_RDLCK, at, 1, holder.pid()));
  }
  t.Say("all", Ask(fd.get(), F_WRLCK, 45, 0, holder.pid()));
  holder.End();
}

CASE(lock, posix_own_locks_never_conflict) {
  ScopedFd a = OpenLockFile(), b = OpenLockFile();
  t.Ok("lock_a", SetLock(a.get(), F_WRLCK, 0, 0));
  t.Ok("lock_b", SetLock(b.get(), F_WRLCK, 0, 0));
  t.Say("ask_b", Ask(b.get(), F_WRLCK, 0, 0, getpid()));
  t.InChild("not_inherited", [&] {
    t.Ok("child_lock", SetLock(a.get(), F_WRLCK, 0, 0));
    t.Say("child_ask", Ask(a.get(), F_RDLCK, 0, 0, getppid()));
  });
}

CASE(lock, posix_refused) {
  ScopedFd fd = OpenLockFile();
  ScopedFd reader(open("f", O_RDONLY)), writer(open("f", O_WRONLY)), path(open("f", O_PATH));
  t.Ok("write_lock_of_reader", SetLock(reader.get(), F_WRLCK, 0, 0));
  t.Ok("read_lock_of_writer", SetLock(writer.get(), F_RDLCK, 0, 0));
  t.Ok("path", SetLock(path.get(), F_RDLCK, 0, 0));
  t.Ok("negative_start", SetLock(fd.get(), F_WRLCK, -5, 1));
  t.Ok("negative_length", SetLock(fd.get(), F_WRLCK, 10, -5));
  t.Ok("negative_too_long", SetLock(fd.get(), F_WRLCK, 10, -50));
  t.Ok("bad_type", SetLock(fd.get(), 77, 0, 0));
  struct flock from_end = Range(F_WRLCK, 0, 0, SEEK_END);
  t.Ok("from_end", fcntl(fd.get(), F_SETLK, &from_end));
  struct flock overflow = Range(F_WRLCK, INT64_MAX, 2);
  t.Ok("overflow", fcntl(fd.get(), F_SETLK, &overflow));
  t.Ok("unlock_nothing", SetLock(fd.get(), F_UNLCK, 5000, 1));
}

CASE(lock, posix_waits) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] { Must(SetLock(open("f", O_RDWR), F_WRLCK, 0, 0) == 0, "lock"); });
  int pipes[2];
  Must(pipe(pipes) == 0, "pipe");
  pid_t waiter = fork();
  Must(waiter >= 0, "fork");
  if (waiter == 0) {
    int mine = open("f", O_RDWR);
    int rc = SetLock(mine, F_WRLCK, 0, 0, F_SETLKW);
    (void)!write(pipes[1], "x", 1);
    _exit(rc == 0 ? 0 : errno);
  }
  Pause();
  Pause();
  int status;
  t.Value("still_waiting", waitpid(waiter, &status, WNOHANG));
  holder.End();
  char c;
  t.Value("got_it", read(pipes[0], &c, 1));
  t.Value("waiter", WaitExit(waiter));
}

CASE(lock, posix_wait_interrupted) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] { Must(SetLock(open("f", O_RDWR), F_WRLCK, 0, 0) == 0, "lock"); });
  t.InChild("waiter", [&] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, nullptr);
    ualarm(100'000, 100'000);
    t.Ok("interrupted", SetLock(fd.get(), F_WRLCK, 0, 0, F_SETLKW));
  });
  holder.End();
  t.Ok("free_again", SetLock(fd.get(), F_WRLCK, 0, 0));
}

CASE(lock, posix_deadlock) {
  ScopedFd fd = OpenLockFile();
  Must(SetLock(fd.get(), F_WRLCK, 0, 1) == 0, "lock");
  pid_t other = fork();
  Must(other >= 0, "fork");
  if (other == 0) {
    ScopedFd mine(open("f", O_RDWR));
    if (SetLock(mine.get(), F_WRLCK, 1, 1) != 0) _exit(50);
    _exit(SetLock(mine.get(), F_WRLCK, 0, 1, F_SETLKW) == 0 ? 0 : errno);
  }
  while (Ask(fd.get(), F_WRLCK, 1, 1, other) == "free") Pause();
  Pause();
  Pause();
  t.Ok("second_waiter_is_told", SetLock(fd.get(), F_WRLCK, 1, 1, F_SETLKW));
  SetLock(fd.get(), F_UNLCK, 0, 0);
  t.Value("first_waiter", WaitExit(other));
}

CASE(lock, ofd) {
  ScopedFd a = OpenLockFile(), b = OpenLockFile();
  t.Ok("lock_a", SetLock(a.get(), F_WRLCK, 0, 10, F_OFD_SETLK));
  t.Ok("conflict_in_one_process", SetLock(b.get(), F_WRLCK, 5, 10, F_OFD_SETLK));
  t.Ok("beside", SetLock(b.get(), F_WRLCK, 10, 10, F_OFD_SETLK));
  t.Say("ask", Ask(b.get(), F_WRLCK, 0, 10, getpid(), F_OFD_GETLK));
  t.Ok("against_posix", SetLock(b.get(), F_RDLCK, 0, 1));
  t.Say("ask_posix", Ask(b.get(), F_RDLCK, 0, 1, getpid()));
  int copy = dup(a.get());
  close(open("f", O_RDONLY));  // does not drop it
  t.Ok("still_held", SetLock(b.get(), F_RDLCK, 0, 1, F_OFD_SETLK));
  a.reset();
  t.Ok("held_by_the_copy", SetLock(b.get(), F_RDLCK, 0, 1, F_OFD_SETLK));
  close(copy);
  t.Ok("free", SetLock(b.get(), F_RDLCK, 0, 1, F_OFD_SETLK));
  struct flock with_pid = Range(F_WRLCK, 0, 1);
  with_pid.l_pid = getpid();
  t.Ok("pid_must_be_0", fcntl(b.get(), F_OFD_SETLK, &with_pid));
}

CASE(lock, ofd_inherited) {
  ScopedFd a = OpenLockFile();
  Must(SetLock(a.get(), F_WRLCK, 0, 0, F_OFD_SETLK) == 0, "lock");
  t.InChild("child", [&] {
    t.Ok("same_description", SetLock(a.get(), F_RDLCK, 0, 0, F_OFD_SETLK));
    ScopedFd own(open("f", O_RDWR));
    t.Ok("own_description", SetLock(own.get(), F_WRLCK, 0, 0, F_OFD_SETLK));
  });
  ScopedFd b(open("f", O_RDWR));
  t.Ok("child_downgraded", SetLock(b.get(), F_RDLCK, 0, 0, F_OFD_SETLK));
}

CASE(lock, flock_conflicts) {
  ScopedFd a = OpenLockFile(), b = OpenLockFile();
  t.Ok("shared", flock(a.get(), LOCK_SH | LOCK_NB));
  t.Ok("shared_too", flock(b.get(), LOCK_SH | LOCK_NB));
  t.Ok("exclusive_conflicts", flock(b.get(), LOCK_EX | LOCK_NB));
  t.Ok("unlock_a", flock(a.get(), LOCK_UN));
  t.Ok("upgrade_b", flock(b.get(), LOCK_EX | LOCK_NB));
  t.Ok("shared_conflicts", flock(a.get(), LOCK_SH | LOCK_NB));
  int copy = dup(b.get());
  b.reset();
  t.Ok("held_by_the_copy", flock(a.get(), LOCK_SH | LOCK_NB));
  t.Ok("unlock_by_copy", flock(copy, LOCK_UN));
  t.Ok("free", flock(a.get(), LOCK_EX | LOCK_NB));
  t.Ok("bad_operation", flock(a.get(), 99));
  t.Ok("independent_of_posix", SetLock(copy, F_WRLCK, 0, 0));
  ScopedFd reader(open("f", O_RDONLY));
  flock(a.get(), LOCK_UN);
  t.Ok("exclusive_of_reader", flock(reader.get(), LOCK_EX | LOCK_NB));
}

CASE(lock, flock_between_processes) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] { Must(flock(open("f", O_RDWR), LOCK_EX) == 0, "flock"); });
  t.Ok("held", flock(fd.get(), LOCK_SH | LOCK_NB));
  holder.Kill();
  t.Ok("after_kill", flock(fd.get(), LOCK_EX));
  t.InChild("child", [&] { t.Ok("inherited", flock(fd.get(), LOCK_EX | LOCK_NB)); });
}

CASE(lock, flock_waits) {
  ScopedFd fd = OpenLockFile();
  Holder holder([] { Must(flock(open("f", O_RDWR), LOCK_EX) == 0, "flock"); });
  pid_t waiter = fork();
  Must(waiter >= 0, "fork");
  if (waiter == 0) _exit(flock(open("f", O_RDWR), LOCK_EX) == 0 ? 0 : errno);
  Pause();
  Pause();
  int status;
  t.Value("still_waiting", waitpid(waiter, &status, WNOHANG));
  holder.End();
  t.Value("waiter", WaitExit(waiter));
}

CASE(lock, on_directory) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  ScopedFd a(open("d", O_RDONLY)), b(open("d", O_RDONLY));
  t.Ok("flock", flock(a.get(), LOCK_EX | LOCK_NB));
  t.Ok("flock_conflict", flock(b.get(), LOCK_EX | LOCK_NB));
  t.Ok("posix_read", SetLock(a.get(), F_RDLCK, 0, 0));
  t.Ok("posix_write", SetLock(a.get(), F_WRLCK, 0, 0));
}

CASE(lock, counter) {
  // Four processes count under a lock; no step is lost.
  WriteFile("count", "0");
  OpenLockFile();
  std::vector<pid_t> pids;
  for (int kind = 0; kind < 4; ++kind) {
    pid_t pid = fork();
    Must(pid >= 0, "fork");
    if (pid == 0) {
      ScopedFd lock(open("f", O_RDWR)), file(open("count", O_RDWR));
      for (int i = 0; i < 50; ++i) {
        if (SetLock(lock.get(), F_WRLCK, 0, 1, F_SETLKW) != 0) _exit(1);
        char text[16] = {};
        if (pread(file.get(), text, 15, 0) < 0) _exit(2);
        std::string next = std::to_string(atoi(text) + 1);
        if (pwrite(file.get(), next.data(), next.size(), 0) < 0) _exit(3);
        if (SetLock(lock.get(), F_UNLCK, 0, 1) != 0) _exit(4);
      }
      _exit(0);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) t.Value("counter", WaitExit(pid));
  t.Content("count", "count");
}

CASE(lock, kept_after_unlink) {
  ScopedFd a = OpenLockFile(), b = OpenLockFile();
  Must(unlink("f") == 0, "unlink");
  t.Ok("flock", flock(a.get(), LOCK_EX | LOCK_NB));
  t.Ok("flock_conflict", flock(b.get(), LOCK_EX | LOCK_NB));
  t.Ok("ofd", SetLock(a.get(), F_WRLCK, 0, 0, F_OFD_SETLK));
  t.Ok("ofd_conflict", SetLock(b.get(), F_WRLCK, 0, 0, F_OFD_SETLK));
}

}  // namespace conformance
