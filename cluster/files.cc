#include "cluster/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs {

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
  std::string content;
  char chunk[16384];
  for (;;) {
    const ssize_t n = read(fd.get(), chunk, sizeof chunk);
    if (n == 0) return content;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, fmt::format("cannot read {}", path));
    content.append(chunk, n);
  }
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& content, mode_t mode) {
  static std::atomic<unsigned> counter{0};
  const std::string temporary = fmt::format("{}.{}.{}", path, getpid(), counter++);
  const auto failed = [&](int err) {
    unlink(temporary.c_str());
    return ErrnoStatus(err, fmt::format("cannot write {}", path));
  };
  ScopedFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, fmt::format("cannot write {}", path));
  for (size_t done = 0; done < content.size();) {
    const ssize_t n = write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    done += n;
  }
  if (fchmod(fd.get(), mode) != 0 || fsync(fd.get()) != 0) return failed(errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) return failed(errno);
  ScopedFd directory(open(DirectoryOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || fsync(directory.get()) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot write {}", path));
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t end = 1; end != path.npos;) {
    end = path.find('/', end);
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, fmt::format("cannot make directory {}", part));
    }
    if (end != path.npos) ++end;
  }
  struct stat st {};
  if (stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return ErrnoStatus(ENOTDIR, fmt::format("cannot make directory {}", path));
  }
  return absl::OkStatus();
}

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string DirectoryOf(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  char self[4096];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n < 0) return ErrnoStatus(errno, "/proc/self/exe");
  const std::string dir = DirectoryOf(std::string(self, n));
  for (const std::string& path : {dir + "/" + name, dir + "/../libexec/omfs/" + name}) {
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return absl::NotFoundError(fmt::format("no program {} in {} or {}/../libexec/omfs", name, dir, dir));
}

}  // namespace omfs
