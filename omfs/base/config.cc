#include "omfs/base/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

std::string Trim(const std::string& s) {
  const auto b = s.find_first_not_of(" \t\r");
  if (b == s.npos) return "";
  return s.substr(b, s.find_last_not_of(" \t\r") - b + 1);
}

// What looks like a key. A file of something else entirely is not quoted back.
bool IsWord(const std::string& s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || c == '_' || c == '-' || c == '.');
  });
}

template <typename T>
bool ParseNumber(const std::string& s, T min, T max, T* out) {
  uint64_t v = 0;
  auto [p, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (ec != std::errc() || p != s.data() + s.size() || v < min || v > max) return false;
  *out = static_cast<T>(v);
  return true;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto failed = [&] { return ErrnoStatus(errno, fmt::format("cannot read {}", path)); };
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed();
  std::string text;
  char chunk[4096];
  for (;;) {
    const ssize_t n = read(fd.get(), chunk, sizeof chunk);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    text.append(chunk, n);
  }
}

}  // namespace

const NodeEntry* Config::Find(NodeId id) const {
  for (const NodeEntry& n : nodes) {
    if (n.id == id) return &n;
  }
  return nullptr;
}

const NodeEntry* Config::FindByName(const std::string& name_or_number) const {
  uint16_t number = 0;
  if (ParseNumber<uint16_t>(name_or_number, 1, 65535, &number)) return Find(NodeId(number));
  for (const NodeEntry& n : nodes) {
    if (n.name == name_or_number) return &n;
  }
  return nullptr;
}

absl::StatusOr<std::vector<NodeEntry>> ParseNodeMap(const std::string& text,
                                                    const std::string& file_name) {
  std::vector<NodeEntry> nodes;
  std::set<uint16_t> ids;
  std::set<std::string> names;
  std::istringstream in(text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    std::istringstream words(line);
    std::vector<std::string> w;
    for (std::string word; words >> word;) w.push_back(word);
    const auto bad = [&](const std::string& what) {
      return InvalidArgument("{}:{}: {}", file_name, number, what);
    };
    if (w.size() < 3 || w.size() > 5) {
      return bad("want NUMBER NAME ADDRESS [DATA-PORT [CONTROL-PORT]]");
    }
    NodeEntry n;
    if (!ParseNumber<uint16_t>(w[0], 1, 65535, &n.id.value)) {
      return bad(fmt::format("node number \"{}\" is not in 1..65535", w[0]));
    }
    n.name = w[1];
    n.address = w[2];
    if (w.size() > 3 && !ParseNumber<uint16_t>(w[3], 1, 65535, &n.data_port)) {
      return bad(fmt::format("port \"{}\" is not in 1..65535", w[3]));
    }
    if (w.size() > 4 && !ParseNumber<uint16_t>(w[4], 1, 65535, &n.control_port)) {
      return bad(fmt::format("port \"{}\" is not in 1..65535", w[4]));
    }
    if (!ids.insert(n.id.value).second) return bad(fmt::format("node {} is named twice", w[0]));
    if (!names.insert(n.name).second) return bad(fmt::format("name {} is used twice", w[1]));
    nodes.push_back(std::move(n));
  }
  return nodes;
}

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file_name) {
  Config c;
  const auto path = [](std::string* out) {
    return [out](const std::string& v) {
      *out = v;
      return !v.empty() && v[0] == '/';
    };
  };
  const auto word = [](std::string* out) {
    return [out](const std::string& v) {
      *out = v;
      return !v.empty();
    };
  };
  const auto yes_no = [](bool* out) {
    return [out](const std::string& v) {
      *out = v == "yes";
      return v == "yes" || v == "no";
    };
  };
  const auto port = [](uint16_t* out) {
    return [out](const std::string& v) { return ParseNumber<uint16_t>(v, 1, 65535, out); };
  };
  const std::map<std::string, std::function<bool(const std::string&)>> keys = {
      {"node", port(&c.node.value)},
      {"listen", word(&c.listen)},
      {"data_port", port(&c.data_port)},
      {"control_port", port(&c.control_port)},
      {"export", path(&c.export_path)},
      {"root_squash", yes_no(&c.root_squash)},
      {"cache", yes_no(&c.cache)},
      {"clock_offset_ms",
       [&c](const std::string& v) {
         uint64_t ms = 0;
         const bool behind = v.starts_with('-');
         if (!ParseNumber<uint64_t>(v.substr(behind ? 1 : 0), 0, 24ULL * 3600 * 1000, &ms)) return false;
         c.clock_offset_ms = behind ? -static_cast<int64_t>(ms) : static_cast<int64_t>(ms);
         return true;
       }},
      {"hard", yes_no(&c.hard)},
      {"passthrough", yes_no(&c.passthrough)},
      {"local",
       [&c](const std::string& v) {
         c.local_bind = v == "bind";
         return v == "fuse" || v == "bind";
       }},
      {"mount", path(&c.mount_point)},
      {"nodes", path(&c.node_map)},
      {"pki", path(&c.pki_dir)},
      {"state", path(&c.state_dir)},
      {"run", path(&c.run_dir)},
      {"log_level", word(&c.log_level)},
      {"log_file", path(&c.log_file)},
      {"lease_ms",
       [&c](const std::string& v) {
         return ParseNumber<uint32_t>(v, 100, 3600 * 1000, &c.lease_ms);
       }},
  };
  std::istringstream in(text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const auto eq = line.find('=');
    const std::string key = Trim(line.substr(0, eq));
    if (eq == line.npos || !IsWord(key)) {
      return InvalidArgument("{}:{}: want key = value", file_name, number);
    }
    const std::string value = Trim(line.substr(eq + 1));
    const auto it = keys.find(key);
    if (it == keys.end()) return InvalidArgument("{}:{}: unknown key \"{}\"", file_name, number, key);
    if (!it->second(value)) {
      return InvalidArgument("{}:{}: \"{}\" is no value for {}", file_name, number, value, key);
    }
  }
  if (!c.node.valid()) return InvalidArgument("{}: no line \"node = NUMBER\"", file_name);
  return c;
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  OMFS_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  OMFS_ASSIGN_OR_RETURN(Config c, ParseConfig(text, path));
  OMFS_ASSIGN_OR_RETURN(const std::string map, ReadFile(c.node_map));
  OMFS_ASSIGN_OR_RETURN(c.nodes, ParseNodeMap(map, c.node_map));
  if (c.Find(c.node) == nullptr) {
    return InvalidArgument("{}: node {} of {} is not in the map", c.node_map, c.node.value, path);
  }
  return c;
}

}  // namespace omfs
