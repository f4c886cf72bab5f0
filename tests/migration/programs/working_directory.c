// The working directory: on /mfs, at home, removed, reached by a descriptor, and getcwd's answer.
#include <fcntl.h>
#include <sys/stat.h>

#include "probe.h"

static void ShowWhere(void) {
  char path[4096];
  if (getcwd(path, sizeof path) == NULL)
    Say("getcwd: %s", strerrorname_np(errno));
  else if (strncmp(path, work_dir, strlen(work_dir)) == 0)
    Say("getcwd = WORK%s", path + strlen(work_dir));
  else if (strncmp(path, home_dir, strlen(home_dir)) == 0)
    Say("getcwd = HOME%s", path + strlen(home_dir));
  else
    Say("getcwd = %s", path);
}

void Program(void) {
  SHOW(mkdir("a", 0755));
  SHOW(mkdir("a/b", 0755));
  WriteFile("a/b/file", "in b");
  SHOW(mkdir(AtHome("h"), 0755));
  WriteFile(AtHome("h/file"), "in h");

  SHOW(chdir("a"));
  MovePoint();
  ShowWhere();
  SHOW(chdir("b"));
  ShowFile("file");
  ShowFile("../b/file");
  SHOW(chdir(AtHome("h")));
  MovePoint();
  ShowWhere();
  ShowFile("file");
  SHOW(chdir(".."));
  ShowFile("h/file");
  SHOW(chdir(work_dir));
  const int dir = (int)SHOW(open("a/b", O_RDONLY | O_DIRECTORY));
  const int home = (int)SHOW(open(AtHome("h"), O_PATH | O_DIRECTORY));
  MovePoint();
  SHOW(fchdir(home));
  ShowWhere();
  ShowFile("file");
  SHOW(fchdir(dir));
  ShowWhere();
  ShowFile("file");
  SHOW(chdir("../.."));
  ShowWhere();
  SHOW(chdir("missing"));
  SHOW(chdir("a/b/file"));
  ShowWhere();

  // A working directory that has been removed.
  SHOW(mkdir("gone", 0755));
  SHOW(chdir("gone"));
  SHOW(rmdir("../gone"));
  MovePoint();
  ShowWhere();
  SHOW(open("x", O_WRONLY | O_CREAT, 0644));
  SHOW(chdir(".."));
  SHOW(chdir(work_dir));

  SHOW(rename("a/b", "a/c"));
  SHOW(fchdir(dir));
  ShowWhere();
  SHOW(chdir("/"));
  ShowWhere();
  MovePoint();
  ShowWhere();
  SHOW(chdir(work_dir));
  SHOW(close(dir));
  SHOW(close(home));
  SHOW(unlink("a/c/file"));
  SHOW(rmdir("a/c"));
  SHOW(rmdir("a"));
  SHOW(unlink(AtHome("h/file")));
  SHOW(rmdir(AtHome("h")));
}
