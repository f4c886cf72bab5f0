// omfs-fuse, also called mount.omfs: mounts /mfs and serves it until SIGTERM, SIGINT or umount.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "omfs-fuse/daemon.h"
#include "omfs-fuse/mfs.h"
#include "omfs-fuse/options.h"
#include "omfs/base/config.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

struct Prepared {
  Config config;
  std::shared_ptr<TlsContext> tls;
  std::string mount_point;
};

// All that can be wrong before anything is started.
absl::StatusOr<Prepared> Prepare(const FuseOptions& options) {
  if (geteuid() != 0) return absl::PermissionDeniedError("must be run as root");
  Prepared p;
  OMFS_ASSIGN_OR_RETURN(p.config, LoadConfig(options.config_path));
  p.config.hard = options.hard.value_or(p.config.hard);
  OMFS_ASSIGN_OR_RETURN(p.tls, TlsContext::Load(p.config.pki_dir));
  if (p.tls->node() != p.config.node) {
    return FailedPrecondition("{}: the certificate in {} is node {}'s, not node {}'s",
                              options.config_path, p.config.pki_dir, p.tls->node().value,
                              p.config.node.value);
  }
  p.mount_point = options.mount_point.empty() ? p.config.mount_point : options.mount_point;
  // Mount points are compared with /proc/self/mountinfo, where paths are absolute and without
  // links. A dead mount cannot be resolved, so the last component is taken as it is then.
  char resolved[PATH_MAX];
  if (realpath(p.mount_point.c_str(), resolved) != nullptr) {
    p.mount_point = resolved;
  } else if (errno != ENOTCONN) {
    return ErrnoStatus(errno, fmt::format("mount point {}", p.mount_point));
  }
  return p;
}

// Signals that end the program, as a descriptor. Blocks them for all threads started later.
absl::StatusOr<ScopedFd> BlockEndingSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return Internal("cannot block signals");
  ScopedFd fd(signalfd(-1, &set, SFD_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, "signalfd");
  return fd;
}

absl::Status Serve(const FuseOptions& options, const Prepared& prepared, Background* background) {
  const Config& config = prepared.config;
  // In the background nobody reads stderr.
  const std::string log_file = !config.log_file.empty() ? config.log_file
                               : background != nullptr  ? config.run_dir + "/omfs-fuse.log"
                                                        : "";
  OMFS_RETURN_IF_ERROR(InitLogging("omfs-fuse", config.log_level, log_file));
  OMFS_ASSIGN_OR_RETURN(const ScopedFd signals, BlockEndingSignals());
  const ScopedFd ended(eventfd(0, EFD_CLOEXEC));
  if (!ended) return ErrnoStatus(errno, "eventfd");
  OMFS_ASSIGN_OR_RETURN(std::unique_ptr<Mfs> mfs,
                        Mfs::Mount(config, prepared.tls, prepared.mount_point, options.flags,
                                   [fd = ended.get()] { eventfd_write(fd, 1); }));
  spdlog::info("mounted path={} nodes={}", prepared.mount_point, config.nodes.size());
  if (background != nullptr) background->Ready();

  pollfd fds[2] = {{signals.get(), POLLIN, 0}, {ended.get(), POLLIN, 0}};
  while (poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
  spdlog::info("unmounting path={} why={}", prepared.mount_point,
               fds[0].revents != 0 ? "signal" : "unmounted");
  if (!mfs->Unmount()) {
    spdlog::info("a mount is still seen in another mount namespace; its users get errors now");
    spdlog::shutdown();
    _exit(0);  // threads wait in the kernel for its requests: nothing to wait for
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  absl::StatusOr<FuseOptions> options = ParseFuseOptions(argc, argv);
  if (!options.ok()) {
    const bool help = options.status().code() == absl::StatusCode::kCancelled;
    fprintf(help ? stdout : stderr, help ? "%s" : "omfs-fuse: %s\n",
            help ? Text(options.status()).c_str() : Printable(Text(options.status())).c_str());
    return help ? 0 : 2;
  }
  absl::StatusOr<Prepared> prepared = Prepare(*options);
  if (!prepared.ok()) {
    fprintf(stderr, "omfs-fuse: %s\n", Printable(Text(prepared.status())).c_str());
    return 1;
  }
  if (options->fake) return 0;
  std::optional<Background> background;
  if (!options->foreground) {
    absl::StatusOr<Background> entered = Background::Enter();
    if (!entered.ok()) {
      fprintf(stderr, "omfs-fuse: %s\n", Printable(Text(entered.status())).c_str());
      return 1;
    }
    background.emplace(std::move(*entered));
  }
  if (absl::Status s = Serve(*options, *prepared, background ? &*background : nullptr); !s.ok()) {
    const std::string line = "omfs-fuse: " + Printable(Text(s));
    if (background) {
      background->Failed(line);
    } else {
      fprintf(stderr, "%s\n", line.c_str());
    }
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
