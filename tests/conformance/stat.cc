// stat, statx, statfs, access: the same object gives the same answers by every way.

#include <errno.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdint>

#include "observe.h"

namespace conformance {

CASE(stat, ways_agree) {
  WriteFile("f", "0123456789");
  Must(symlink("f", "s") == 0, "symlink");
  ScopedFd fd(open("f", O_RDONLY)), path(open("f", O_PATH));
  struct stat by_name, by_link, by_fd, by_path, by_at;
  Must(stat("f", &by_name) == 0 && stat("s", &by_link) == 0 && fstat(fd.get(), &by_fd) == 0 &&
           fstat(path.get(), &by_path) == 0 && fstatat(fd.get(), "", &by_at, AT_EMPTY_PATH) == 0,
       "stat");
  for (const struct stat* other : {&by_link, &by_fd, &by_path, &by_at}) {
    t.Bool("same", other->st_ino == by_name.st_ino && other->st_dev == by_name.st_dev &&
                       other->st_size == by_name.st_size && other->st_mode == by_name.st_mode &&
                       other->st_blocks == by_name.st_blocks &&
                       other->st_nlink == by_name.st_nlink &&
                       other->st_ctim.tv_nsec == by_name.st_ctim.tv_nsec);
  }
  t.Value("blksize", by_name.st_blksize);
}

CASE(stat, refused) {
  struct stat st;
  WriteFile("f", "x");
  t.Ok("missing", stat("no", &st));
  t.Ok("below_file", stat("f/x", &st));
  t.Ok("file_slash", stat("f/", &st));
  t.Ok("empty", stat("", &st));
  t.Ok("bad_fd", fstat(-1, &st));
  t.Ok("dangling", symlink("no", "s") == 0 ? stat("s", &st) : -1);
  t.Ok("bad_flag", fstatat(AT_FDCWD, "f", &st, 0x80000));
}

CASE(stat, blocks) {
  for (size_t size : {0, 1, 100, 4096, 4097, 100000}) {
    std::string name = "f" + std::to_string(size);
    WriteFile(name, std::string(size, 'b'));
    ScopedFd fd(open(name.c_str(), O_RDWR));
    Must(fsync(fd.get()) == 0, "fsync");
    struct stat st;
    Must(fstat(fd.get(), &st) == 0, "stat");
    t.Value(name, st.st_blocks);
  }
}

CASE(stat, inode_numbers) {
  WriteFile("a", "");
  WriteFile("b", "");
  Must(link("a", "c") == 0, "link");
  struct stat a, b, c, dir;
  Must(stat("a", &a) == 0 && stat("b", &b) == 0 && stat("c", &c) == 0 && stat(".", &dir) == 0,
       "stat");
  t.Bool("link_equal", a.st_ino == c.st_ino);
  t.Bool("others_differ", a.st_ino != b.st_ino && a.st_ino != dir.st_ino);
  t.Bool("one_device", a.st_dev == dir.st_dev);
  Must(rename("a", "d") == 0, "rename");
  struct stat d;
  Must(stat("d", &d) == 0, "stat");
  t.Bool("kept_by_rename", d.st_ino == a.st_ino);
}

CASE(statx, relations) {
  WriteFile("f", "0123456789");
  struct stat st;
  struct statx sx;
  Must(stat("f", &st) == 0, "stat");
  t.Ok("basic", statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
  t.Bool("has_basic", (sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
  t.Bool("ino", sx.stx_ino == st.st_ino);
  t.Bool("size", sx.stx_size == static_cast<uint64_t>(st.st_size));
  t.Bool("mode", sx.stx_mode == st.st_mode);
  t.Bool("times", sx.stx_mtime.tv_sec == st.st_mtim.tv_sec &&
                      sx.stx_mtime.tv_nsec == static_cast<uint32_t>(st.st_mtim.tv_nsec));
  t.Bool("device", makedev(sx.stx_dev_major, sx.stx_dev_minor) == st.st_dev);
  t.Ok("size_only", statx(AT_FDCWD, "f", 0, STATX_SIZE, &sx));
  t.Value("size_only_value", static_cast<long>(sx.stx_size));
  t.Ok("force_sync", statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &sx));
  t.Ok("dont_sync", statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &sx));
  t.Ok("both_syncs",
       statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &sx));
  t.Ok("reserved_mask", statx(AT_FDCWD, "f", 0, 0x80000000U, &sx));
  ScopedFd fd(open("f", O_RDONLY));
  t.Ok("by_fd", statx(fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
  t.Bool("by_fd_ino", sx.stx_ino == st.st_ino);
  Must(symlink("f", "s") == 0, "symlink");
  t.Ok("nofollow", statx(AT_FDCWD, "s", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx));
  t.Bool("nofollow_is_link", S_ISLNK(sx.stx_mode));
}

CASE(statx, birth_time) {
  WriteFile("f", "x");
  struct statx before, after;
  Must(statx(AT_FDCWD, "f", 0, STATX_BTIME, &before) == 0, "statx");
  t.Bool("has_birth_time", before.stx_mask & STATX_BTIME);
  Pause();
  Must(chmod("f", 0600) == 0 && rename("f", "g") == 0, "change");
  Must(statx(AT_FDCWD, "g", 0, STATX_BTIME | STATX_CTIME, &after) == 0, "statx");
  t.Bool("birth_time_stays", before.stx_btime.tv_sec == after.stx_btime.tv_sec &&
                                 before.stx_btime.tv_nsec == after.stx_btime.tv_nsec);
}

CASE(statfs, sane) {
  struct statfs fs;
  WriteFile("f", "x");
  t.Ok("statfs", statfs(".", &fs));
  t.Value("name_length", fs.f_namelen);
  t.Value("block_size", fs.f_bsize);
  t.Value("fragment_size", fs.f_frsize);
  t.Bool("free_not_above_all",
         fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree && fs.f_ffree <= fs.f_files);
  t.Bool("some_blocks", fs.f_blocks > 0 && fs.f_files > 0);
  struct statfs of_file;
  t.Ok("of_file", statfs("f", &of_file));
  t.Bool("same_of_file", of_file.f_blocks == fs.f_blocks && of_file.f_files == fs.f_files);
  ScopedFd fd(open("f", O_RDONLY));
  t.Ok("fstatfs", fstatfs(fd.get(), &of_file));
  t.Ok("missing", statfs("no", &of_file));
  t.Value("pathconf_name", pathconf(".", _PC_NAME_MAX));
}

CASE(access, existence_and_flags) {
  WriteFile("f", "x", 0644);
  Must(symlink("no", "dangling") == 0 && symlink("f", "s") == 0, "symlink");
  t.Ok("exists", access("f", F_OK));
  t.Ok("missing", access("no", F_OK));
  t.Ok("dangling", access("dangling", F_OK));
  t.Ok("dangling_nofollow", faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
  t.Ok("link_nofollow_write", faccessat(AT_FDCWD, "s", W_OK | X_OK, AT_SYMLINK_NOFOLLOW));
  t.Ok("bad_mode", access("f", 16));
  t.Ok("execute", access("f", X_OK));
  t.Ok("directory", access(".", R_OK | W_OK | X_OK));
  t.Ok("below_file", access("f/x", F_OK));
}

CASE(access, own_modes) {
  WriteFile("f", "x");
  for (mode_t mode : {0, 0100, 0200, 0400, 0077, 0700}) {
    Must(chmod("f", mode) == 0, "chmod");
    for (int mask : {R_OK, W_OK, X_OK, R_OK | W_OK | X_OK}) {
      t.Ok(ModeText(mode) + "_" + std::to_string(mask), access("f", mask));
    }
  }
}

CASE(inodeflags, get_and_set) {
  WriteFile("f", "x");
  ScopedFd fd(open("f", O_RDONLY));
  int flags = 0;
  t.Ok("get", ioctl(fd.get(), FS_IOC_GETFLAGS, &flags));
  int wanted = flags | FS_NODUMP_FL | FS_NOATIME_FL;
  t.Ok("set", ioctl(fd.get(), FS_IOC_SETFLAGS, &wanted));
  int now = 0;
  t.Ok("get_again", ioctl(fd.get(), FS_IOC_GETFLAGS, &now));
  t.Bool("set_shows", (now & (FS_NODUMP_FL | FS_NOATIME_FL)) == (FS_NODUMP_FL | FS_NOATIME_FL));
  Must(mkdir("d", 0755) == 0, "mkdir");
  ScopedFd dir(open("d", O_RDONLY));
  t.Ok("directory", ioctl(dir.get(), FS_IOC_GETFLAGS, &flags));
}

ROOT_CASE(inodeflags, immutable_and_append_only) {
  for (auto [name, flag] :
       {std::pair{"immutable", FS_IMMUTABLE_FL}, std::pair{"append", FS_APPEND_FL}}) {
    std::string path = name, point = std::string(name) + "_";
    WriteFile(path, "x");
    ScopedFd fd(open(path.c_str(), O_RDONLY));
    int flags = 0;
    t.Ok(point + "get", ioctl(fd.get(), FS_IOC_GETFLAGS, &flags));
    int wanted = flags | flag;
    t.Ok(point + "set", ioctl(fd.get(), FS_IOC_SETFLAGS, &wanted));
    t.Open(point + "write", path, O_WRONLY);
    ScopedFd append = t.Open(point + "append", path, O_WRONLY | O_APPEND);
    if (append) t.Value(point + "append_write", write(append.get(), "y", 1));
    t.Ok(point + "truncate", truncate(path.c_str(), 0));
    t.Ok(point + "unlink", unlink(path.c_str()));
    t.Ok(point + "rename", rename(path.c_str(), "other"));
    t.Ok(point + "link", link(path.c_str(), "other"));
    t.Ok(point + "chmod", chmod(path.c_str(), 0600));
    t.Ok(point + "utimes", utimensat(AT_FDCWD, path.c_str(), nullptr, 0));
    t.Content(point + "content", path);
    t.Ok(point + "clear", ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
    t.Ok(point + "unlink_after", unlink(path.c_str()));
  }
}

}  // namespace conformance
