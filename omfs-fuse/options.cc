#include "omfs-fuse/options.h"

#include <CLI/CLI.hpp>
#include <map>
#include <sstream>
#include <vector>

#include "omfs/base/config.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

absl::Status ApplyMountOptions(const std::string& list, FuseOptions* out) {
  struct Flag {
    unsigned long bit;
    bool set;
  };
  static const std::map<std::string, Flag> kFlags = {
      {"suid", {MS_NOSUID, false}},     {"nosuid", {MS_NOSUID, true}},
      {"dev", {MS_NODEV, false}},       {"nodev", {MS_NODEV, true}},
      {"exec", {MS_NOEXEC, false}},     {"noexec", {MS_NOEXEC, true}},
      {"atime", {MS_NOATIME, false}},   {"noatime", {MS_NOATIME, true}},
      {"rw", {MS_RDONLY, false}},       {"ro", {MS_RDONLY, true}},
      {"sync", {MS_SYNCHRONOUS, true}}, {"async", {MS_SYNCHRONOUS, false}},
      {"dirsync", {MS_DIRSYNC, true}},
  };
  static const std::vector<std::string> kForMount = {"defaults", "auto", "noauto", "nofail",
                                                     "_netdev",  "user", "nouser", "users"};
  std::istringstream in(list);
  std::string option;
  while (std::getline(in, option, ',')) {
    if (option.empty() || option.starts_with("x-")) continue;
    if (std::find(kForMount.begin(), kForMount.end(), option) != kForMount.end()) continue;
    if (option.starts_with("config=")) {
      out->config_path = option.substr(7);
    } else if (option == "hard" || option == "soft") {
      out->hard = option == "hard";
    } else if (const auto it = kFlags.find(option); it != kFlags.end()) {
      out->flags = it->second.set ? out->flags | it->second.bit : out->flags & ~it->second.bit;
    } else {
      return InvalidArgument("unknown mount option \"{}\"", option);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FuseOptions> ParseFuseOptions(int argc, char** argv) {
  const std::string self = argc > 0 ? argv[0] : "omfs-fuse";
  const bool for_mount = self.ends_with("mount.omfs");
  FuseOptions options;
  options.config_path = kDefaultConfigPath;
  std::vector<std::string> places, lists;
  bool ignored = false;
  CLI::App app("Mounts /mfs: every node's files below its number.",
               for_mount ? "mount.omfs" : "omfs-fuse");
  app.set_version_flag("--version", "omfs-fuse 0.1.0");
  app.add_option("--config", options.config_path, "configuration file")->capture_default_str();
  app.add_option("-o", lists, "mount options, comma-separated")->allow_extra_args(false);
  if (for_mount) {
    app.add_flag("-f,--fake", options.fake, "do everything but mount");
    app.add_flag("-n,-s,-v", ignored, "accepted as mount(8) passes them");
    app.add_option("PLACES", places, "SOURCE MOUNTPOINT")->expected(2)->required();
  } else {
    app.add_flag("-f,--foreground", options.foreground, "stay in the foreground");
    app.add_option("MOUNTPOINT", places, "where to mount (default: as configured)")->expected(0, 1);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    std::ostringstream text;
    app.exit(e, text, text);
    return absl::CancelledError(text.str());
  } catch (const CLI::ParseError& e) {
    return InvalidArgument("{}", e.what());
  }
  for (const std::string& list : lists) OMFS_RETURN_IF_ERROR(ApplyMountOptions(list, &options));
  if (!places.empty()) options.mount_point = places.back();
  return options;
}

}  // namespace omfs
