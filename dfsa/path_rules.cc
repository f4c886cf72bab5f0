#include "dfsa/path_rules.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>
#include <optional>

namespace omfs::dfsa {
namespace {

// Splits off the first component; leading slashes are skipped.
std::string_view Next(std::string_view* path) {
  const auto begin = path->find_first_not_of('/');
  if (begin == path->npos) {
    *path = {};
    return {};
  }
  const auto end = std::min(path->find('/', begin), path->size());
  const std::string_view part = path->substr(begin, end - begin);
  *path = path->substr(end);
  return part;
}

int OpenBeneath(int root, const std::string& rest, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(syscall(SYS_openat2, root, rest.c_str(), &how, sizeof how));
}

}  // namespace

MfsPath PathRules::Parse(std::string_view absolute) const {
  MfsPath none;
  if (absolute.empty() || absolute[0] != '/') return none;
  std::string_view path = absolute, mount = mount_point_;
  for (std::string_view want = Next(&mount); !want.empty(); want = Next(&mount)) {
    std::string_view part = Next(&path);
    while (part == ".") part = Next(&path);
    if (part != want) return none;
  }
  std::string_view part = Next(&path);
  while (part == ".") part = Next(&path);
  MfsPath found;
  if (part == "here") {
    found.node = here_;
  } else if (part == "home" || part == "lastexec") {
    found.node = home_;  // programs are executed at home
  } else {
    uint16_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    // Exactly the name the directory has: "02" names nothing.
    if (error != std::errc() || end != part.data() + part.size() || part[0] == '0') return none;
    found.node = NodeId(number);
  }
  const auto begin = path.find_first_not_of('/');
  if (begin != path.npos) found.rest = path.substr(begin);
  return found;
}

bool PathRules::RunsHere(std::string_view absolute, bool follow) const {
  const MfsPath p = Parse(absolute);
  const auto root = roots_.find(p.node);
  if (!p.node.valid() || root == roots_.end()) return false;
  return p.rest.empty() || WalkStays(root->second.get(), p.rest, follow);
}

bool PathRules::WalkStays(int root, const std::string& rest, bool follow) const {
  if (!follow && rest.find('/') == rest.npos && rest != "..") return true;
  ScopedFd fd(OpenBeneath(root, rest, follow ? 0 : O_NOFOLLOW));
  if (fd) return true;
  if (errno == EXDEV || errno == EAGAIN) return false;
  if (errno == ENOENT && follow) {
    // Nothing there, or a link that leads nowhere inside: creating through that is the home's business.
    fd.reset(OpenBeneath(root, rest, O_NOFOLLOW));
    return !fd;
  }
  return true;  // the call itself will give the same error
}

}  // namespace omfs::dfsa
