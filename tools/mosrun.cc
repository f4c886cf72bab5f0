// mosrun: starts a program that may migrate; with -n it is moved at its very start.
//
// It asks the daemon to have an agent watch this process, and then executes the program in itself: the agent moves the
// process at the end of that execve. Exit status: the program's; 125 when mosrun itself fails, 126 when the program cannot
// be executed, 127 when it is not found.
#include <getopt.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "cluster/local_client.h"
#include "omfs/base/config.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr int kOwnFailure = 125;
constexpr char kUsage[] = "usage: mosrun [-n NODE|-h] [--no-dfsa] [--config FILE] [--] COMMAND [ARGUMENT...]\n";
constexpr char kHelp[] =
    "Starts COMMAND as a program that may migrate.\n"
    "  -n, --node NODE   move it to NODE (number, name or \"home\") as it starts\n"
    "  -h, --home        start it here, at its home (as without options)\n"
    "      --no-dfsa     forward file calls below /mfs home like all others\n"
    "      --config FILE configuration of the node (default /etc/omfs/omfs.conf)\n"
    "      --help        this text\n";

int Fail(const std::string& text, int status = kOwnFailure) {
  fprintf(stderr, "mosrun: %s\n", Printable(text).c_str());
  return status;
}

absl::Status AskToLaunch(const std::string& config_path, const std::string& node, bool no_dfsa) {
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadConfig(config_path));
  const NodeEntry* entry = config.FindByName(node);
  if (entry == nullptr) return InvalidArgument("no node \"{}\" in the node map", node);
  if (entry->id == config.node) return absl::OkStatus();
  local::Request request;
  request.mutable_launch()->set_node(entry->id.value);
  request.mutable_launch()->set_no_dfsa(no_dfsa);
  return AskDaemon(config.run_dir, request).status();
}

int Main(int argc, char** argv) {
  static constexpr option kOptions[] = {{"node", required_argument, nullptr, 'n'},
                                        {"home", no_argument, nullptr, 'h'},
                                        {"config", required_argument, nullptr, 'c'},
                                        {"no-dfsa", no_argument, nullptr, 'd'},
                                        {"help", no_argument, nullptr, '?' + 256},
                                        {nullptr, 0, nullptr, 0}};
  std::string node, config_path = kDefaultConfigPath;
  bool no_dfsa = false;
  opterr = 0;
  // '+': the command's own options are not ours. ':': tell a missing value from an unknown option.
  for (int c; (c = getopt_long(argc, argv, "+:n:h", kOptions, nullptr)) != -1;) {
    switch (c) {
      case 'n': node = optarg; break;
      case 'h': node = "home"; break;
      case 'c': config_path = optarg; break;
      case 'd': no_dfsa = true; break;
      case '?' + 256: printf("%s%s", kUsage, kHelp); return 0;
      case ':': return Fail(fmt::format("{} needs a value (see mosrun --help)", argv[optind - 1]));
      default: return Fail(fmt::format("unknown option {} (see mosrun --help)", argv[optind - 1]));
    }
  }
  if (optind >= argc) return Fail("no command given (see mosrun --help)");
  if (!node.empty() && node != "home") {
    if (const absl::Status s = AskToLaunch(config_path, node, no_dfsa); !s.ok()) return Fail(Text(s));
  }
  execvp(argv[optind], argv + optind);
  const int err = errno;
  return Fail(fmt::format("{}: {}", argv[optind], strerror(err)), err == ENOENT ? 127 : 126);
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Main(argc, argv); }
