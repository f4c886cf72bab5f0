// tree_compare [--user UID:GID] NATIVE MOUNTED
//
// Compares a tree read through the mounted file system with the original on the same machine: for every object
// the attributes, what may be done with it, and its content - bytes in several ways of reading, link targets,
// names. Where the original gives an error the mounted one must give the same. Prints one line for each
// difference; exits with 1 when there is any, 2 when it cannot run.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "omfs/base/scoped_fd.h"

namespace omfs {
namespace {

constexpr off_t kLargestWhole = 64 << 20;
// Only so much is compared through a mapping, where each page is a round trip.
constexpr off_t kLargestMapped = 256 << 10;
// Of a large directory all names are compared, the attributes of so many of them, and the rest of so many: each
// object costs dozens of round trips, which are slow in an emulated machine.
constexpr size_t kLargeDirectory = 1000;
constexpr size_t kStated = 100;
constexpr size_t kCompared = 20;

int differences = 0;
uint64_t objects = 0;
uint64_t bytes = 0;

template <typename T>
bool Same(const std::string& path, const std::string& what, const T& native, const T& mounted) {
  if (native == mounted) return true;
  fmt::print("{}: {}: {} natively, {} mounted\n", path, what, native, mounted);
  ++differences;
  return false;
}

std::string ErrnoName(int rc) { return rc >= 0 ? "success" : strerror(errno); }

std::string Time(const statx_timestamp& t) { return fmt::format("{}.{:09}", t.tv_sec, t.tv_nsec); }

std::string Describe(const struct statx& s) {
  return fmt::format(
      "mode={:o} nlink={} uid={} gid={} size={} blocks={} blksize={} ino={} rdev={}:{} atime={} mtime={} "
      "ctime={} btime={}",
      s.stx_mode, s.stx_nlink, s.stx_uid, s.stx_gid, s.stx_size, s.stx_blocks, s.stx_blksize,
      s.stx_ino, s.stx_rdev_major, s.stx_rdev_minor, Time(s.stx_atime), Time(s.stx_mtime),
      Time(s.stx_ctime), s.stx_mask & STATX_BTIME ? Time(s.stx_btime) : "none");
}

std::string StatOf(int dir, const char* path, int flags) {
  struct statx s {};
  const int rc = statx(dir, path, AT_SYMLINK_NOFOLLOW | flags, STATX_BASIC_STATS | STATX_BTIME, &s);
  return rc == 0 ? Describe(s) : ErrnoName(rc);
}

std::string LinkOf(const std::string& path) {
  char target[4096];
  const ssize_t n = readlink(path.c_str(), target, sizeof target);
  return n < 0 ? ErrnoName(n) : std::string(target, n);
}

std::string AccessOf(const std::string& path) {
  std::string answers;
  for (int mode : {F_OK, R_OK, X_OK}) {
    answers += ErrnoName(faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS)) + " ";
  }
  return answers;
}

// The whole file, read in pieces of the given size.
std::string ReadAll(int fd, size_t piece) {
  std::string all, buffer(piece, '\0');
  for (off_t at = 0;;) {
    const ssize_t n = pread(fd, buffer.data(), piece, at);
    if (n < 0) return ErrnoName(n);
    if (n == 0) return all;
    all.append(buffer, 0, n);
    at += n;
  }
}

std::string MapAll(int fd, size_t size) {
  if (size == 0) return "";
  void* p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p == MAP_FAILED) return strerror(errno);
  std::string all(static_cast<const char*>(p), size);
  munmap(p, size);
  return all;
}

// Where data and holes begin.
std::string HolesOf(int fd, off_t size) {
  std::string text;
  for (off_t at = 0; at < size;) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) return text + ErrnoName(-1);
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return text + ErrnoName(-1);
    text += fmt::format("{}-{} ", data, hole);
    at = hole;
  }
  return text;
}

