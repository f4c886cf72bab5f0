// Attributes: the stat family agrees with itself before and after a move; modes, owners, times, umask, access.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe.h"

static void ShowStatus(const char* path) {
  struct stat status, other;
  struct statx extended;
  if (lstat(path, &status) != 0) {
    Say("%s: %s", path, strerrorname_np(errno));
    return;
  }
  Say("%s: mode %06o links %ld owner %d:%d size %ld", path, status.st_mode, (long)status.st_nlink, status.st_uid,
      status.st_gid, (long)status.st_size);
  REQUIRE(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &extended) == 0);
  REQUIRE(fstatat(AT_FDCWD, path, &other, AT_SYMLINK_NOFOLLOW) == 0);
  Say("%s: statx agrees %d, twice the same %d", path,
      extended.stx_mode == status.st_mode && extended.stx_ino == status.st_ino &&
          extended.stx_mtime.tv_sec == status.st_mtim.tv_sec &&
          extended.stx_mtime.tv_nsec == status.st_mtim.tv_nsec &&
          extended.stx_ctime.tv_nsec == status.st_ctim.tv_nsec && extended.stx_size == (uint64_t)status.st_size,
      memcmp(&status.st_mtim, &other.st_mtim, sizeof status.st_mtim) == 0 &&
          memcmp(&status.st_ctim, &other.st_ctim, sizeof status.st_ctim) == 0 && status.st_ino == other.st_ino &&
          status.st_dev == other.st_dev);
}

static void ShowTimes(const char* path) {
  struct stat status;
  REQUIRE(stat(path, &status) == 0);
  Say("%s: accessed %ld.%09ld modified %ld.%09ld", path, status.st_atim.tv_sec, status.st_atim.tv_nsec,
      status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

void Program(void) {
  struct stat before, after;
  WriteFile("file", "twelve bytes");
  SHOW_OK(symlink("file", "link"));
  SHOW(mkfifo("fifo", 0640));
  SHOW(mknod("device", S_IFCHR | 0600, makedev(1, 3)));
  SHOW(mkdir("dir", 0750));
  SHOW(stat("file", &before));
  MovePoint();
  SHOW(stat("file", &after));
  Say("same inode %d, same modification %d, same change %d", before.st_ino == after.st_ino,
      memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim) == 0,
      memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim) == 0);
  const char* const all[] = {"file", "link", "fifo", "device", "dir"};
  for (int i = 0; i < 5; ++i) ShowStatus(all[i]);
  SHOW(stat("device", &after));
  Say("device %u:%u", major(after.st_rdev), minor(after.st_rdev));

  const int fd = (int)SHOW(open("file", O_RDWR));
  SHOW(chmod("file", 04755));
  MovePoint();
  ShowStatus("file");
  SHOW(fchmod(fd, 0600));
  SHOW(fchmodat(AT_FDCWD, "dir", 01777, 0));
  SHOW(chown("file", 1234, 2345));
  SHOW(lchown("link", 1, 2));
  SHOW(fchown(fd, -1, 77));
  SHOW(fchownat(AT_FDCWD, "fifo", 5, 6, 0));
  for (int i = 0; i < 5; ++i) ShowStatus(all[i]);

  const struct timespec times[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
  SHOW(utimensat(AT_FDCWD, "file", times, 0));
  MovePoint();
  ShowTimes("file");
  const struct timespec partly[2] = {{0, UTIME_OMIT}, {77, 5}};
  SHOW(futimens(fd, partly));
  ShowTimes("file");
  SHOW(utimensat(AT_FDCWD, "missing", times, 0));
  SHOW(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
  SHOW(pwrite(fd, "x", 1, 0));
  SHOW(stat("file", &after));
  Say("a write stamps the file: %d", after.st_mtim.tv_sec > 1500000000);

  Say("umask was %03o", umask(027));
  SHOW(close(open("masked", O_WRONLY | O_CREAT, 0666)));
  MovePoint();
  SHOW(mkdir("maskeddir", 0777));
  Say("umask was %03o", umask(0));
  SHOW(close(open("unmasked", O_WRONLY | O_CREAT, 0666)));
  MovePoint();
  Say("umask was %03o", umask(022));
  ShowStatus("masked");
  ShowStatus("unmasked");
  Say("maskeddir %o", stat("maskeddir", &after) == 0 ? after.st_mode : 0);

  SHOW(access("file", F_OK));
  SHOW(access("file", X_OK));
  SHOW(access("missing", F_OK));
  SHOW(faccessat(AT_FDCWD, "link", R_OK | W_OK, AT_EACCESS));
  SHOW(close(fd));
  SHOW(rmdir("maskeddir"));
  SHOW(rmdir("dir"));
  const char* const names[] = {"file", "link", "fifo", "device", "masked", "unmasked"};
  for (int i = 0; i < 6; ++i) REQUIRE(unlink(names[i]) == 0);
}
