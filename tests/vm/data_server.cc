// vm_data_server CONFIG: the data plane's server alone, without the rest of omfsd, until SIGTERM.
#include <csignal>

#include "omfs/base/config.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/net/tls.h"
#include "omfs/server/data_server.h"
#include "omfs/store/store.h"

namespace omfs {
namespace {

absl::Status Serve(const std::string& config_path) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadConfig(config_path));
  OMFS_RETURN_IF_ERROR(InitLogging("vm_data_server", config.log_level, config.log_file));
  OMFS_ASSIGN_OR_RETURN(const auto tls, TlsContext::Load(config.pki_dir));
  OMFS_ASSIGN_OR_RETURN(const auto store, Store::Open(config.state_dir));
  OMFS_ASSIGN_OR_RETURN(const auto server, DataServer::Start(config, tls, store));
  spdlog::info("serving port={}", server->port());
  int signal = 0;
  sigwait(&stop, &signal);
  server->Stop();
  return absl::OkStatus();
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: vm_data_server CONFIG\n");
    return 2;
  }
  const absl::Status s = omfs::Serve(argv[1]);
  if (!s.ok()) fmt::print(stderr, "vm_data_server: {}\n", omfs::Text(s));
  return s.ok() ? 0 : 1;
}
