// Extended attributes, by path and by descriptor.
#include <fcntl.h>
#include <sys/xattr.h>

#include "probe.h"

static void List(const char* path) {
  char names[1024];
  const ssize_t length = listxattr(path, names, sizeof names);
  int count = 0;
  for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1)
    count += strncmp(names + at, "user.", 5) == 0;
  Say("%d user attributes", length < 0 ? -errno : count);
}

void Program(void) {
  char value[64] = "";
  WriteFile("file", "x");
  SHOW(setxattr("file", "user.one", "first", 5, 0));
  SHOW(setxattr("file", "user.two", "", 0, XATTR_CREATE));
  MovePoint();
  SHOW(getxattr("file", "user.one", value, sizeof value));
  ShowBytes("value", value, 5);
  SHOW(getxattr("file", "user.one", NULL, 0));
  SHOW(getxattr("file", "user.one", value, 2));
  SHOW(getxattr("file", "user.two", value, sizeof value));
  SHOW(getxattr("file", "user.none", value, sizeof value));
  SHOW(setxattr("file", "user.one", "x", 1, XATTR_CREATE));
  SHOW(setxattr("file", "user.none", "x", 1, XATTR_REPLACE));
  SHOW(setxattr("file", "nonsense", "x", 1, 0));
  List("file");
  const int fd = (int)SHOW(open("file", O_RDWR));
  MovePoint();
  SHOW(fsetxattr(fd, "user.three", "third", 5, 0));
  SHOW(fgetxattr(fd, "user.three", value, sizeof value));
  SHOW(fremovexattr(fd, "user.one"));
  SHOW(removexattr("file", "user.one"));
  List("file");
  SHOW_OK(symlink("file", "link"));
  SHOW(lsetxattr("link", "user.x", "y", 1, 0));
  SHOW(close(fd));
  SHOW(unlink("link"));
  SHOW(unlink("file"));
}
