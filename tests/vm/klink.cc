// vm_klink CONFIG NODE...: links from the kernel client to the given nodes, until SIGTERM.
#include <csignal>

#include "cluster/kernel_link.h"
#include "omfs/base/config.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

absl::Status Link(const std::string& config_path, std::span<char*> names) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadConfig(config_path));
  OMFS_RETURN_IF_ERROR(InitLogging("vm_klink", config.log_level, config.log_file));
  OMFS_ASSIGN_OR_RETURN(const auto tls, TlsContext::Load(config.pki_dir));
  if (!KernelClientPresent()) return FailedPrecondition("omfs.ko is not loaded");
  std::vector<NodeEntry> owners;
  for (const char* name : names) {
    const NodeEntry* entry = config.FindByName(name);
    if (entry == nullptr) return InvalidArgument("no node {} in {}", name, config.node_map);
    owners.push_back(*entry);
  }
  KernelClient client(tls, config.node, owners);
  int signal = 0;
  sigwait(&stop, &signal);
  return absl::OkStatus();
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: vm_klink CONFIG NODE...\n");
    return 2;
  }
  const absl::Status s = omfs::Link(argv[1], std::span(argv + 2, argc - 2));
  if (!s.ok()) fmt::print(stderr, "vm_klink: {}\n", omfs::Text(s));
  return s.ok() ? 0 : 1;
}