// Content is told apart by comparing, not shown.
void SameBytes(const std::string& path, const std::string& what, const std::string& native,
               const std::string& mounted) {
  if (native == mounted) return;
  const auto at = std::mismatch(native.begin(), native.begin() + std::min(native.size(), mounted.size()),
                                mounted.begin());
  fmt::print("{}: {}: {} bytes natively, {} mounted, first difference at {}\n", path, what,
             native.size(), mounted.size(), at.first - native.begin());
  ++differences;
}

// A file too large to be read whole: pieces across its data, its holes and its end.
void CompareHuge(const std::string& path, int native, int mounted, off_t size) {
  const auto piece = [](int fd, off_t at) {
    std::string buffer(20000, '\0');
    const ssize_t n = pread(fd, buffer.data(), buffer.size(), at);
    buffer.resize(n < 0 ? 0 : n);
    return n < 0 ? ErrnoName(n) : buffer;
  };
  for (off_t at = 0; at < size; at += size / 10) {
    SameBytes(path, fmt::format("read at {}", at), piece(native, at), piece(mounted, at));
  }
  SameBytes(path, "its end", piece(native, size - 10000), piece(mounted, size - 10000));
}

// What only makes sense when every node sees it is refused by this version.
void CheckRefusals(const std::string& path, int mounted) {
  Same<std::string>(path, "flock refused", strerror(ENOLCK), ErrnoName(flock(mounted, LOCK_SH)));
  struct flock range {};
  range.l_type = F_RDLCK;
  Same<std::string>(path, "lock refused", strerror(ENOLCK), ErrnoName(fcntl(mounted, F_SETLK, &range)));
  const bool refused = mmap(nullptr, 1, PROT_READ, MAP_SHARED, mounted, 0) == MAP_FAILED;
  Same<std::string>(path, "shared mapping", strerror(ENODEV), ErrnoName(refused ? -1 : 0));
}

void CompareFile(const std::string& path, int native, int mounted) {
  const off_t size = lseek(native, 0, SEEK_END);
  Same<off_t>(path, "end", size, lseek(mounted, 0, SEEK_END));
  Same(path, "holes", HolesOf(native, size), HolesOf(mounted, size));
  CheckRefusals(path, mounted);
  if (size > kLargestWhole) return CompareHuge(path, native, mounted, size);
  const std::string content = ReadAll(native, 1 << 20);
  bytes += content.size();
  std::vector<size_t> pieces = {(3 << 20) + 1};
  if (size > 10000) pieces.push_back(65536);
  if (size > 1 && size < 10000) pieces.push_back(1000);
  if (size < 100) pieces.push_back(1);
  for (size_t piece : pieces) {
    SameBytes(path, fmt::format("read by {}", piece), content, ReadAll(mounted, piece));
  }
  const off_t mapped = std::min(size, kLargestMapped);
  SameBytes(path, "mapped", content.substr(0, mapped), MapAll(mounted, mapped));
  char byte;
  Same<ssize_t>(path, "read behind the end", 0, pread(mounted, &byte, 1, size + 5));
}

std::vector<std::string> NamesOf(DIR* dir) {
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* e = readdir(dir)) {
    // The original's own ".." leads out of the tree.
    const std::string name = e->d_name;
    names.push_back(fmt::format("{} type={} ino={}", name, e->d_type, name == ".." ? 0 : e->d_ino));
  }
  if (errno != 0) names.push_back(strerror(errno));
  return names;
}

// Listing from a remembered place gives what came after it the first time.
void CompareSeek(const std::string& path, DIR* dir, const std::vector<std::string>& names) {
  rewinddir(dir);
  const size_t half = names.size() / 2;
  for (size_t i = 0; i < half; ++i) readdir(dir);
  const long place = telldir(dir);
  NamesOf(dir);
  seekdir(dir, place);
  const std::vector<std::string> rest = NamesOf(dir);
  Same(path, "names after seekdir", names.size() - half, rest.size());
  if (!rest.empty()) Same(path, "name after seekdir", names[half], rest[0]);
}

class Comparison {
 public:
  Comparison(std::string native, std::string mounted)
      : native_(std::move(native)), mounted_(std::move(mounted)) {}

