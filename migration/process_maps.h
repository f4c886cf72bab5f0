// A process's mappings as /proc/PID/maps shows them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "migration/remote_ptr.h"

namespace omfs::migration {

struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  int prot = 0;  // PROT_*
  bool shared = false;
  bool grows_down = false;
  uint64_t offset = 0;
  dev_t device = 0;
  uint64_t inode = 0;
  std::string path;  // file, "[stack]", "[vdso]", ... or empty

  uint64_t size() const { return end - start; }
  bool file() const { return inode != 0; }
  bool special() const { return path == "[vdso]" || path == "[vsyscall]" || path.starts_with("[vvar"); }
};

absl::StatusOr<std::vector<Mapping>> ReadMappings(pid_t pid);

// One line of /proc/PID/maps. false: not of that form.
bool ParseMapping(const std::string& line, Mapping* out);

// An address range of `size` bytes free in every one of the lists, away from the stack and the heap.
absl::StatusOr<uint64_t> FindHole(const std::vector<const std::vector<Mapping>*>& lists, uint64_t size);

// A contiguous run of pages within a mapping.
struct PageRun {
  uint64_t start = 0;
  uint64_t end = 0;
};

// The pages of [m.start, m.end) that hold data of the process's own: anonymous pages, swapped or not.
// Untouched pages, and pages that show a mapped file's content, are left out. Works by /proc/PID/pagemap.
absl::StatusOr<std::vector<PageRun>> OwnPages(pid_t pid, const Mapping& m);

}  // namespace omfs::migration
