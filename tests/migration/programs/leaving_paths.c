// Paths that leave the file system under test: by "..", by symbolic links to absolute and relative places, and
// paths from home that lead into it; the *at calls with descriptors on either side.
#include <fcntl.h>
#include <sys/stat.h>

#include "probe.h"

// "../../.." from the work directory up to the root.
static const char* Up(void) {
  static char path[4096];
  path[0] = 0;
  for (const char* c = work_dir; *c != 0; ++c)
    if (*c == '/' && c[1] != 0 && c[1] != '/') strcat(path, "../");
  return path;
}

void Program(void) {
  char path[8192], target[8192];
  WriteFile(AtHome("secret"), "at home");
  WriteFile("inside", "in work");
  SHOW(mkdir("sub", 0755));
  SHOW_OK(symlink(AtHome("secret"), "out"));
  SHOW_OK(symlink(home_dir, "outdir"));
  snprintf(target, sizeof target, "%s%s", Up(), home_dir + 1);
  SHOW_OK(symlink(target, "updir"));
  snprintf(target, sizeof target, "%s/inside", work_dir);
  SHOW_OK(symlink(target, AtHome("in")));
  SHOW_OK(symlink("inside", "near"));
  SHOW_OK(symlink("../outdir/in", "sub/twice"));  // out of /mfs and back into it
  SHOW_OK(symlink("loop2", "loop1"));
  SHOW_OK(symlink("loop1", "loop2"));
  MovePoint();

  ShowFile("out");
  ShowFile("outdir/secret");
  ShowFile("updir/secret");
  ShowFile(AtHome("in"));
  ShowFile("near");
  ShowFile("sub/twice");
  ShowFile("sub/../near");
  ShowFile("loop1");
  snprintf(path, sizeof path, "%s%s/secret", Up(), home_dir + 1);
  const int fd = open(path, O_RDONLY);
  Say("up and down again: %s", fd >= 0 ? "opened" : strerrorname_np(errno));
  MovePoint();
  char buffer[32] = "";
  SHOW(read(fd, buffer, sizeof buffer));
  Say("read \"%s\"", buffer);
  SHOW(close(fd));

  const int dir = (int)SHOW(open(".", O_RDONLY | O_DIRECTORY));
  const int home = (int)SHOW(open(home_dir, O_RDONLY | O_DIRECTORY));
  struct stat status;
  SHOW(fstatat(dir, "out", &status, AT_SYMLINK_NOFOLLOW));
  Say("a link: %d", S_ISLNK(status.st_mode));
  SHOW(fstatat(dir, "out", &status, 0));
  Say("a file of %ld bytes", (long)status.st_size);
  SHOW(fstatat(home, "in", &status, 0));
  Say("a file of %ld bytes", (long)status.st_size);
  SHOW(openat(dir, "out", O_RDONLY | O_NOFOLLOW));
  SHOW(faccessat(home, "in", R_OK, 0));
  MovePoint();
  // Between file systems; within one when run natively.
  if (renameat(dir, "near", home, "near") == 0)
    REQUIRE(renameat(home, "near", dir, "near") == 0);
  else
    REQUIRE(errno == EXDEV);
  SHOW_OK(readlinkat(dir, "near", buffer, sizeof buffer));
  SHOW_OK(readlinkat(dir, "inside", buffer, sizeof buffer));
  const int through = (int)SHOW(openat(dir, "outdir/new", O_WRONLY | O_CREAT | O_EXCL, 0600));
  SHOW(write(through, "made through the link", 21));
  SHOW(close(through));
  ShowFile(AtHome("new"));
  SHOW(unlinkat(home, "new", 0));
  SHOW(close(dir));
  SHOW(close(home));
  SHOW(unlink("sub/twice"));
  SHOW(rmdir("sub"));
  SHOW(unlink(AtHome("in")));
  SHOW(unlink(AtHome("secret")));
  const char* const names[] = {"inside", "out", "outdir", "updir", "near", "loop1", "loop2"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) REQUIRE(unlink(names[i]) == 0);
}
