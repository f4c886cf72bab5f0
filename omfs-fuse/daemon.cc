#include "omfs-fuse/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "omfs/base/status.h"

namespace omfs {

absl::StatusOr<Background> Background::Enter() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  ScopedFd read_end(ends[0]), write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) {
    setsid();
    return Background(std::move(write_end));
  }
  write_end.reset();
  // "+" is success; anything else, also nothing (the child died), is not.
  std::string text;
  char buf[512];
  for (ssize_t n; (n = read(read_end.get(), buf, sizeof buf)) > 0;) text.append(buf, n);
  if (text == "+") _exit(0);
  fprintf(stderr, "%s\n", text.empty() ? "omfs-fuse: ended before it had mounted" : text.c_str());
  _exit(1);
}

void Background::Ready() {
  if (chdir("/") != 0) return Failed("omfs-fuse: cannot change to /");
  const ScopedFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; null && fd <= 2; ++fd) dup2(null.get(), fd);
  if (write(pipe_.get(), "+", 1) != 1)
    return;  // the parent was killed; the mount is there all the same
  pipe_.reset();
}

void Background::Failed(const std::string& line) {
  if (write(pipe_.get(), line.data(), line.size()) < 0) return;
  pipe_.reset();
}

}  // namespace omfs
