#include "tools/box/node.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "omfs/base/status.h"

namespace omfs::box {
namespace {

constexpr int kProgramLimitMs = 60 * 1000;
constexpr int kEndSignals[] = {SIGINT, SIGTERM, SIGHUP};
volatile sig_atomic_t interrupted = 0;

void NoteEnd(int) { interrupted = 1; }

int StatusOfShell(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The child of the child made here is the member of the node's pid namespace; the one between only waits for it.
[[noreturn]] void RunBetween(const ScopedFd& init, const std::function<int()>& f) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int s : kEndSignals) signal(s, SIG_DFL);
  if (const absl::Status s = EnterNode(init); !s.ok()) {
    fprintf(stderr, "omfs-box: %s\n", Text(s).c_str());
    _exit(125);
  }
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(f());
  }
  int status = 125 << 8;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(StatusOfShell(status));
}

// Reads both pipes to their ends.
void Collect(ScopedFd* out_fd, ScopedFd* err_fd, Output* output) {
  for (;;) {
    pollfd p[] = {{out_fd->get(), POLLIN, 0}, {err_fd->get(), POLLIN, 0}};
    if (!*out_fd && !*err_fd) return;
    if (poll(p, 2, -1) < 0) {
      if (interrupted) return;
      continue;
    }
    for (int i = 0; i < 2; ++i) {
      if (p[i].revents == 0) continue;
      char chunk[4096];
      const ssize_t n = read(p[i].fd, chunk, sizeof chunk);
      if (n > 0) (i == 0 ? output->out : output->errors).append(chunk, n);
      if (n == 0) (i == 0 ? out_fd : err_fd)->reset();
    }
  }
}

}  // namespace

CatchEndSignals::CatchEndSignals() {
  struct sigaction action {};
  action.sa_handler = NoteEnd;  // no SA_RESTART: poll must return
  for (int s : kEndSignals) sigaction(s, &action, nullptr);
}
CatchEndSignals::~CatchEndSignals() {
  for (int s : kEndSignals) signal(s, SIG_DFL);
}
bool Interrupted() { return interrupted != 0; }

absl::StatusOr<ScopedFd> OpenNode(const Box& box, int node) {
  if (node < 1 || node > box.nodes) {
    return InvalidArgument("box {} has no node {} (it has 1 to {})", box.name, node, box.nodes);
  }
  const absl::Status dead =
      FailedPrecondition("node {} of box {} is not running (omfs-box down, then up)", node, box.name);
  if (static_cast<size_t>(node) > box.inits.size()) return dead;
  const Process& init = box.inits[node - 1];
  ScopedFd fd(static_cast<int>(syscall(SYS_pidfd_open, init.pid, 0)));
  if (!fd || StateOf(init) == 0) return dead;
  return fd;
}

absl::Status EnterNode(const ScopedFd& node_init) {
  if (setns(node_init.get(),
            CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) != 0 ||
      chdir("/") != 0) {
    return ErrnoStatus(errno, "entering the node");
  }
  return absl::OkStatus();
}

void SetNodePath(const Box& box) {
  const char* path = getenv("PATH");
  const std::string rest =
      path != nullptr && *path != '\0' ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  setenv("PATH", fmt::format("{}:{}", box.BinDir(), rest).c_str(), 1);
}

absl::StatusOr<int> InNode(const Box& box, int node, int limit_ms, const std::function<int()>& f) {
  OMFS_ASSIGN_OR_RETURN(const ScopedFd init, OpenNode(box, node));
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) RunBetween(init, f);
  const ScopedFd child(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  bool done = false, expired = false;
  while (!done && !expired && !interrupted) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    expired = left.count() <= 0;
    // In short steps, because a signal may come just before poll.
    pollfd p{child.get(), POLLIN, 0};
    done = poll(&p, 1, static_cast<int>(std::clamp<int64_t>(left.count(), 0, 200))) == 1;
  }
  if (!done) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (done) return StatusOfShell(status);
  if (interrupted) return absl::CancelledError("interrupted");
  return absl::DeadlineExceededError(fmt::format("no answer within {} s", limit_ms / 1000));
}

absl::StatusOr<Output> RunInNode(const Box& box, int node, const std::vector<std::string>& argv) {
  int out_ends[2], err_ends[2];
  if (pipe2(out_ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  ScopedFd out_read(out_ends[0]), out_write(out_ends[1]);
  if (pipe2(err_ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  ScopedFd err_read(err_ends[0]), err_write(err_ends[1]);
  Output output;
  // What the box asks of its own tools is short: pipes hold it until the program has ended.
  OMFS_ASSIGN_OR_RETURN(output.exit_status, InNode(box, node, kProgramLimitMs, [&] {
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out_write.get(), 1);
    dup2(err_write.get(), 2);
    SetNodePath(box);
    std::vector<char*> args;
    for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
    args.push_back(nullptr);
    execvp(args[0], args.data());
    fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
    fflush(nullptr);
    return 127;
  }));
  out_write.reset();
  err_write.reset();
  Collect(&out_read, &err_read, &output);
  while (!output.errors.empty() && output.errors.back() == '\n') output.errors.pop_back();
  return output;
}

}  // namespace omfs::box
