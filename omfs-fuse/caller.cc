#include "omfs-fuse/caller.h"

#include <cstdlib>

#include <fmt/format.h>

#include "omfs-fuse/proc_file.h"

namespace omfs {

std::vector<uint32_t> SupplementaryGroups(pid_t pid) {
  std::vector<uint32_t> groups;
  const std::optional<std::string> status = ReadProcFile(fmt::format("/proc/{}/status", pid));
  if (!status) return groups;
  const size_t line = status->find("\nGroups:");
  if (line == std::string::npos) return groups;
  const char* p = status->c_str() + line + 8;
  for (;;) {
    while (*p == ' ' || *p == '\t') ++p;
    char* end;
    const unsigned long gid = strtoul(p, &end, 10);
    if (end == p) return groups;
    groups.push_back(static_cast<uint32_t>(gid));
    p = end;
  }
}

Caller CallerOf(const RequestIds& ids) {
  Caller caller;
  caller.uid = ids.uid;
  caller.gid = ids.gid;
  caller.umask = ids.umask & 0777;
  if (ids.uid != 0 && ids.pid != 0) caller.groups = SupplementaryGroups(ids.pid);
  return caller;
}

}  // namespace omfs