  void CompareStat(const std::string& path) {
    Same(path, "stat", StatOf(AT_FDCWD, (native_ + path).c_str(), 0),
         StatOf(AT_FDCWD, (mounted_ + path).c_str(), 0));
  }

  void Compare(const std::string& path) {
    ++objects;
    const std::string a = native_ + path, b = mounted_ + path;
    CompareStat(path);
    struct stat s {};
    if (lstat(a.c_str(), &s) != 0) return;
    if (S_ISLNK(s.st_mode)) {
      Same(path, "link", LinkOf(a), LinkOf(b));
      return;
    }
    Same(path, "access", AccessOf(a), AccessOf(b));
    if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) return;
    ScopedFd native(open(a.c_str(), O_RDONLY | O_CLOEXEC));
    const std::string native_result = ErrnoName(native.get());
    ScopedFd mounted(open(b.c_str(), O_RDONLY | O_CLOEXEC));
    if (!Same(path, "open", native_result, ErrnoName(mounted.get())) || !native) return;
    Same(path, "fstat", StatOf(native.get(), "", AT_EMPTY_PATH),
         StatOf(mounted.get(), "", AT_EMPTY_PATH));
    if (S_ISREG(s.st_mode)) {
      CompareFile(path, native.get(), mounted.get());
    } else {
      CompareDirectory(path, std::move(native), std::move(mounted));
    }
  }

 private:
  void CompareDirectory(const std::string& path, ScopedFd native_fd, ScopedFd mounted_fd) {
    DIR* native = fdopendir(native_fd.release());
    DIR* mounted = fdopendir(mounted_fd.release());
    std::vector<std::string> names = NamesOf(native), seen = NamesOf(mounted);
    CompareSeek(path, mounted, seen);
    closedir(native);
    closedir(mounted);
    std::sort(names.begin(), names.end());
    std::sort(seen.begin(), seen.end());
    Same(path, "number of names", names.size(), seen.size());
    for (size_t i = 0; i < std::min(names.size(), seen.size()); ++i) {
      if (!Same(path, "name", names[i], seen[i])) break;
    }
    const bool large = names.size() > kLargeDirectory;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string name = names[i].substr(0, names[i].rfind(" type="));
      if (name == "." || name == "..") continue;
      if (!large || i < kCompared) {
        Compare(path + "/" + name);
      } else if (i < kStated) {
        CompareStat(path + "/" + name);
      }
    }
    Same(path, "stat of a missing name", StatOf(AT_FDCWD, (native_ + path + "/-no-").c_str(), 0),
         StatOf(AT_FDCWD, (mounted_ + path + "/-no-").c_str(), 0));
  }

  const std::string native_, mounted_;
};

std::string FileSystem(const std::string& path) {
  struct statvfs s {};
  if (const int rc = statvfs(path.c_str(), &s); rc != 0) return ErrnoName(rc);
  return fmt::format("bsize={} blocks={} bfree={} bavail={} files={} ffree={} namemax={}", s.f_bsize,
                     s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_namemax);
}

bool BecomeUser(const char* text) {
  unsigned uid, gid;
  if (sscanf(text, "%u:%u", &uid, &gid) != 2) return false;
  const gid_t groups[] = {gid, gid + 1000};
  return setgroups(2, groups) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
}

int Run(int argc, char** argv) {
  int arg = 1;
  if (argc > 2 && argv[1] == std::string("--user")) {
    if (!BecomeUser(argv[2])) {
      fmt::print(stderr, "cannot become {}\n", argv[2]);
      return 2;
    }
    arg = 3;
  }
  if (argc - arg != 2) {
    fmt::print(stderr, "usage: tree_compare [--user UID:GID] NATIVE MOUNTED\n");
    return 2;
  }
  const std::string native = argv[arg], mounted = argv[arg + 1];
  umask(0);
  Same("/", "statvfs", FileSystem(native), FileSystem(mounted));
  Comparison(native, mounted).Compare("");
  fmt::print("{} objects, {} bytes, {} differences\n", objects, bytes, differences);
  return differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) { return omfs::Run(argc, argv); }
