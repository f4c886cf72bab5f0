#include "tools/box/hub.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>

#include <chrono>
#include <sstream>

#include "omfs/base/status.h"
#include "tools/box/mount_points.h"
#include "tools/box/run_ip.h"

namespace omfs::box {
namespace {

constexpr char kBridge[] = "br0";
constexpr int kKillLimitMs = 60 * 1000;

struct Pipe {
  ScopedFd read, write;
};
absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  return Pipe{ScopedFd(ends[0]), ScopedFd(ends[1])};
}

void WriteLine(int fd, const std::string& line) {
  const std::string out = line + "\n";
  [[maybe_unused]] const ssize_t n = write(fd, out.data(), out.size());
}

std::string ReadLine(int fd) {
  std::string line;
  for (char c; read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string LinkName(int node) { return fmt::format("node{}", node); }

// A fork whose child starts in new namespaces. The child is process 1 of its pid namespace.
pid_t ForkInto(unsigned long namespaces) {
  clone_args args{};
  args.flags = namespaces;
  args.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

// What every long-lived process of the box does first: it must hold nothing of its starter.
void LeaveStarter(std::initializer_list<int> keep) {
  int fd = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; ++i) dup2(fd, i);
  std::string kept;
  for (int i = 3; i < static_cast<int>(sysconf(_SC_OPEN_MAX)) && i < 65536; ++i) {
    bool wanted = false;
    for (int k : keep) wanted |= k == i;
    if (!wanted) close(i);
  }
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  umask(022);
  if (chdir("/") != 0) _exit(1);
}

// ---- a node's init -------------------------------------------------------------------------------------------

absl::Status MountAll(const Box& box, int node) {
  const auto bind = [](const std::string& from, const std::string& to) -> absl::Status {
    if (mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, fmt::format("mounting {} on {}", from, to));
  };
  // Slave, not private: a file system that the host unmounts must not stay busy here.
  if (mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return ErrnoStatus(errno, "mount");
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return ErrnoStatus(errno, "mounting /proc");
  }
  OMFS_RETURN_IF_ERROR(bind(box.program_dir, box.BinDir()));
  for (const MountPoint& m : kMountPoints) {
    OMFS_RETURN_IF_ERROR(bind(box.NodeDir(node) + "/" + m.source, m.target));
  }
  return absl::OkStatus();
}

absl::Status PrepareNode(const Box& box, const std::string& ip, int node) {
  OMFS_RETURN_IF_ERROR(MountAll(box, node));
  const std::string host = LinkName(node);
  if (sethostname(host.data(), host.size()) != 0) return ErrnoStatus(errno, "sethostname");
  OMFS_RETURN_IF_ERROR(RunIp(ip, "link set lo up"));
  OMFS_RETURN_IF_ERROR(RunIp(ip, fmt::format("address add {}/24 dev eth0", box.Address(node))));
  return RunIp(ip, "link set eth0 up");
}

// Process 1 of a node: reaps orphans, and ends with the hub.
[[noreturn]] void RunInit(const Box& box, const std::string& ip, int node, int go, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "omfs-box-node");
  LeaveStarter({go, report});
  setsid();
  if (ReadLine(go) != "go") _exit(1);  // the hub is gone
  const absl::Status status = PrepareNode(box, ip, node);
  WriteLine(report, status.ok() ? "ok" : fmt::format("node {}: {}", node, Text(status)));
  if (!status.ok()) _exit(1);
  close(go);
  close(report);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    sigwaitinfo(&child, nullptr);
  }
}

// ---- the hub --------------------------------------------------------------------------------------------------

absl::Status StartNode(const Box& box, const std::string& ip, int node, int report) {
  OMFS_ASSIGN_OR_RETURN(Pipe go, MakePipe());
  OMFS_ASSIGN_OR_RETURN(Pipe done, MakePipe());
  const pid_t pid =
      ForkInto(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC);
  if (pid < 0) return ErrnoStatus(errno, "making the namespaces of a node");
  if (pid == 0) RunInit(box, ip, node, go.read.get(), done.write.get());
  done.write.reset();
  WriteLine(report, fmt::format("init {} {}", node, pid));
  const std::string link = LinkName(node);
  OMFS_RETURN_IF_ERROR(RunIp(
      ip, fmt::format("link add {} type veth peer name eth0 netns {}", link, pid)));
  OMFS_RETURN_IF_ERROR(RunIp(ip, fmt::format("link set {} master {}", link, kBridge)));
  OMFS_RETURN_IF_ERROR(RunIp(ip, fmt::format("link set {} up", link)));
  WriteLine(go.write.get(), "go");
  const std::string answer = ReadLine(done.read.get());
  if (answer != "ok") return Internal("{}", answer.empty() ? "a node's init has died" : answer);
  return absl::OkStatus();
}

absl::Status StartAll(const Box& box, const std::string& ip, int report) {
  if (unshare(CLONE_NEWNET) != 0) return ErrnoStatus(errno, "making a network namespace");
  OMFS_RETURN_IF_ERROR(RunIp(ip, fmt::format("link add {} type bridge", kBridge)));
  OMFS_RETURN_IF_ERROR(RunIp(ip, fmt::format("link set {} up", kBridge)));
  for (int node = 1; node <= box.nodes; ++node) {
    OMFS_RETURN_IF_ERROR(StartNode(box, ip, node, report));
  }
  return absl::OkStatus();
}

// Ends by _exit; the inits follow by their parent-death signal.
[[noreturn]] void RunHub(const Box& box, const std::string& ip, int keep, int report) {
  prctl(PR_SET_NAME, "omfs-box-hub");
  LeaveStarter({keep, report});
  setsid();
  const absl::Status status = StartAll(box, ip, report);
  WriteLine(report, status.ok() ? "ready" : "error " + Text(status));
  if (!status.ok()) _exit(1);
  close(report);
  if (ReadLine(keep) != "keep") _exit(1);  // `up` has failed or was killed
  close(keep);
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  _exit(0);
}

absl::Status TakeReports(Box* box, int report) {
  for (;;) {
    std::istringstream line(ReadLine(report));
    std::string word, rest;
    line >> word;
    if (word == "ready") return absl::OkStatus();
    if (word == "init") {
      int node = 0;
      pid_t pid = 0;
      line >> node >> pid;
      box->inits.push_back(Identify(pid));
      OMFS_RETURN_IF_ERROR(SaveBox(*box));
    } else if (word == "error") {
      std::getline(line >> std::ws, rest);
      return Internal("{}", rest);
    } else {
      return Internal("the box's hub has died");
    }
  }
}

// ---- from outside ----------------------------------------------------------------------------------------------

ScopedFd OpenProcess(const Process& p) {
  if (p.pid == 0) return ScopedFd();
  ScopedFd fd(static_cast<int>(syscall(SYS_pidfd_open, p.pid, 0)));
  // Checked after opening: from here on the descriptor means this process.
  if (fd && Identify(p.pid).start_time != p.start_time) fd.reset();
  return fd;
}

// Runs f in a child that has entered the hub's network namespace; f's text, if any, is the error.
absl::Status InHubNetwork(const Box& box, const std::function<absl::Status()>& f) {
  const ScopedFd hub = OpenProcess(box.hub);
  if (!hub) return FailedPrecondition("box {} is not running (omfs-box down, then up)", box.name);
  OMFS_ASSIGN_OR_RETURN(Pipe report, MakePipe());
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    absl::Status s = setns(hub.get(), CLONE_NEWNET) == 0 ? f() : ErrnoStatus(errno, "setns");
    WriteLine(report.write.get(), s.ok() ? "ok" : Text(s));
    _exit(0);
  }
  report.write.reset();
  const std::string answer = ReadLine(report.read.get());
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return answer == "ok" ? absl::OkStatus() : Internal("{}", answer);
}

}  // namespace

