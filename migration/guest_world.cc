#include "migration/guest_world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>

#include "omfs/base/log.h"
#include "omfs/base/status.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace omfs::migration {
namespace {

int64_t Nanoseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

std::string BootId() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  in >> id;
  return id;
}

// Gives the children a time namespace in which monotonic time continues the home's. On one kernel there is nothing
// to continue.
absl::Status SetUpTime(const Image& image) {
  if (image.boot_id() == BootId()) return absl::OkStatus();
  if (unshare(CLONE_NEWTIME) != 0) return ErrnoStatus(errno, "time namespace");
  const int64_t monotonic = image.monotonic_ns() - Nanoseconds(CLOCK_MONOTONIC);
  const int64_t boottime = image.boottime_ns() - Nanoseconds(CLOCK_BOOTTIME);
  const auto line = [](const char* name, int64_t ns) {
    int64_t sec = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) --sec, rest += 1000000000;
    return fmt::format("{} {} {}\n", name, sec, rest);
  };
  std::ofstream out("/proc/self/timens_offsets");
  out << line("monotonic", monotonic) << line("boottime", boottime);
  out.close();
  if (!out) return Internal("/proc/self/timens_offsets cannot be written");
  return absl::OkStatus();
}

absl::Status Bind(const std::string& from, const std::string& to) {
  if (mkdir(to.c_str(), 0755) != 0 && errno != EEXIST) return ErrnoStatus(errno, to);
  if (mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoStatus(errno, fmt::format("bind mount of {}", from));
  }
  return absl::OkStatus();
}

bool IsMountPoint(const std::string& path) {
  struct stat a {}, b {};
  return stat(path.c_str(), &a) == 0 && stat((path + "/..").c_str(), &b) == 0 && a.st_dev != b.st_dev;
}

// Assembles the guest's root at `root`: /mfs/<self> is this node's export itself, the other nodes' are the mounts of
// the node's own /mfs. A magic name is a link, fixed for as long as the guest is here.
absl::Status AssembleRoot(const std::string& root, const Config& config, const Image& image) {
  if (mount("omfs-guest", root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0555") != 0) {
    return ErrnoStatus(errno, "guest root");
  }
  const std::string mfs = root + config.mount_point;
  if (mkdir(mfs.c_str(), 0755) != 0) return ErrnoStatus(errno, mfs);
  for (const NodeEntry& n : config.nodes) {
    const std::string number = std::to_string(n.id.value);
    if (n.id == config.node) {
      OMFS_RETURN_IF_ERROR(Bind(config.export_path, mfs + "/" + number));
    } else if (const std::string at = config.mount_point + "/" + number; IsMountPoint(at)) {
      OMFS_RETURN_IF_ERROR(Bind(at, mfs + "/" + number));
    }
  }
  const auto link = [&](const char* name, uint32_t node) {
    return symlink(std::to_string(node).c_str(), (mfs + "/" + name).c_str());
  };
  if (link("here", config.node.value) != 0 || link("home", image.home()) != 0 ||
      link("lastexec", image.home()) != 0) {
    return ErrnoStatus(errno, mfs);
  }
  for (const char* dir : {"/.old", "/.elsewhere"}) {
    if (mkdir((root + dir).c_str(), 0) != 0) return ErrnoStatus(errno, root + dir);
  }
  if (mount(nullptr, root.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
            nullptr) != 0) {
    return ErrnoStatus(errno, "guest root read-only");
  }
  return absl::OkStatus();
}

// pid 1 of the guest's pid namespace: reaps, and ends with the keeper.
absl::StatusOr<pid_t> StartInit() {
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "omfs-guest-init");
    close_range(0, ~0U, 0);
    for (int sig = 1; sig < 32; ++sig) signal(sig, SIG_DFL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) pause();
  }
  return pid;
}

}  // namespace

absl::StatusOr<GuestWorld> GuestWorld::Make(const Config& config, const Image& image) {
  GuestWorld world;
  world.root_ = config.run_dir + "/guest-root";
  if (mkdir(world.root_.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, world.root_);
  if (unshare(CLONE_NEWNS) != 0) return ErrnoStatus(errno, "mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "private mounts");
  }
  OMFS_RETURN_IF_ERROR(AssembleRoot(world.root_, config, image));
  OMFS_RETURN_IF_ERROR(SetUpTime(image));
  if (unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) != 0) return ErrnoStatus(errno, "namespaces");
  OMFS_ASSIGN_OR_RETURN(world.init_, StartInit());
  return world;
}

GuestWorld::~GuestWorld() {
  if (init_ > 0) {
    kill(init_, SIGKILL);
    waitpid(init_, nullptr, 0);
  }
}

int GuestWorld::EnterRoot() const {
  if (unshare(CLONE_NEWNS) != 0 || chdir(root_.c_str()) != 0) return errno;
  if (syscall(SYS_pivot_root, ".", ".old") != 0) return errno;
  if (umount2("/.old", MNT_DETACH) != 0) return errno;
  if (chdir("/.elsewhere") != 0) return errno;
  return 0;
}

}  // namespace omfs::migration
