// Errors have the right name away from home too.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "probe.h"

void Program(void) {
  static char long_name[300], long_path[5000];
  char buffer[8];
  struct stat status;
  memset(long_name, 'n', sizeof long_name - 1);
  memset(long_path, 'p', sizeof long_path - 1);
  for (size_t i = 100; i < sizeof long_path - 1; i += 100) long_path[i] = '/';
  WriteFile("file", "x");
  SHOW(mkdir("dir", 0755));
  MovePoint();
  SHOW(open("missing", O_RDONLY));
  SHOW(open("missing/file", O_RDONLY | O_CREAT, 0600));
  SHOW(open("file/below", O_RDONLY));
  SHOW(open("file/", O_RDONLY));
  SHOW(open("", O_RDONLY));
  SHOW(open(NoAddress(), O_RDONLY));
  SHOW(open(BadAddress(), O_RDONLY));
  SHOW(open(long_name, O_RDONLY | O_CREAT, 0600));
  SHOW(open(long_path, O_RDONLY));
  SHOW(open("file", O_RDONLY | O_DIRECTORY));
  SHOW(open("dir", O_RDWR));
  SHOW(openat(1000, "file", O_RDONLY));
  SHOW(stat("missing", &status));
  SHOW(stat("file", BadAddress()));
  MovePoint();
  const int fd = (int)SHOW(open("file", O_RDONLY));
  const int dir = (int)SHOW(open("dir", O_RDONLY));
  const int path = (int)SHOW(open("file", O_PATH));
  SHOW(write(fd, "y", 1));
  SHOW(read(fd, BadAddress(), 1));
  SHOW(read(fd, buffer, 0));
  SHOW(read(dir, buffer, 1));
  SHOW(read(path, buffer, 1));
  SHOW(ftruncate(fd, 0));
  SHOW(fstat(path, &status));
  SHOW(fchmod(path, 0600));
  SHOW(openat(fd, "below", O_RDONLY));
  SHOW(openat(dir, "missing", O_RDONLY));
  SHOW(lseek(path, 0, SEEK_SET));
  SHOW(fallocate(fd, 0, 0, 10));
  SHOW(ioctl(fd, TIOCGWINSZ, buffer));
  SHOW(fchdir(fd));
  MovePoint();
  SHOW(close(fd));
  SHOW(close(dir));
  SHOW(close(path));
  SHOW(close(fd));
  SHOW(fsync(fd));
  SHOW(dup(fd));
  SHOW_OK(readlink("file", buffer, sizeof buffer));
  SHOW_OK(symlink("x", "file"));
  SHOW(link("missing", "other"));
  SHOW(rename("file", "dir"));
  SHOW(rmdir("file"));
  SHOW(unlink("file"));
  SHOW(rmdir("dir"));
}
