#include "migration/memory_transfer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

bool IsZero(std::span<const std::byte> page) {
  static const std::byte zero[kPageSize] = {};
  return memcmp(page.data(), zero, page.size()) == 0;
}

bool Overlaps(const Mapping& m, const std::vector<OwnRange>& own) {
  return std::any_of(own.begin(), own.end(),
                     [&](const OwnRange& r) { return m.start < r.end && r.start < m.end; });
}

// A read-only shared mapping of a file that belongs to the system's own read-only data (character set tables and the
// like) may be treated as a private one: nothing writes such files in place.
bool SystemData(const Mapping& m) {
  return (m.prot & PROT_WRITE) == 0 && (m.path.starts_with("/usr/") || m.path.starts_with("/lib"));
}

std::string MapFile(pid_t pid, const Mapping& m) {
  return fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, m.start, m.end);
}

}  // namespace

absl::Status DescribeMappings(const std::vector<Mapping>& maps, const std::vector<OwnRange>& own, pid_t pid,
                              Image* image) {
  std::map<std::pair<dev_t, uint64_t>, uint32_t> files;
  for (const Mapping& m : maps) {
    if (m.path == "[vsyscall]" || Overlaps(m, own)) continue;
    if (m.path == "[vdso]") {
      image->set_vdso_start(m.start);
      continue;
    }
    if (m.path.starts_with("[vvar")) {
      if (image->vvar_start() == 0) image->set_vvar_start(m.start);
      continue;
    }
    if (m.shared && !SystemData(m)) {
      return FailedPrecondition("it shares memory: shared mapping of {}", m.path.empty() ? "memory" : m.path);
    }
    Vma* v = image->add_vmas();
    v->set_start(m.start);
    v->set_end(m.end);
    v->set_prot(m.prot);
    v->set_grows_down(m.grows_down);
    if (!m.file()) continue;
    struct stat st {};
    if (stat(MapFile(pid, m).c_str(), &st) != 0) return ErrnoStatus(errno, MapFile(pid, m));
    if (!S_ISREG(st.st_mode)) return FailedPrecondition("it maps the device {}", m.path);
    auto [it, fresh] = files.try_emplace({m.device, m.inode}, image->files_size());
    if (fresh) {
      MappedFile* f = image->add_files();
      f->set_path(m.path);
      f->set_size(st.st_size);
    }
    v->set_file(it->second + 1);
    v->set_offset(m.offset);
  }
  return absl::OkStatus();
}

absl::Status DescribeGuestMappings(const std::vector<Mapping>& maps, const std::vector<OwnRange>& own,
                                   const std::string& file_prefix, const Image& origin, Image* image) {
  *image->mutable_files() = origin.files();
  const std::string memfd = "/memfd:" + file_prefix;
  for (const Mapping& m : maps) {
    if (m.special() || Overlaps(m, own)) continue;
    Vma* v = image->add_vmas();
    v->set_start(m.start);
    v->set_end(m.end);
    v->set_prot(m.prot);
    v->set_grows_down(m.grows_down);
    if (m.path.starts_with(memfd)) {
      const uint32_t index = strtoul(m.path.c_str() + memfd.size(), nullptr, 10);
      if (index >= static_cast<uint32_t>(origin.files_size())) return Internal("unknown mapped file {}", m.path);
      v->set_file(index + 1);
      v->set_offset(m.offset);
    } else if (m.file()) {
      v->set_send_all(true);
    }
  }
  return absl::OkStatus();
}

absl::Status SendFiles(pid_t pid, const std::vector<Mapping>& maps, const Image& image, Link* link) {
  std::vector<std::byte> buffer(256 * 1024);
  for (const Vma& v : image.vmas()) {
    if (v.file() == 0) continue;
    const auto m = std::find_if(maps.begin(), maps.end(), [&](const Mapping& x) { return x.start == v.start(); });
    if (m == maps.end()) return Internal("mapping at {:#x} is gone", v.start());
    ScopedFd fd(open(MapFile(pid, *m).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return ErrnoStatus(errno, MapFile(pid, *m));
    const uint64_t end = std::min<uint64_t>(v.offset() + (v.end() - v.start()), image.files(v.file() - 1).size());
    for (uint64_t at = v.offset(); at < end;) {
      const ssize_t n = pread(fd.get(), buffer.data(), std::min<uint64_t>(buffer.size(), end - at), at);
      if (n < 0) return ErrnoStatus(errno, m->path);
      if (n == 0) break;
      uint64_t where[2] = {v.file() - 1, at};
      const iovec parts[2] = {{where, sizeof where}, {buffer.data(), static_cast<size_t>(n)}};
      OMFS_RETURN_IF_ERROR(link->Send(FrameType::kFileData, parts));
      at += n;
    }
  }
  return absl::OkStatus();
}

absl::Status SendOwnPages(TracedTask& task, const Image& image, Link* link) {
  std::vector<std::byte> buffer(256 * 1024);
  for (const Vma& v : image.vmas()) {
    Mapping m;
    m.start = v.start();
    m.end = v.end();
    OMFS_ASSIGN_OR_RETURN(auto runs, OwnPages(task.pid(), m));
    if (v.send_all()) runs = {{v.start(), v.end()}};
    for (const PageRun& run : runs) {
      for (uint64_t at = run.start; at < run.end;) {
        const size_t n = std::min<uint64_t>(buffer.size(), run.end - at);
        const auto piece = std::span(buffer).first(n);
        // Pages of a file mapping beyond the file's end cannot be read; nor could the program.
        if (absl::Status read = task.Read(RemotePtr(at), piece); !read.ok()) {
          if (v.send_all()) break;
          return read;
        }
        // Send the stretches between zero pages. A zero page over file content must travel.
        size_t from = 0;
        for (size_t p = 0; p <= n; p += kPageSize) {
          const bool skip = p == n || (v.file() == 0 && IsZero(piece.subspan(p, kPageSize)));
          if (!skip) continue;
          if (p > from) OMFS_RETURN_IF_ERROR(link->SendMemory(at + from, piece.subspan(from, p - from)));
          from = p + kPageSize;
        }
        at += n;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace omfs::migration
