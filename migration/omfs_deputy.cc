// omfs-deputy: the agent of one migrated process at its home. Started by omfsd, with a socket to it as descriptor 3.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "migration/deputy_agent.h"
#include "omfs/base/log.h"

int main(int argc, char** argv) {
  CLI::App app("Agent of a migrated process at its home; started by omfsd");
  std::string config_path = omfs::kDefaultConfigPath;
  int pid = 0;
  bool launch = false;
  app.add_option("--config", config_path, "configuration file");
  app.add_option("--pid", pid, "the process")->required()->check(CLI::PositiveNumber);
  app.add_flag("--launch", launch, "the process is about to execute its program; move it then");
  CLI11_PARSE(app, argc, argv);
  const auto fail = [](const absl::Status& s) {
    fprintf(stderr, "omfs-deputy: %s\n", omfs::Text(s).c_str());
    return 1;
  };
  auto config = omfs::LoadConfig(config_path);
  if (!config.ok()) return fail(config.status());
  if (absl::Status s = omfs::InitLogging("omfs-deputy", config->log_level, config->log_file); !s.ok()) return fail(s);
  auto tls = omfs::TlsContext::Load(config->pki_dir);
  if (!tls.ok()) return fail(tls.status());
  omfs::migration::DeputyAgent agent(*config, *tls, omfs::ScopedFd(3));
  if (absl::Status s = agent.Run(pid, launch); !s.ok()) return fail(s);
  return 0;
}
