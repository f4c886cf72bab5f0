// omfs-keeper: beside one guest, on the node where it runs. Started by omfsd, with a socket to it as descriptor 3, over which
// it gets the token that the guest's home will present and tells on which port it waits.
#include <poll.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "migration/keeper.h"
#include "omfs/base/log.h"
#include "omfs/net/frame.h"
#include "proto/local.pb.h"

namespace omfs::migration {
namespace {

constexpr int kConnectTimeoutMs = 15000;

absl::StatusOr<std::unique_ptr<Link>> AwaitHome(const Config& config, const std::shared_ptr<TlsContext>& tls,
                                                int channel, NodeId home, int pid) {
  OMFS_ASSIGN_OR_RETURN(const std::string bytes, ReceiveFrame(channel));
  local::AgentCommand command;
  if (!command.ParseFromString(bytes) || command.move_to().token().empty()) return Internal("no token from omfsd");
  OMFS_ASSIGN_OR_RETURN(const ScopedFd listener, ListenTcp(config.listen, 0));
  local::AgentEvent listening;
  listening.set_listening_port(LocalPort(listener.get()));
  OMFS_RETURN_IF_ERROR(SendFrame(channel, listening.SerializeAsString()));
  // A stranger's connection is dropped and must not use up the one attempt.
  for (int attempt = 0; attempt < 16; ++attempt) {
    pollfd p{listener.get(), POLLIN, 0};
    if (poll(&p, 1, kConnectTimeoutMs) <= 0) break;
    ScopedFd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) continue;
    auto stream = TlsStream::Accept(tls, std::move(socket), 5000);
    if (!stream.ok() || (*stream)->peer() != home) continue;
    auto link = std::make_unique<Link>(std::move(*stream));
    auto frame = link->Receive();
    if (!frame.ok()) continue;
    auto hello = ParseMessage(*frame);
    if (hello.ok() && hello->hello().token() == command.move_to().token() && hello->hello().pid() == pid) return link;
  }
  return Unavailable("node {} did not send the process", home.value);
}

int Main(int argc, char** argv) {
  CLI::App app("Keeper of a guest; started by omfsd");
  std::string config_path = kDefaultConfigPath;
  int pid = 0;
  uint16_t home = 0;
  app.add_option("--config", config_path, "configuration file");
  app.add_option("--home", home, "the guest's home node")->required()->check(CLI::PositiveNumber);
  app.add_option("--pid", pid, "the guest's process number at home")->required()->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const auto fail = [](const absl::Status& s) {
    fprintf(stderr, "omfs-keeper: %s\n", Text(s).c_str());
    return 1;
  };
  auto config = LoadConfig(config_path);
  if (!config.ok()) return fail(config.status());
  if (absl::Status s = InitLogging("omfs-keeper", config->log_level, config->log_file); !s.ok()) return fail(s);
  auto tls = TlsContext::Load(config->pki_dir);
  if (!tls.ok()) return fail(tls.status());
  auto link = AwaitHome(*config, *tls, 3, NodeId(home), pid);
  if (!link.ok()) {
    spdlog::warn("event=guest_did_not_come home={} pid={} reason={}", home, pid, Quoted(Text(link.status())));
    return 1;
  }
  Keeper keeper(*config, std::move(*link), ScopedFd(3));
  if (absl::Status s = keeper.Run(); !s.ok()) {
    spdlog::error("event=guest_lost home={} pid={} reason={}", home, pid, Quoted(Text(s)));
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace omfs::migration

int main(int argc, char** argv) { return omfs::migration::Main(argc, argv); }
