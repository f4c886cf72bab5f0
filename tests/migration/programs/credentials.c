// Giving up root: what is created belongs to the new user, and what is forbidden is forbidden. Cannot be repeated.
#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include "probe.h"

static void Owner(const char* path) {
  struct stat status;
  if (stat(path, &status) == 0)
    Say("%s: %d:%d %o", path, status.st_uid, status.st_gid, status.st_mode);
  else
    Say("%s: %s", path, strerrorname_np(errno));
}

void Program(void) {
  if (geteuid() != 0) {
    Say("already done");
    return;
  }
  const gid_t groups[] = {3000, 3001};
  WriteFile("roots", "secret");
  SHOW(chmod("roots", 0600));
  WriteFile("groups", "for the group");
  SHOW(chown("groups", 0, 3001));
  SHOW(chmod("groups", 0640));
  SHOW(chmod(".", 0777));
  SHOW(mkdir("closed", 0700));
  MovePoint();
  SHOW(setgroups(2, groups));
  SHOW(setresgid(2000, 2000, 2000));
  SHOW(setfsuid(1000));
  Owner("roots");
  SHOW(open("roots", O_RDONLY));
  SHOW(setfsuid(0));
  SHOW(setresuid(1000, 1000, 0));
  SHOW(open("roots", O_RDONLY));
  SHOW(seteuid(0));
  const int kept = (int)SHOW(open("roots", O_RDONLY));
  SHOW(setresuid(1000, 1000, 1000));
  MovePoint();
  SHOW(open("roots", O_RDONLY));
  SHOW(close(kept));
  SHOW(close(open("groups", O_RDONLY)));
  SHOW(open("groups", O_RDWR));
  SHOW(open("closed/x", O_WRONLY | O_CREAT, 0600));
  SHOW(close(open("mine", O_WRONLY | O_CREAT, 0666)));
  Owner("mine");
  SHOW(mkdir("mydir", 0700));
  Owner("mydir");
  SHOW(chown("mine", 0, 0));
  SHOW(chown("mine", -1, 3001));
  Owner("mine");
  SHOW(chmod("roots", 0666));
  SHOW(unlink("roots"));  // the directory lets us
  SHOW(setuid(0));
  SHOW(getgroups(0, NULL));
  SHOW(rmdir("mydir"));
}
