#include "tools/tool.h"

#include <charconv>
#include <cstdio>

#include "omfs/base/status.h"

namespace omfs {

int FailTool(const std::string& tool, const absl::Status& status, int exit_status) {
  fprintf(stderr, "%s: %s\n", tool.c_str(), Printable(Text(status)).c_str());
  return exit_status;
}

bool ParseArguments(CLI::App* app, int argc, char** argv, int* exit_status) {
  try {
    app->parse(argc, argv);
    return true;
  } catch (const CLI::Success& e) {
    *exit_status = app->exit(e);
  } catch (const CLI::ParseError& e) {
    fprintf(stderr, "%s: %s (see %s --help)\n", app->get_name().c_str(),
            Printable(e.what()).c_str(), app->get_name().c_str());
    *exit_status = 2;
  }
  return false;
}

absl::StatusOr<Config> LoadToolConfig(const std::string& from) {
  return LoadConfig(from.empty() ? kDefaultConfigPath : from);
}

absl::StatusOr<uint32_t> NodeArgument(const Config& config, const std::string& text) {
  if (text == "home") return 0u;
  const NodeEntry* node = config.FindByName(text);
  if (node == nullptr) return InvalidArgument("no node \"{}\" in the node map", text);
  return static_cast<uint32_t>(node->id.value);
}

absl::StatusOr<int32_t> PidArgument(const std::string& text) {
  int32_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid < 1) {
    return InvalidArgument("\"{}\" is not a process number", text);
  }
  return pid;
}

}  // namespace omfs
