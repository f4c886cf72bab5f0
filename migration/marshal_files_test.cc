// Every forwarded call on files and names, the whole way; see marshal_harness.h.

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pty.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include <fstream>

#include "migration/marshal_harness.h"

namespace omfs::migration {
namespace {

TEST_F(MarshalTest, StatsInEveryWay) {
  const char* p = file_.c_str();
  struct statx_buffer {
    uint8_t bytes[256];
  };
  Same<struct stat>(SYS_stat, [&](auto* s) { return Args(p, s); });
  Same<struct stat>(SYS_lstat, [&](auto* s) { return Args(p, s); });
  Same<struct stat>(SYS_fstat, [&](auto* s) { return Args(fd_.get(), s); });
  Same<struct stat>(SYS_newfstatat, [&](auto* s) { return Args(dirfd_.get(), "file", s, 0); });
  Same<struct stat>(SYS_newfstatat, [&](auto* s) { return Args(fd_.get(), "", s, AT_EMPTY_PATH); });
  Same<struct stat>(SYS_newfstatat,
                    [&](auto* s) { return Args(fd_.get(), nullptr, s, AT_EMPTY_PATH); });
  Same<struct stat>(SYS_stat, [&](auto* s) { return Args("/no/such", s); });
  Same<statx_buffer>(SYS_statx, [&](auto* s) { return Args(AT_FDCWD, p, 0, STATX_ALL, s); });
  Same<struct statfs>(SYS_statfs, [&](auto* s) { return Args(p, s); });
  Same<struct statfs>(SYS_fstatfs, [&](auto* s) { return Args(fd_.get(), s); });
  SameResult(SYS_access, Args(p, R_OK));
  SameResult(SYS_faccessat, Args(dirfd_.get(), "file", X_OK));
  SameResult(SYS_faccessat2, Args(dirfd_.get(), "none", X_OK, 0));
}

TEST_F(MarshalTest, ListsDirectories) {
  std::ofstream(Path("another"));
  // Between the entries the kernel leaves gaps as they were; the names and numbers count.
  auto entries = [](const Filled<4096>& list, int64_t size) {
    std::vector<std::string> found;
    for (int64_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(list.bytes + at);
      found.push_back(std::to_string(entry->d_ino) + " " + std::to_string(entry->d_type) + " " +
                      entry->d_name);
      at += entry->d_reclen;
    }
    return found;
  };
  Filled<4096> native, forwarded;
  const int64_t n = RawSyscall(SYS_getdents64, Args(dirfd_.get(), &native, 4096));
  ASSERT_GT(n, 0);
  RawSyscall(SYS_lseek, Args(dirfd_.get(), 0, SEEK_SET));
  EXPECT_EQ(Forward(SYS_getdents64, Args(dirfd_.get(), &forwarded, 4096)), n);
  EXPECT_EQ(entries(native, n), entries(forwarded, n));
  EXPECT_EQ(forwarded.bytes[n], 0x5a);
  RawSyscall(SYS_lseek, Args(dirfd_.get(), 0, SEEK_SET));
  EXPECT_GT(Forward(SYS_getdents, Args(dirfd_.get(), &forwarded, 4096)), 0);
}

TEST_F(MarshalTest, WorksOnNames) {
  const std::string a = Path("a"), b = Path("b"), d = Path("d"), l = Path("l");
  const int made = Forward(SYS_creat, Args(a.c_str(), 0600));
  EXPECT_GE(made, 0);
  close(made);
  const int opened = Forward(SYS_open, Args(a.c_str(), O_RDONLY, 0));
  EXPECT_GE(opened, 0);
  close(opened);
  const int at = Forward(SYS_openat, Args(dirfd_.get(), "at", O_CREAT | O_RDWR, 0644));
  EXPECT_GE(at, 0);
  close(at);
  open_how how{};
  how.flags = O_RDONLY;
  const int at2 = Forward(SYS_openat2, Args(dirfd_.get(), "at", &how, sizeof how));
  EXPECT_GE(at2, 0);
  close(at2);
  EXPECT_EQ(Forward(SYS_openat2, Args(dirfd_.get(), "at", &how, 5000)), -E2BIG);
  EXPECT_EQ(Forward(SYS_rename, Args(a.c_str(), b.c_str())), 0);
  EXPECT_EQ(Forward(SYS_renameat, Args(dirfd_.get(), "b", dirfd_.get(), "a")), 0);
  EXPECT_EQ(Forward(SYS_renameat2, Args(dirfd_.get(), "a", dirfd_.get(), "b", RENAME_NOREPLACE)),
            0);
  EXPECT_EQ(Forward(SYS_link, Args(b.c_str(), a.c_str())), 0);
  EXPECT_EQ(Forward(SYS_linkat, Args(dirfd_.get(), "b", dirfd_.get(), "c", 0)), 0);
  EXPECT_EQ(Forward(SYS_symlink, Args("the target", l.c_str())), 0);
  EXPECT_EQ(Forward(SYS_symlinkat, Args("another target", dirfd_.get(), "m")), 0);
  Same<Filled<64>>(SYS_readlink, [&](auto* s) { return Args(l.c_str(), s, 64); });
  Same<Filled<64>>(SYS_readlink, [&](auto* s) { return Args(l.c_str(), s, 3); });
  Same<Filled<64>>(SYS_readlink, [&](auto* s) { return Args(l.c_str(), s, 0); });
  Same<Filled<64>>(SYS_readlink, [&](auto* s) { return Args(l.c_str(), s, -1); });
  Same<Filled<64>>(SYS_readlinkat, [&](auto* s) { return Args(dirfd_.get(), "m", s, 64); });
  EXPECT_EQ(Forward(SYS_mkdir, Args(d.c_str(), 0755)), 0);
  EXPECT_EQ(Forward(SYS_mkdirat, Args(dirfd_.get(), "e", 0755)), 0);
  EXPECT_EQ(Forward(SYS_rmdir, Args(d.c_str())), 0);
  EXPECT_EQ(Forward(SYS_mknod, Args(Path("fifo").c_str(), S_IFIFO | 0600, 0)), 0);
  EXPECT_EQ(Forward(SYS_mknodat, Args(dirfd_.get(), "fifo2", S_IFIFO | 0600, 0)), 0);
  EXPECT_EQ(Forward(SYS_unlink, Args(a.c_str())), 0);
  EXPECT_EQ(Forward(SYS_unlinkat, Args(dirfd_.get(), "e", AT_REMOVEDIR)), 0);
  const std::string longest(5000, 'n');
  EXPECT_EQ(Forward(SYS_unlink, Args(longest.c_str())), -ENAMETOOLONG);
  EXPECT_EQ(Forward(SYS_unlink, Args("")), -ENOENT);
}

TEST_F(MarshalTest, ChangesFiles) {
  const char* p = file_.c_str();
  SameResult(SYS_chmod, Args(p, 0640));
  SameResult(SYS_fchmod, Args(fd_.get(), 0600));
  SameResult(SYS_fchmodat, Args(dirfd_.get(), "file", 0644));
  SameResult(452, Args(dirfd_.get(), "file", 0644, 0));  // fchmodat2
  SameResult(SYS_chown, Args(p, -1, -1));
  SameResult(SYS_lchown, Args(p, -1, -1));
  SameResult(SYS_fchown, Args(fd_.get(), -1, -1));
  SameResult(SYS_fchownat, Args(dirfd_.get(), "file", -1, -1, 0));
  SameResult(SYS_truncate, Args(p, 5000));
  SameResult(SYS_ftruncate, Args(fd_.get(), 6000));
  SameResult(SYS_fallocate, Args(fd_.get(), 0, 0, 7000));
  SameResult(SYS_fsync, Args(fd_.get()));
  SameResult(SYS_fdatasync, Args(fd_.get()));
  SameResult(SYS_sync_file_range, Args(fd_.get(), 0, 100, 0));
  SameResult(SYS_syncfs, Args(dirfd_.get()));
  SameResult(SYS_fadvise64, Args(fd_.get(), 0, 0, POSIX_FADV_RANDOM));
  SameResult(SYS_readahead, Args(fd_.get(), 0, 100));
  SameResult(SYS_flock, Args(fd_.get(), LOCK_EX | LOCK_NB));

  struct stat st;
  auto mtime = [&] { return stat(p, &st) == 0 ? st.st_mtim.tv_sec : -1; };
  timespec ts[2] = {{1, 0}, {1000, 7}};
  EXPECT_EQ(Forward(SYS_utimensat, Args(AT_FDCWD, p, ts, 0)), 0);
  EXPECT_EQ(mtime(), 1000);
  ts[1].tv_sec = 1001;
  EXPECT_EQ(Forward(SYS_utimensat, Args(fd_.get(), nullptr, ts, 0)), 0);
  EXPECT_EQ(mtime(), 1001);
  utimbuf ub{2, 2000};
  EXPECT_EQ(Forward(SYS_utime, Args(p, &ub)), 0);
  EXPECT_EQ(mtime(), 2000);
  timeval tv[2] = {{3, 0}, {3000, 0}};
  EXPECT_EQ(Forward(SYS_utimes, Args(p, tv)), 0);
  EXPECT_EQ(mtime(), 3000);
  tv[1].tv_sec = 3001;
  EXPECT_EQ(Forward(SYS_futimesat, Args(dirfd_.get(), "file", tv)), 0);
  EXPECT_EQ(mtime(), 3001);
  EXPECT_EQ(Forward(SYS_utimes, Args(p, nullptr)), 0);  // now
  EXPECT_GT(mtime(), 3001);

  Same<Filled<64>>(451, [&](auto* s) {  // cachestat; without it both give ENOSYS
    static uint64_t range[2] = {0, 4096};
    return Args(fd_.get(), range, s, 0);
  });
  Same<Filled<24>>(468, [&](auto* s) { return Args(dirfd_.get(), "file", s, 24, 0); });
  Same<Filled<24>>(469, [&](auto* s) { return Args(dirfd_.get(), "none", s, 24, 0); });
}

TEST_F(MarshalTest, HandlesExtendedAttributes) {
  const char* p = file_.c_str();
  // tmpfs of older kernels has no user attributes.
  const bool have = setxattr(p, "user.probe", "v", 1, 0) == 0;
  const int64_t done = have ? 0 : -EOPNOTSUPP;
  EXPECT_EQ(Forward(SYS_setxattr, Args(p, "user.a", "value", 5, 0)), done);
  EXPECT_EQ(Forward(SYS_lsetxattr, Args(p, "user.b", "v2", 2, 0)), done);
  EXPECT_EQ(Forward(SYS_fsetxattr, Args(fd_.get(), "user.c", nullptr, 0, 0)), done);
  EXPECT_EQ(Forward(SYS_setxattr, Args(p, "user.d", p, 70000, 0)), -E2BIG);
  SameResult(SYS_setxattr, Args(p, std::string(300, 'x').c_str(), "v", 1, 0));
  Same<Filled<32>>(SYS_getxattr, [&](auto* s) { return Args(p, "user.a", s, 32); });
  Same<Filled<32>>(SYS_getxattr, [&](auto* s) { return Args(p, "user.a", s, 3); });
  Same<Filled<32>>(SYS_getxattr, [&](auto* s) { return Args(p, "user.a", s, 0); });
  Same<Filled<32>>(SYS_getxattr, [&](auto*) { return Args(p, "user.a", nullptr, 0); });
  Same<Filled<32>>(SYS_lgetxattr, [&](auto* s) { return Args(p, "user.b", s, 32); });
  Same<Filled<32>>(SYS_fgetxattr, [&](auto* s) { return Args(fd_.get(), "user.c", s, 32); });
  Same<Filled<99>>(SYS_listxattr, [&](auto* s) { return Args(p, s, 99); });
  Same<Filled<99>>(SYS_llistxattr, [&](auto* s) { return Args(p, s, 99); });
  Same<Filled<99>>(SYS_flistxattr, [&](auto* s) { return Args(fd_.get(), s, 99); });
  Same<Filled<99>>(465, [&](auto* s) { return Args(dirfd_.get(), "file", 0, s, 99); });
  EXPECT_EQ(Forward(SYS_removexattr, Args(p, "user.a")), done);
  EXPECT_EQ(Forward(SYS_lremovexattr, Args(p, "user.b")), done);
  EXPECT_EQ(Forward(SYS_fremovexattr, Args(fd_.get(), "user.c")), done);
  SameResult(466, Args(dirfd_.get(), "file", 0, "user.none"));
}

TEST_F(MarshalTest, CopiesBetweenFiles) {
  ScopedFd to(open(Path("to").c_str(), O_RDWR | O_CREAT, 0600));
  loff_t in = 3, out = 1;
  EXPECT_EQ(Forward(SYS_copy_file_range, Args(fd_.get(), &in, to.get(), &out, 10, 0)), 10);
  EXPECT_EQ(in, 13);
  EXPECT_EQ(out, 11);
  off_t offset = 50;
  EXPECT_EQ(Forward(SYS_sendfile, Args(to.get(), fd_.get(), &offset, 7)), 7);
  EXPECT_EQ(offset, 57);
  int ends[2] = {-1, -1}, more[2] = {-1, -1};
  EXPECT_EQ(Forward(SYS_pipe, Args(ends)), 0);
  EXPECT_EQ(Forward(SYS_pipe2, Args(more, O_CLOEXEC)), 0);
  in = 0;
  EXPECT_EQ(Forward(SYS_splice, Args(fd_.get(), &in, ends[1], nullptr, 20, 0)), 20);
  EXPECT_EQ(in, 20);
  EXPECT_EQ(Forward(SYS_tee, Args(ends[0], more[1], 20, 0)), 20);
  for (int f : {ends[0], ends[1], more[0], more[1]}) {
    EXPECT_GE(f, 0);
    close(f);
  }
}

TEST_F(MarshalTest, ForwardsKnownIoctls) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "12345", 5), 5);
  Same<int>(
      SYS_ioctl, [&](auto* n) { return Args(ends[0], FIONREAD, n); }, -1);
  int on = 1;
  EXPECT_EQ(Forward(SYS_ioctl, Args(ends[0], FIONBIO, &on)), 0);
  EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(Forward(SYS_ioctl, Args(ends[0], FIOCLEX, 0)), 0);
  Same<Filled<64>>(SYS_ioctl, [&](auto* t) { return Args(ends[0], TCGETS, t); });  // ENOTTY
  int main_end, tty;
  ASSERT_EQ(openpty(&main_end, &tty, nullptr, nullptr, nullptr), 0);
  Same<Filled<64>>(SYS_ioctl, [&](auto* t) { return Args(tty, TCGETS, t); });
  Filled<64> termios;
  ASSERT_EQ(ioctl(tty, TCGETS, &termios), 0);
  EXPECT_EQ(Forward(SYS_ioctl, Args(tty, TCSETSW, &termios)), 0);
  winsize size{50, 132, 1, 2};
  EXPECT_EQ(Forward(SYS_ioctl, Args(tty, TIOCSWINSZ, &size)), 0);
  Same<winsize>(SYS_ioctl, [&](auto* w) { return Args(tty, TIOCGWINSZ, w); });
  Same<int>(SYS_ioctl, [&](auto* w) { return Args(main_end, TIOCGPTN, w); });
  Same<int>(SYS_ioctl, [&](auto* w) { return Args(tty, TIOCGPGRP, w); });
  Same<Filled<40>>(SYS_ioctl,
                   [&](auto* w) { return Args(fd_.get(), 0x80086601 /* FS_IOC_GETFLAGS */, w); });
  EXPECT_NE(RecallReason(SYS_ioctl, Args(fd_.get(), 0x12345678, &on)), "");
  for (int f : {ends[0], ends[1], main_end, tty}) close(f);
}

