#include "tools/box/box.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/files.h"
#include "omfs/base/status.h"

namespace omfs::box {
namespace {

using nlohmann::json;

json ToJson(const Process& p) { return {{"pid", p.pid}, {"start_time", p.start_time}}; }
Process ProcessFrom(const json& j) { return {j.at("pid"), j.at("start_time")}; }

struct Stat {
  char state = 0;
  uint64_t start_time = 0;
};

Stat ReadStat(pid_t pid) {
  Stat out;
  const auto text = ReadWholeFile(fmt::format("/proc/{}/stat", pid));
  if (!text.ok()) return out;
  // The command, in parentheses, may hold anything.
  std::istringstream in(text->substr(text->rfind(')') + 1));
  std::string word;
  for (int field = 3; field <= 22 && in >> word; ++field) {
    if (field == 3) out.state = word[0];
    if (field == 22) out.start_time = std::stoull(word);
  }
  return out;
}

}  // namespace

Process Identify(pid_t pid) {
  const Stat stat = ReadStat(pid);
  if (stat.state == 0 || stat.state == 'Z' || stat.state == 'X') return {};
  return {pid, stat.start_time};
}

char StateOf(const Process& process) {
  if (process.pid == 0) return 0;
  const Stat stat = ReadStat(process.pid);
  if (stat.start_time != process.start_time || stat.state == 'Z' || stat.state == 'X') return 0;
  return stat.state;
}

std::string Box::NodeDir(int node) const { return fmt::format("{}/node{}", dir, node); }
std::string Box::Address(int node) const { return fmt::format("10.77.0.{}", node); }
std::string Box::PidFile(int node, const std::string& daemon) const {
  return fmt::format("{}/node{}.{}.pid", RunDir(), node, daemon);
}
std::string Box::LogFile(int node, const std::string& daemon) const {
  return fmt::format("{}/{}.log", NodeDir(node), daemon);
}

absl::Status SaveBox(const Box& box) {
  json inits = json::array();
  for (const Process& p : box.inits) inits.push_back(ToJson(p));
  const json j = {{"name", box.name}, {"dir", box.dir}, {"made_dir", box.made_dir}, {"fs", box.fs},
                  {"nodes", box.nodes}, {"program_dir", box.program_dir}, {"hub", ToJson(box.hub)},
                  {"inits", inits}};
  return WriteFileAtomically(box.RunDir() + "/box.json", j.dump(2) + "\n", 0644);
}

absl::StatusOr<Box> LoadBox(const std::string& name) {
  OMFS_RETURN_IF_ERROR(CheckName(name));
  Box box;
  box.name = name;
  const std::string path = box.RunDir() + "/box.json";
  if (!FileExists(path)) return absl::NotFoundError(fmt::format("box {} is not up", name));
  OMFS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path));
  try {
    const json j = json::parse(text);
    box.dir = j.at("dir");
    box.made_dir = j.at("made_dir");
    box.fs = j.at("fs");
    box.nodes = j.at("nodes");
    box.program_dir = j.at("program_dir");
    box.hub = ProcessFrom(j.at("hub"));
    for (const json& p : j.at("inits")) box.inits.push_back(ProcessFrom(p));
  } catch (const json::exception& e) {
    return Internal("{}: {}", path, e.what());
  }
  return box;
}

absl::StatusOr<ScopedFd> LockBox(const std::string& name) {
  const std::string dir = fmt::format("{}/{}", kRunRoot, name);
  ScopedFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, dir);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return FailedPrecondition("another omfs-box is bringing box {} up or down", name);
  }
  return fd;
}

absl::Status CheckName(const std::string& name) {
  const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789_-") == name.npos;
  if (!plain || name.empty() || name.size() > 32 || name[0] == '-') {
    return InvalidArgument("--name \"{}\": want 1 to 32 letters, digits, - or _", name);
  }
  return absl::OkStatus();
}

}  // namespace omfs::box
