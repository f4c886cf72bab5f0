// Names: rename in its versions, hard links, files that are open after their last name is gone.
#include <fcntl.h>
#include <sys/stat.h>

#include "probe.h"

static void ShowLinks(int fd) {
  struct stat status;
  REQUIRE(fstat(fd, &status) == 0);
  Say("links %ld, size %ld", (long)status.st_nlink, (long)status.st_size);
}

void Program(void) {
  char buffer[32] = "";
  WriteFile("a", "text of a");
  WriteFile("b", "text of b");
  const int fd = (int)SHOW(open("a", O_RDWR));
  SHOW(link("a", "a2"));
  ShowLinks(fd);
  MovePoint();
  SHOW(rename("a", "c"));
  ShowFile("c");
  SHOW(rename("c", "c"));
  SHOW(rename("missing", "d"));
  SHOW(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
  ShowFile("b");
  ShowFile("c");
  SHOW(rename("c", "b"));
  ShowFile("b");
  ShowLinks(fd);
  MovePoint();
  SHOW(linkat(AT_FDCWD, "a2", AT_FDCWD, "b", 0));
  SHOW(unlink("a2"));
  ShowLinks(fd);
  MovePoint();
  SHOW(read(fd, buffer, sizeof buffer));
  ShowBytes("nameless", buffer, 9);
  SHOW(pwrite(fd, "still", 5, 20));
  ShowLinks(fd);
  SHOW(ftruncate(fd, 3));
  MovePoint();
  SHOW(pread(fd, buffer, sizeof buffer, 0));
  ShowLinks(fd);
  SHOW(fchmod(fd, 0600));
  SHOW(close(fd));

  SHOW(mkdir("dir", 0755));
  SHOW(mkdir("dir/sub", 0755));
  SHOW(rename("dir", "dir/sub/x"));
  SHOW(rename("b", "dir"));
  SHOW(rename("dir", "b"));
  SHOW(rename("dir/sub", "moved"));
  SHOW(link("dir", "dirlink"));
  SHOW(rename("b", "moved/b"));
  MovePoint();
  ShowFile("moved/b");
  SHOW(open("moved/b", O_WRONLY | O_CREAT | O_EXCL, 0600));
  const int exclusive = (int)SHOW(open("new", O_WRONLY | O_CREAT | O_EXCL, 0600));
  SHOW(close(exclusive));
  SHOW(unlink("new"));
  SHOW(unlink("moved/b"));
  SHOW(rmdir("moved"));
  SHOW(rmdir("dir"));
  SHOW(unlink("b"));
}