TEST_F(MarshalTest, ForwardsFcntlByCommand) {
  SameResult(SYS_fcntl, Args(fd_.get(), F_GETFL, 0));
  SameResult(SYS_fcntl, Args(fd_.get(), F_GETFD, 0));
  const struct flock lock { F_WRLCK, SEEK_SET, 0, 10, 0 };
  EXPECT_EQ(Forward(SYS_fcntl, Args(fd_.get(), F_SETLK, &lock)), 0);
  Same<struct flock>(
      SYS_fcntl, [&](auto* l) { return Args(fd_.get(), F_GETLK, l); }, lock);
  ScopedFd other(open(file_.c_str(), O_RDWR));
  struct flock open_lock {
    F_WRLCK, SEEK_SET, 0, 10, 0
  };
  Same<struct flock>(
      SYS_fcntl, [&](auto* l) { return Args(other.get(), F_OFD_GETLK, l); }, open_lock);
  const int duplicate = Forward(SYS_fcntl, Args(fd_.get(), F_DUPFD_CLOEXEC, 50));
  EXPECT_GE(duplicate, 50);
  close(duplicate);
  EXPECT_NE(RecallReason(SYS_fcntl, Args(fd_.get(), 9999, 0)), "");
}

}  // namespace
}  // namespace omfs::migration
