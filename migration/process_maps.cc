#include "migration/process_maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs::migration {

bool ParseMapping(const std::string& line, Mapping* out) {
  unsigned long start = 0, end = 0, offset = 0, inode = 0;
  char perms[5] = {};
  unsigned int dev_major = 0, dev_minor = 0;
  int path_at = -1;
  if (sscanf(line.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &start, &end, perms, &offset, &dev_major,
             &dev_minor, &inode, &path_at) < 7 ||
      end <= start) {
    return false;
  }
  *out = Mapping();
  out->start = start;
  out->end = end;
  out->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
              (perms[2] == 'x' ? PROT_EXEC : 0);
  out->shared = perms[3] == 's';
  out->offset = offset;
  out->device = makedev(dev_major, dev_minor);
  out->inode = inode;
  if (path_at >= 0 && static_cast<size_t>(path_at) < line.size()) out->path = line.substr(path_at);
  return true;
}

absl::StatusOr<std::vector<Mapping>> ReadMappings(pid_t pid) {
  // smaps carries the VmFlags line, the only place that shows MAP_GROWSDOWN; it also walks page tables, so it is
  // read only for the flags of the stack, which is the one mapping of that kind in practice.
  const std::string name = fmt::format("/proc/{}/maps", pid);
  std::ifstream in(name);
  if (!in) return ErrnoStatus(ESRCH, name);
  std::vector<Mapping> maps;
  for (std::string line; std::getline(in, line);) {
    Mapping m;
    if (!ParseMapping(line, &m)) return Internal("{}: cannot read \"{}\"", name, line);
    m.grows_down = m.path == "[stack]";
    maps.push_back(std::move(m));
  }
  return maps;
}

absl::StatusOr<uint64_t> FindHole(const std::vector<const std::vector<Mapping>*>& lists, uint64_t size) {
  std::vector<std::pair<uint64_t, uint64_t>> used;
  for (const auto* list : lists) {
    for (const Mapping& m : *list) used.emplace_back(m.start, m.end);
  }
  std::sort(used.begin(), used.end());
  // Low in the area that position-independent programs never use on x86-64 and non-PIE programs leave long before.
  constexpr uint64_t kLow = 0x10000000000, kHigh = 0x500000000000, kMargin = 1ULL << 30;
  uint64_t at = kLow;
  for (const auto& [start, end] : used) {
    if (end <= at) continue;
    if (start >= at + size + kMargin) break;
    at = PageUp(end + kMargin);
  }
  if (at + size > kHigh) return FailedPrecondition("no free address range of {} bytes", size);
  return at;
}

absl::StatusOr<std::vector<PageRun>> OwnPages(pid_t pid, const Mapping& m) {
  constexpr uint64_t kPresent = 1ULL << 63, kSwapped = 1ULL << 62, kFilePage = 1ULL << 61;
  ScopedFd fd(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, fmt::format("/proc/{}/pagemap", pid));
  std::vector<PageRun> runs;
  std::vector<uint64_t> entries(4096);
  for (uint64_t at = m.start; at < m.end;) {
    const size_t want = std::min<uint64_t>(entries.size(), (m.end - at) / kPageSize);
    const ssize_t n =
        pread(fd.get(), entries.data(), want * sizeof(uint64_t), at / kPageSize * sizeof(uint64_t));
    if (n <= 0) return ErrnoStatus(n < 0 ? errno : EIO, fmt::format("/proc/{}/pagemap", pid));
    for (size_t i = 0; i < n / sizeof(uint64_t); ++i, at += kPageSize) {
      const uint64_t e = entries[i];
      const bool own = (e & kSwapped) != 0 || ((e & kPresent) != 0 && (e & kFilePage) == 0);
      if (!own) continue;
      if (!runs.empty() && runs.back().end == at) {
        runs.back().end = at + kPageSize;
      } else {
        runs.push_back({at, at + kPageSize});
      }
    }
  }
  return runs;
}

}  // namespace omfs::migration
