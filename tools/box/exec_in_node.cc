// omfs-box exec.
//
// The command is a child of this process and stays in its process group, so that a pipeline with other commands works and
// the terminal's Ctrl-C and Ctrl-Z reach it as they reach any command of the caller's shell. This process then has
// to do two things: live on while the command decides what to do with such a signal, and stop when the command
// has been stopped by the terminal, because the shell only watches this process.
//
//  - A signal that the terminal sent (si_code SI_KERNEL) has reached the command as well. One that somebody sent to this
//    process alone is passed on.
//  - When the command is stopped by the same job-control signal that came here, this process stops itself. A command
//    stopped otherwise (say, by kill -STOP within the node) is its own affair: nobody would wake this process.
//  - The shell's SIGCONT goes to the whole group and so to the command.
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "omfs/base/status.h"
#include "tools/box/node.h"

namespace omfs::box {
namespace {

constexpr int kOwnFailure = 125;
constexpr int kPassedOn[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT};
constexpr int kStops[] = {SIGTSTP, SIGTTIN, SIGTTOU};

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name, home, shell;  // name empty: a number without an account
};

absl::StatusOr<User> FindUser(const std::string& text) {
  errno = 0;
  const passwd* entry = getpwnam(text.c_str());
  uid_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (entry == nullptr && is_number) entry = getpwuid(number);
  if (entry != nullptr) {
    return User{entry->pw_uid, entry->pw_gid, entry->pw_name, entry->pw_dir, entry->pw_shell};
  }
  if (is_number) return User{number, number, "", "/", "/bin/sh"};
  return InvalidArgument("no user \"{}\"", text);
}

absl::Status BecomeUser(const User& user) {
  const int groups = user.name.empty() ? setgroups(0, nullptr) : initgroups(user.name.c_str(), user.gid);
  if (groups != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
      setresuid(user.uid, user.uid, user.uid) != 0) {
    return ErrnoStatus(errno, "changing to the user");
  }
  const std::string name = user.name.empty() ? std::to_string(user.uid) : user.name;
  setenv("USER", name.c_str(), 1);
  setenv("LOGNAME", name.c_str(), 1);
  setenv("HOME", user.home.c_str(), 1);
  setenv("SHELL", user.shell.c_str(), 1);
  return absl::OkStatus();
}

[[noreturn]] void RunCommand(const ScopedFd& init, const Box& box, const std::string& user, char** argv,
                             const sigset_t& mask) {
  absl::Status status = EnterNode(init);
  if (status.ok() && !user.empty()) {
    auto found = FindUser(user);
    status = found.ok() ? BecomeUser(*found) : found.status();
  }
  if (!status.ok()) {
    fprintf(stderr, "omfs-box: %s\n", Text(status).c_str());
    _exit(kOwnFailure);
  }
  SetNodePath(box);
  // After the change of ids, which would undo it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(argv[0], argv);
  const int err = errno;
  fprintf(stderr, "omfs-box: %s: %s\n", argv[0], strerror(err));
  _exit(err == ENOENT ? 127 : 126);
}

bool IsStop(int signal) {
  for (int s : kStops) {
    if (s == signal) return true;
  }
  return false;
}

// Waits for the command as described on top; gives its wait status.
int Attend(pid_t command, int signals) {
  int stop_seen_here = 0;
  int stopped_by = 0;
  for (;;) {
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof info) != sizeof info) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      int status = 0;
      while (waitpid(command, &status, WNOHANG | WUNTRACED | WCONTINUED) == command) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) return status;
        stopped_by = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
        if (WIFCONTINUED(status)) stop_seen_here = 0;
      }
    } else if (IsStop(signal)) {
      stop_seen_here = signal;
      if (info.ssi_code != SI_KERNEL) kill(command, signal);
    } else if (info.ssi_code != SI_KERNEL) {
      kill(command, signal);
    }
    if (stop_seen_here != 0 && stop_seen_here == stopped_by) {
      stop_seen_here = stopped_by = 0;
      raise(SIGSTOP);
    }
  }
}

}  // namespace

int ExecInNode(const Box& box, int node, const std::string& user, char** argv) {
  const auto init = OpenNode(box, node);
  if (!init.ok()) {
    fprintf(stderr, "omfs-box: %s\n", Text(init.status()).c_str());
    return kOwnFailure;
  }
  sigset_t watched, before;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  for (int s : kPassedOn) sigaddset(&watched, s);
  for (int s : kStops) sigaddset(&watched, s);
  sigprocmask(SIG_BLOCK, &watched, &before);
  const ScopedFd signals(signalfd(-1, &watched, SFD_CLOEXEC));
  // The pid namespace must be entered by the command's parent: a process cannot change its own.
  if (setns(init->get(), CLONE_NEWPID) != 0) {
    fprintf(stderr, "omfs-box: entering the node: %s\n", strerror(errno));
    return kOwnFailure;
  }
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) {
    fprintf(stderr, "omfs-box: fork: %s\n", strerror(errno));
    return kOwnFailure;
  }
  if (pid == 0) RunCommand(*init, box, user, argv, before);
  const int status = Attend(pid, signals.get());
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace omfs::box
