// omfsd: the node daemon. Runs in the foreground, as systemd wants it: logs to stderr, says READY=1 when it serves, ends
// with status 0 on SIGTERM and SIGINT, and with one line and status 1 when it cannot start.
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "cluster/control_channel.h"
#include "cluster/daemon.h"
#include "omfs/base/log.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

// sd_notify(3)'s protocol: a datagram to the socket systemd names; '@' stands for the NUL of an abstract address.
void NotifySystemd(const std::string& state) {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || strlen(path) < 2 || strlen(path) >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  const socklen_t size = offsetof(sockaddr_un, sun_path) + strlen(path) + (path[0] == '@' ? 0 : 1);
  ScopedFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
}

// Signals wait in sigwait; blocked before any thread starts, so that none of them takes one.
sigset_t BlockEndSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

int Fail(const absl::Status& status) {
  fprintf(stderr, "omfsd: %s\n", Printable(Text(status)).c_str());
  return 1;
}

int Run(const std::string& config_path, const Overrides& overrides) {
  const auto config = LoadDaemonConfig(config_path, overrides);
  if (!config.ok()) return Fail(config.status());
  if (absl::Status s = InitLogging("omfsd", config->config.log_level, config->config.log_file);
      !s.ok()) {
    return Fail(s);
  }
  const sigset_t end_signals = BlockEndSignals();
  TakeOverGrpcLog();
  auto daemon = Daemon::Start(*config, config_path);
  if (!daemon.ok()) {
    if (!config->config.log_file.empty()) {
      spdlog::error("start_failed reason={}", Quoted(Text(daemon.status())));
    }
    return Fail(daemon.status());
  }
  spdlog::info("started node={} version={} export={} data_port={} control_port={}",
               config->config.node.value, OMFS_RELEASE, Quoted(config->config.export_path),
               config->config.data_port, config->config.control_port);
  NotifySystemd("READY=1");
  int signal = 0;
  do {
    sigwait(&end_signals, &signal);
  } while (signal == SIGHUP);  // nothing is re-read yet; a lost terminal is no reason to end
  NotifySystemd("STOPPING=1");
  spdlog::info("stopping signal={}", strsignal(signal));
  (*daemon)->Stop();
  daemon->reset();
  spdlog::info("stopped");
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("The oMFS node daemon: serves this node's export, control plane and local socket.", "omfsd");
  std::string config_path = kDefaultConfigPath;
  bool foreground = false;
  app.add_option("--config", config_path, "configuration file")->capture_default_str();
  app.add_flag("--foreground", foreground, "stay in the foreground (it always does)");
  app.set_version_flag("--version", std::string("omfsd ") + OMFS_RELEASE);
  std::map<std::string, std::string> values;
  std::vector<std::pair<CLI::Option*, std::string>> options;
  for (const std::string& flag : OverrideFlags()) {
    options.emplace_back(
        app.add_option("--" + flag, values[flag], "overrides the key of the configuration file"), flag);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return Fail(absl::InvalidArgumentError(std::string(e.what()) + " (see omfsd --help)"));
  }
  Overrides overrides;
  for (const auto& [option, flag] : options) {
    if (option->count() > 0) overrides.emplace_back(flag, values[flag]);
  }
  return Run(config_path, overrides);
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
