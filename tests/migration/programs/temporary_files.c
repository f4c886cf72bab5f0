// Files without a name: O_TMPFILE, given a name after a move.
#include <fcntl.h>
#include <sys/stat.h>

#include "probe.h"

void Program(void) {
  char path[64];
  struct stat status;
  const int fd = (int)SHOW(open(".", O_TMPFILE | O_RDWR, 0640));
  SHOW(write(fd, "nameless", 8));
  SHOW(fstat(fd, &status));
  Say("links %ld mode %o", (long)status.st_nlink, status.st_mode);
  MovePoint();
  SHOW(pread(fd, path, 8, 0));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  ShowFile("named");
  SHOW(close(fd));
  SHOW(unlink("named"));
}