absl::Status StartHub(Box* box, const std::string& ip, ScopedFd* keep) {
  OMFS_ASSIGN_OR_RETURN(Pipe keep_pipe, MakePipe());
  OMFS_ASSIGN_OR_RETURN(Pipe report, MakePipe());
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) RunHub(*box, ip, keep_pipe.read.get(), report.write.get());
  report.write.reset();
  *keep = std::move(keep_pipe.write);
  box->hub = Identify(pid);
  OMFS_RETURN_IF_ERROR(SaveBox(*box));
  return TakeReports(box, report.read.get());
}

absl::Status KeepHub(const ScopedFd& keep) {
  if (write(keep.get(), "keep\n", 5) != 5) return Internal("the box's hub has died");
  return absl::OkStatus();
}

absl::Status KillHub(const Box& box) {
  std::vector<Process> processes = box.inits;
  processes.push_back(box.hub);
  std::vector<ScopedFd> open;
  for (const Process& p : processes) {
    ScopedFd fd = OpenProcess(p);
    if (fd) open.push_back(std::move(fd));
  }
  for (const ScopedFd& fd : open) syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kKillLimitMs);
  for (const ScopedFd& fd : open) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd p{fd.get(), POLLIN, 0};
    if (poll(&p, 1, std::max<int>(0, static_cast<int>(left.count()))) != 1) {
      return Internal("processes of box {} do not end; try \"omfs-box down\" again", box.name);
    }
  }
  // The hub may be a child of this process.
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  return absl::OkStatus();
}

absl::Status SetLink(const Box& box, const std::string& ip, int node, bool up) {
  return InHubNetwork(box, [&] {
    return RunIp(ip, fmt::format("link set {} {}", LinkName(node), up ? "up" : "down"));
  });
}

absl::StatusOr<bool> LinkIsUp(const Box& box, int node) {
  const absl::Status status = InHubNetwork(box, [&]() -> absl::Status {
    const ScopedFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    LinkName(node).copy(request.ifr_name, sizeof request.ifr_name - 1);
    if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return ErrnoStatus(errno, "link");
    return (request.ifr_flags & IFF_UP) != 0 ? absl::OkStatus() : absl::InternalError("down");
  });
  if (status.ok()) return true;
  if (Text(status) == "down") return false;
  return status;
}

}  // namespace omfs::box
