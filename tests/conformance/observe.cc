#include "observe.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace conformance {

namespace {
// For Must(), which has no Case at hand. One case runs per process.
Case* current_case = nullptr;
}  // namespace

std::vector<CaseInfo>& AllCases() {
  static std::vector<CaseInfo> cases;
  return cases;
}

std::string ErrnoName(int err) {
  const char* name = strerrorname_np(err);
  return name ? name : "errno " + std::to_string(err);
}

std::string ModeText(mode_t mode) {
  char text[16];
  snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

std::string TypeText(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "dir";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "char";
    case S_IFBLK:
      return "block";
    default:
      return "type " + std::to_string(mode & S_IFMT);
  }
}

std::string Printable(std::string_view bytes) {
  if (bytes.size() > 120) {
    uint64_t hash =
        1469598103934665603ULL;  // FNV-1a: short, and equal contents are all that matters
    for (unsigned char b : bytes) hash = (hash ^ b) * 1099511628211ULL;
    char text[64];
    snprintf(text, sizeof text, "%zu bytes, hash %016lx", bytes.size(),
             static_cast<unsigned long>(hash));
    return text;
  }
  std::string out = "'";
  for (unsigned char b : bytes) {
    if (b >= 32 && b < 127 && b != '\\') {
      out += static_cast<char>(b);
    } else {
      char text[8];
      snprintf(text, sizeof text, "\\x%02x", b);
      out += text;
    }
  }
  return out + "'";
}

Case::Case(std::string name, int out_fd) : name_(std::move(name)), out_fd_(out_fd) {
  current_case = this;
}

Case::~Case() { current_case = nullptr; }

void Case::Say(std::string_view point, std::string_view value) {
  int saved = errno;
  std::string line = name_;
  line.append(".").append(point).append(": ").append(value).append("\n");
  if (write(out_fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(99);
  errno = saved;
}

bool Case::Ok(std::string_view point, long rc) {
  Say(point, rc >= 0 ? "ok" : ErrnoName(errno));
  return rc >= 0;
}

void Case::Value(std::string_view point, long rc) {
  Say(point, rc >= 0 ? std::to_string(rc) : ErrnoName(errno));
}

ScopedFd Case::Open(std::string_view point, const std::string& path, int flags, mode_t mode) {
  int fd = open(path.c_str(), flags, mode);
  Ok(point, fd);
  return ScopedFd(fd);
}

static std::string AttributeText(const struct stat& st) {
  std::string text = TypeText(st.st_mode) + " " + ModeText(st.st_mode);
  text += " links " + std::to_string(st.st_nlink);
  text += " uid " + std::to_string(st.st_uid) + " gid " + std::to_string(st.st_gid);
  text += " size " + std::to_string(st.st_size);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    text +=
        " device " + std::to_string(major(st.st_rdev)) + ":" + std::to_string(minor(st.st_rdev));
  }
  return text;
}

void Case::Attributes(std::string_view point, const std::string& path) {
  struct stat st;
  Say(point, lstat(path.c_str(), &st) == 0 ? AttributeText(st) : ErrnoName(errno));
}

void Case::AttributesOf(std::string_view point, int fd) {
  struct stat st;
  Say(point, fstat(fd, &st) == 0 ? AttributeText(st) : ErrnoName(errno));
}

void Case::Content(std::string_view point, const std::string& path) {
  ScopedFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK));  // a fifo would wait
  if (!fd) return Say(point, ErrnoName(errno));
  Say(point, Printable(ReadAll(fd.get())));
}

void Case::Listing(std::string_view point, const std::string& path) {
  DIR* dir = opendir(path.c_str());
  if (!dir) return Say(point, ErrnoName(errno));
  closedir(dir);
  std::string text = "[";
  for (const std::string& name : Names(path))
    text += (text.size() > 1 ? " " : "") + Printable(name);
  Say(point, text + "]");
}

int Case::InChild(std::string_view point, const std::function<void()>& body) {
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  Say(point, "died of signal " + std::string(sigabbrev_np(WTERMSIG(status))));
  return -1;
}

int Case::As(std::string_view point, const Identity& who, const std::function<void()>& body) {
  return InChild(point, [&] {
    Must(BecomeIdentity(who), "change identity");
    body();
  });
}

TimeWatch::TimeWatch(Case& c, std::string path) : case_(c), path_(std::move(path)) {
  timespec old[2] = {{1000000000, 111111111}, {1000000001, 222222222}};  // September 2001
  // Refused for somebody else's file: then its times are merely remembered.
  (void)utimensat(AT_FDCWD, path_.c_str(), old, AT_SYMLINK_NOFOLLOW);
  Must(lstat(path_.c_str(), &before_) == 0, "stat of a watched file");
  Pause();
}

void TimeWatch::Report(std::string_view point) {
  struct stat after;
  if (lstat(path_.c_str(), &after) != 0) return case_.Say(point, ErrnoName(errno));
  auto moved = [](const timespec& a, const timespec& b) {
    if (a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec) return "-";
    bool forward = b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec);
    return forward ? "moved" : "BACKWARDS";
  };
  std::string text = std::string("atime ") + moved(before_.st_atim, after.st_atim);
  text += std::string(" mtime ") + moved(before_.st_mtim, after.st_mtim);
  text += std::string(" ctime ") + moved(before_.st_ctim, after.st_ctim);
  case_.Say(point, text);
}

void Must(bool ok, const char* what) {
  if (ok) return;
  std::string text = std::string(what) + " failed: " + ErrnoName(errno);
  if (current_case) {
    current_case->Say("setup", text);
  } else {
    fprintf(stderr, "omfs-conformance: %s\n", text.c_str());
  }
  _exit(97);
}

void WriteFile(const std::string& path, std::string_view content, mode_t mode) {
  ScopedFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  Must(fd.valid(), ("create " + path).c_str());
  while (!content.empty()) {
    ssize_t n = write(fd.get(), content.data(), content.size());
    Must(n > 0, "write a file");
    content.remove_prefix(static_cast<size_t>(n));
  }
  Must(fchmod(fd.get(), mode) == 0, "chmod a file");
}

std::string ReadAll(int fd) {
  std::string out;
  char buffer[65536];
  for (off_t at = 0;;) {
    ssize_t n = pread(fd, buffer, sizeof buffer, at);
    if (n < 0) return "read failed: " + ErrnoName(errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    at += n;
  }
}

std::vector<std::string> Names(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path.c_str());
  Must(dir != nullptr, ("opendir " + path).c_str());
  while (dirent* entry = readdir(dir)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

bool BecomeIdentity(const Identity& who) {
  return setgroups(who.groups.size(), who.groups.data()) == 0 &&
         setresgid(who.gid, who.gid, who.gid) == 0 && setresuid(who.uid, who.uid, who.uid) == 0;
}

int WaitExit(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1000;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void Pause() { usleep(25'000); }

bool RunningAsRoot() { return geteuid() == 0; }

}  // namespace conformance
