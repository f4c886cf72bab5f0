// A mounted /mfs over real servers in this process, in a mount namespace of its own. Needs root and
// /dev/fuse.
//
// The servers' files are also reached natively, which is what most expectations compare with.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "omfs-fuse/mfs.h"
#include "omfs/client/testing/test_node.h"

namespace omfs::testing {
namespace {

constexpr uid_t kUser = 12345;
constexpr gid_t kGroup = 23456;

// Mounts once for all tests: nodes 1 (this one) and 2 serve, 3 is dead.
class MfsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!Possible()) return;
    // A namespace of its own for the whole program: threads started later inherit it.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ca_ = new TempDir();
    top_ = new TempDir();
    one_ = new TestNode(NodeId(1), ca_->path());
    two_ = new TestNode(NodeId(2), ca_->path());
    one_->Start();
    two_->Start();
    Config config = one_->config();
    config.nodes = {{NodeId(1), "alpha", "127.0.0.1", one_->port(), 1},
                    {NodeId(2), "beta", "127.0.0.1", two_->port(), 1},
                    {NodeId(3), "gamma", "127.0.0.1", 1, 1}};
    auto mfs = Mfs::Mount(config, one_->tls(), top_->path(), 0, [] {});
    ASSERT_TRUE(mfs.ok()) << mfs.status();
    mfs_ = mfs->release();
    for (int i = 0; i < 200 && !mfs_->client(NodeId(2))->connected(); ++i) usleep(20'000);
  }
  static void TearDownTestSuite() {
    delete mfs_;
    delete two_;
    delete one_;
    delete top_;
    delete ca_;
  }
  void SetUp() override {
    if (!Possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    ASSERT_NE(mfs_, nullptr) << "not mounted, see above";
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    mkdir(Native(name).c_str(), 0777);
    chmod(Native(name).c_str(), 0777);
    dir_ = At(name);
    native_ = Native(name);
  }

  static bool Possible() { return geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0; }
  static std::string Top(const std::string& name) { return top_->path() + "/" + name; }
  static std::string At(const std::string& name) { return top_->path() + "/2/" + name; }
  static std::string Native(const std::string& name) { return two_->Path(name); }
  std::string P(const std::string& name) const { return dir_ + "/" + name; }
  std::string N(const std::string& name) const { return native_ + "/" + name; }
  static void Put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string Get(const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  static struct stat Stat(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat(path.c_str(), &st), 0) << path << ": " << strerror(errno);
    return st;
  }
  // Runs f in a child process; returns what it returns. What the test itself does natively is the owner's own doing, as the
  // owners live in this process.
  static int InChild(const std::function<int()>& f) {
    const pid_t child = fork();
    if (child == 0) _exit(f());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
  }
  // The same as an ordinary user with one supplementary group.
  static int AsUser(const std::function<int()>& f) {
    return InChild([&] {
      const gid_t groups[] = {kGroup};
      if (setgroups(1, groups) != 0 || setgid(kUser) != 0 || setuid(kUser) != 0) return 99;
      return f();
    });
  }
  // Until f() is true; a native change of names is noticed a little later.
  static bool Soon(const std::function<bool()>& f) {
    for (int i = 0; i < 10'000 && !f(); ++i) usleep(1000);
    return f();
  }

  static TempDir *ca_, *top_;
  static TestNode *one_, *two_;
  static Mfs* mfs_;
  std::string dir_, native_;
};
TempDir* MfsTest::ca_ = nullptr;
TempDir* MfsTest::top_ = nullptr;
TestNode* MfsTest::one_ = nullptr;
TestNode* MfsTest::two_ = nullptr;
Mfs* MfsTest::mfs_ = nullptr;

TEST_F(MfsTest, WhatIsWrittenHereIsThereAndTheOtherWayRound) {
  Put(P("a"), "hello");
  EXPECT_EQ(Get(N("a")), "hello");
  EXPECT_EQ(InChild([&] { return Put(N("a"), "changed behind its back"), 0; }), 0);
  EXPECT_EQ(Get(P("a")), "changed behind its back");
  EXPECT_EQ(Stat(P("a")).st_ino, Stat(N("a")).st_ino);
}

TEST_F(MfsTest, StatTellsWhatTheOwnersFileSystemTells) {
  Put(N("f"), std::string(12345, 'x'));
  chmod(N("f").c_str(), 04750);
  const timespec times[2] = {{1'000'000'000, 123'456'789}, {-5, 7}};
  ASSERT_EQ(utimensat(AT_FDCWD, P("f").c_str(), times, 0), 0);
  const struct stat a = Stat(P("f")), b = Stat(N("f"));
  EXPECT_EQ(a.st_mode, b.st_mode);
  EXPECT_EQ(a.st_nlink, b.st_nlink);
  EXPECT_EQ(a.st_size, b.st_size);
  EXPECT_EQ(a.st_blocks, b.st_blocks);
  EXPECT_EQ(a.st_atim.tv_sec, 1'000'000'000);
  EXPECT_EQ(a.st_atim.tv_nsec, 123'456'789);
  EXPECT_EQ(a.st_mtim.tv_sec, -5);
  EXPECT_EQ(a.st_ctim.tv_sec, b.st_ctim.tv_sec);
  EXPECT_EQ(a.st_ctim.tv_nsec, b.st_ctim.tv_nsec);
}

TEST_F(MfsTest, BirthTimeArrives) {
  Put(N("f"), "x");
  struct statx a {
  }, b{};
  ASSERT_EQ(statx(AT_FDCWD, N("f").c_str(), 0, STATX_BTIME, &b), 0);
  if ((b.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "the owner's file system has none";
  ASSERT_EQ(statx(AT_FDCWD, P("f").c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &a), 0);
  if ((a.stx_mask & STATX_BTIME) == 0) GTEST_SKIP() << "this kernel does not ask for it";
  EXPECT_EQ(a.stx_btime.tv_sec, b.stx_btime.tv_sec);
  EXPECT_EQ(a.stx_btime.tv_nsec, b.stx_btime.tv_nsec);
}

TEST_F(MfsTest, RenameWithItsFlags) {
  Put(P("a"), "A");
  Put(P("b"), "B");
  EXPECT_EQ(renameat2(AT_FDCWD, P("a").c_str(), AT_FDCWD, P("b").c_str(), RENAME_NOREPLACE), -1);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(renameat2(AT_FDCWD, P("a").c_str(), AT_FDCWD, P("b").c_str(), RENAME_EXCHANGE), 0);
  EXPECT_EQ(Get(N("a")), "B");
  ASSERT_EQ(rename(P("a").c_str(), P("b").c_str()), 0);
  EXPECT_EQ(Get(N("b")), "B");
  EXPECT_EQ(access(P("a").c_str(), F_OK), -1);
}

TEST_F(MfsTest, BetweenNodesRenameAndLinkAreRefused) {
  Put(P("a"), "A");
  EXPECT_EQ(rename(P("a").c_str(), Top("1/a").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(link(P("a").c_str(), Top("1/a").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(MfsTest, AnUnlinkedFileStaysUsableUntilItIsClosed) {
  const int fd = open(P("a").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, "data", 4), 4);
  ASSERT_EQ(unlink(P("a").c_str()), 0);
  EXPECT_TRUE(std::filesystem::is_empty(native_)) << "no leftover name";
  struct stat st {};
  ASSERT_EQ(fstat(fd, &st), 0) << strerror(errno);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(st.st_size, 4);
  ASSERT_EQ(fchmod(fd, 0640), 0);
  ASSERT_EQ(ftruncate(fd, 2), 0);
  char buf[8];
  EXPECT_EQ(pread(fd, buf, sizeof buf, 0), 2);
  close(fd);
}

TEST_F(MfsTest, TmpFileGetsItsNameLater) {
  const int fd = open(dir_.c_str(), O_TMPFILE | O_RDWR, 0640);
  ASSERT_GE(fd, 0) << strerror(errno);
  ASSERT_EQ(write(fd, "data", 4), 4);
  EXPECT_TRUE(std::filesystem::is_empty(native_));
  ASSERT_EQ(linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), AT_FDCWD,
                   P("named").c_str(), AT_SYMLINK_FOLLOW),
            0)
      << strerror(errno);
  EXPECT_EQ(Get(N("named")), "data");
  close(fd);
}

TEST_F(MfsTest, AppendsGoToTheEndWhereverThatIsNow) {
  const int fd = open(P("a").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, "one", 3), 3);
  { std::ofstream(N("a"), std::ios::app) << "two"; }
  ASSERT_EQ(write(fd, "three", 5), 5);
  EXPECT_EQ(Get(N("a")), "onetwothree");
  close(fd);
}

TEST_F(MfsTest, LargeReadsAndWrites) {
  std::string text(5'000'001, 0);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 24);
  Put(P("big"), text);
  EXPECT_EQ(Get(N("big")) == text, true);
  EXPECT_EQ(Get(P("big")) == text, true);
}

TEST_F(MfsTest, HolesAreFoundAndMade) {
  const int fd = open(P("a").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(fallocate(fd, 0, 0, 1 << 20), 0) << strerror(errno);
  ASSERT_EQ(Stat(N("a")).st_size, 1 << 20);
  std::string block(65536, 'x');
  ASSERT_EQ(pwrite(fd, block.data(), block.size(), 0), 65536);
  ASSERT_EQ(pwrite(fd, block.data(), block.size(), 512 * 1024), 65536);
  ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 448 * 1024), 0);
  EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 65536);
  EXPECT_EQ(lseek(fd, 65536, SEEK_DATA), 512 * 1024);
  EXPECT_EQ(lseek(fd, 2 << 20, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
  close(fd);
}

TEST_F(MfsTest, CopiesAreMadeAtTheOwner) {
  Put(P("a"), std::string(300'000, 'y'));
  const int in = open(P("a").c_str(), O_RDONLY),
            out = open(P("b").c_str(), O_WRONLY | O_CREAT, 0600);
  ssize_t done = 0, n;
  while ((n = copy_file_range(in, nullptr, out, nullptr, 1 << 20, 0)) > 0) done += n;
  EXPECT_EQ(n, 0) << strerror(errno);
  EXPECT_EQ(done, 300'000);
  EXPECT_EQ(Get(N("b")), Get(N("a")));
  close(in);
  close(out);
}

TEST_F(MfsTest, ExtendedAttributes) {
  Put(P("a"), "x");
  ASSERT_EQ(setxattr(P("a").c_str(), "user.k", "value", 5, 0), 0) << strerror(errno);
  EXPECT_EQ(setxattr(P("a").c_str(), "user.k", "other", 5, XATTR_CREATE), -1);
  EXPECT_EQ(errno, EEXIST);
  char buf[256];
  EXPECT_EQ(getxattr(N("a").c_str(), "user.k", buf, sizeof buf), 5);
  EXPECT_EQ(getxattr(P("a").c_str(), "user.k", nullptr, 0), 5);
  EXPECT_EQ(getxattr(P("a").c_str(), "user.k", buf, 2), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(getxattr(P("a").c_str(), "user.none", buf, sizeof buf), -1);
  EXPECT_EQ(errno, ENODATA);
  const ssize_t n = listxattr(P("a").c_str(), buf, sizeof buf);
  EXPECT_EQ(std::string(buf, std::max<ssize_t>(n, 0)), std::string("user.k\0", 7));
  ASSERT_EQ(removexattr(P("a").c_str(), "user.k"), 0);
  EXPECT_EQ(getxattr(N("a").c_str(), "user.k", buf, sizeof buf), -1);
}

TEST_F(MfsTest, AnAgentFindsAFileByItsIdentity) {
  Put(P("a"), "identity");
  unsigned char value[72];
  ASSERT_EQ(getxattr(P("a").c_str(), "trusted.omfs.handle", value, sizeof value), 72);
  EXPECT_EQ(value[0] | value[1] << 8, 2);
  std::string name = ".omfs-fh:";
  for (int i = 8; i < 72; ++i) {
    char hex[3];
    snprintf(hex, sizeof hex, "%02x", value[i]);
    name += hex;
  }
  ASSERT_EQ(rename(P("a").c_str(), P("moved").c_str()), 0);
  EXPECT_EQ(Get(At(name)), "identity");
  const int fd = open(P("moved").c_str(), O_RDONLY);
  unlink(P("moved").c_str());
  EXPECT_EQ(Get(At(name)), "identity") << "without a name, while open";
  close(fd);
  EXPECT_EQ(AsUser([&] { return access(At(name).c_str(), F_OK) == -1 && errno == ENOENT ? 0 : 1; }),
            0);
  Put(P("b"), "x");
  EXPECT_EQ(AsUser([&] {
              return getxattr(P("b").c_str(), "trusted.omfs.handle", value, 72) == -1 ? 0 : 1;
            }),
            0);
}

TEST_F(MfsTest, InodeFlags) {
  Put(P("a"), "x");
  const int fd = open(P("a").c_str(), O_RDONLY), native = open(N("a").c_str(), O_RDONLY);
  int flags = 0, expected = 0;
  if (ioctl(native, FS_IOC_GETFLAGS, &expected) != 0) GTEST_SKIP() << "the owner's has none";
  ASSERT_EQ(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0) << strerror(errno);
  EXPECT_EQ(flags, expected);
  flags |= FS_NODUMP_FL;
  ASSERT_EQ(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0) << strerror(errno);
  ASSERT_EQ(ioctl(native, FS_IOC_GETFLAGS, &expected), 0);
  EXPECT_TRUE(expected & FS_NODUMP_FL);
  close(fd);
  close(native);
}

TEST_F(MfsTest, LocksHoldBetweenProcessesAndAreInterruptible) {
  Put(P("a"), "x");
  const int fd = open(P("a").c_str(), O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(fd, F_SETLK, &lock), 0) << strerror(errno);
  const auto other = [&](int command) {
    return AsUser([&] {
      signal(SIGALRM, [](int) {});
      struct sigaction sa {};
      sa.sa_handler = [](int) {};
      sigaction(SIGALRM, &sa, nullptr);  // without SA_RESTART
      alarm(1);
      const int own = open(P("a").c_str(), O_RDWR);
      struct flock l {};
      l.l_type = F_WRLCK;
      return fcntl(own, command, &l) == 0 ? 0 : errno;
    });
  };
  chmod(N("a").c_str(), 0666);
  EXPECT_EQ(other(F_SETLK), EAGAIN);
  EXPECT_EQ(other(F_SETLKW), EINTR);
  lock.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(fd, F_SETLK, &lock), 0);
  EXPECT_EQ(other(F_SETLK), 0);
  EXPECT_EQ(other(F_SETLK), 0) << "the one before gave it up with its close";
  close(fd);
}

TEST_F(MfsTest, FlockHoldsBetweenOpens) {
  Put(P("a"), "x");
  const int a = open(P("a").c_str(), O_RDWR), b = open(P("a").c_str(), O_RDWR);
  ASSERT_EQ(flock(a, LOCK_EX), 0) << strerror(errno);
  EXPECT_EQ(flock(b, LOCK_EX | LOCK_NB), -1);
  EXPECT_EQ(errno, EWOULDBLOCK);
  std::thread waiter([&] { EXPECT_EQ(flock(b, LOCK_EX), 0); });
  usleep(50'000);
  ASSERT_EQ(flock(a, LOCK_UN), 0);
  waiter.join();
  close(a);
  close(b);
}

TEST_F(MfsTest, ManyWaitingLocksKeepNobodyElseWaiting) {
  Put(P("a"), "x");
  const int holder = open(P("a").c_str(), O_RDWR);
  ASSERT_EQ(flock(holder, LOCK_EX), 0);
  std::vector<std::thread> waiters;
  for (int i = 0; i < 60; ++i) {
    waiters.emplace_back([&] {
      const int fd = open(P("a").c_str(), O_RDWR);
      EXPECT_EQ(flock(fd, LOCK_EX), 0);
      close(fd);
    });
  }
  usleep(200'000);
  for (int i = 0; i < 20; ++i) Stat(P("a"));
  ASSERT_EQ(flock(holder, LOCK_UN), 0);
  for (std::thread& t : waiters) t.join();
  close(holder);
}

TEST_F(MfsTest, ADirectoryOfFiveThousand) {
  for (int i = 0; i < 5000; ++i) close(open(N("entry" + std::to_string(i)).c_str(), O_CREAT, 0600));
  std::set<std::string> seen;
  DIR* d = opendir(dir_.c_str());
  ASSERT_NE(d, nullptr);
  while (const dirent* e = readdir(d)) {
    EXPECT_TRUE(seen.insert(e->d_name).second) << e->d_name << " twice";
    if (e->d_name[0] != '.') {
      EXPECT_EQ(e->d_type, DT_REG);
    }
  }
  EXPECT_EQ(seen.size(), 5002u);
  EXPECT_EQ(InChild([&] { return open(N("late").c_str(), O_CREAT, 0600) < 0; }), 0);
  EXPECT_TRUE(Soon([&] {
    rewinddir(d);
    int count = 0;
    while (readdir(d) != nullptr) ++count;
    return count == 5003;
  }));
  closedir(d);
}

// The kernel closes a directory as soon as its last read is answered, while the thread that answered may still be at it. The
// sanitizers see what it does to a handle that is gone.
TEST_F(MfsTest, DirectoriesAreClosedBehindTheirReads) {
  for (int i = 0; i < 20; ++i) close(open(N("entry" + std::to_string(i)).c_str(), O_CREAT, 0600));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 250; ++round) {
        DIR* d = opendir(dir_.c_str());
        if (d == nullptr) {
          ++wrong;
          continue;
        }
        int count = 0;
        while (readdir(d) != nullptr) ++count;
        closedir(d);
        if (count != 22) ++wrong;
        struct stat st {};
        if (stat(N("entry7").c_str(), &st) != 0) ++wrong;  // a node number to be forgotten and given again
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(MfsTest, LongNames) {
  const std::string longest(255, 'n');
  Put(P(longest), "x");
  EXPECT_EQ(Get(N(longest)), "x");
  EXPECT_EQ(open(P(longest + "n").c_str(), O_CREAT | O_RDWR, 0600), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  const std::string target(4000, 't');
  ASSERT_EQ(symlink(target.c_str(), P("link").c_str()), 0);
  EXPECT_EQ(std::filesystem::read_symlink(P("link")), target);
}

TEST_F(MfsTest, SpecialFilesAndDirectories) {
  ASSERT_EQ(mkfifo(P("fifo").c_str(), 0640), 0);
  EXPECT_TRUE(S_ISFIFO(Stat(N("fifo")).st_mode));
  ASSERT_EQ(mknod(P("dev").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0) << strerror(errno);
  EXPECT_EQ(Stat(P("dev")).st_rdev, makedev(1, 3));
  ASSERT_EQ(mkdir(P("d").c_str(), 0750), 0);
  Put(P("d/f"), "x");
  EXPECT_EQ(rmdir(P("d").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  ASSERT_EQ(unlink(P("d/f").c_str()), 0);
  ASSERT_EQ(rmdir(P("d").c_str()), 0);
  EXPECT_FALSE(std::filesystem::exists(N("d")));
}

TEST_F(MfsTest, UmaskIsTheCallers) {
  const mode_t old = umask(027);
  close(open(P("f").c_str(), O_CREAT | O_RDWR, 0666));
  mkdir(P("d").c_str(), 0777);
  umask(old);
  EXPECT_EQ(Stat(N("f")).st_mode & 07777, 0640u);
  EXPECT_EQ(Stat(N("d")).st_mode & 07777, 0750u);
}

TEST_F(MfsTest, OrdinaryUsersAreBoundByPermissions) {
  Put(N("secret"), "x");
  chmod(N("secret").c_str(), 0600);
  Put(N("shared"), "group");
  ASSERT_EQ(chown(N("shared").c_str(), 0, kGroup), 0);
  chmod(N("shared").c_str(), 0640);
  EXPECT_EQ(AsUser([&] { return open(P("secret").c_str(), O_RDONLY) == -1 ? errno : 0; }), EACCES);
  EXPECT_EQ(AsUser([&] { return open(P("shared").c_str(), O_RDONLY) == -1 ? errno : 0; }), 0)
      << "by a supplementary group";
  EXPECT_EQ(
      AsUser([&] { return open(P("own").c_str(), O_CREAT | O_RDWR, 0644) == -1 ? errno : 0; }), 0);
  EXPECT_EQ(Stat(N("own")).st_uid, kUser);
  EXPECT_EQ(AsUser([&] { return chown(P("own").c_str(), 0, 0) == -1 ? errno : 0; }), EPERM);
}

TEST_F(MfsTest, SharedMappingsReachTheOwner) {
  Put(P("a"), std::string(8192, 'x'));
  // A process of its own: munmap(2) writes back with the process's memory map locked, and the owner, which lives in this one
  // here, needs the map of its own to store the pages.
  const int result = InChild(
      [&] {
        const int fd = open(P("a").c_str(), O_RDWR);
        auto* p = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        if (p == MAP_FAILED) return errno;
        memcpy(p + 5000, "mapped", 6);
        if (msync(p, 8192, MS_SYNC) != 0) return 201;
        if (Get(N("a")).substr(5000, 6) != "mapped") return 202;
        memcpy(p, "again", 5);
        return munmap(p, 8192) != 0 ? 203 : 0;
      });
  if (result == ENODEV) GTEST_SKIP() << "this kernel cannot (before Linux 6.6)";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(Get(N("a")).substr(0, 5), "again");
  EXPECT_EQ(Stat(P("a")).st_size, 8192);
}

TEST_F(MfsTest, ProgramsRun) {
  std::filesystem::copy_file("/bin/true", N("true"));
  EXPECT_EQ(AsUser([&] {
              execl(P("true").c_str(), "true", nullptr);
              return errno;
            }),
            0);
}

TEST_F(MfsTest, FsyncAndStatfs) {
  const int fd = open(P("a").c_str(), O_RDWR | O_CREAT, 0600);
  EXPECT_EQ(fsync(fd), 0);
  EXPECT_EQ(fdatasync(fd), 0);
  close(fd);
  struct statvfs a {
  }, b{};
  ASSERT_EQ(statvfs(dir_.c_str(), &a), 0);
  ASSERT_EQ(statvfs(native_.c_str(), &b), 0);
  EXPECT_EQ(a.f_blocks, b.f_blocks);
  EXPECT_EQ(a.f_namemax, b.f_namemax);
}

TEST_F(MfsTest, TheRootListsNodesAndMagicNamesOnly) {
  std::set<std::string> names;
  for (const auto& e : std::filesystem::directory_iterator(top_->path())) {
    names.insert(e.path().filename());
  }
  const std::set<std::string> expected = {"1",    "2",    "3",        "alpha",    "beta", "gamma",
                                          "here", "home", "lastexec", "selected", "magic"};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(open(Top("new").c_str(), O_CREAT | O_RDWR, 0600), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(mkdir(Top("new").c_str(), 0700), -1);
  EXPECT_EQ(unlink(Top("here").c_str()), -1);
  EXPECT_EQ(access(Top("none").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(std::filesystem::read_symlink(Top("here")), "1");
  EXPECT_EQ(std::filesystem::read_symlink(Top("beta")), "2");
  struct statvfs st {};
  EXPECT_EQ(statvfs(top_->path().c_str(), &st), 0);
}

TEST_F(MfsTest, ADeadNodeAnswersAtOnce) {
  const auto before = std::chrono::steady_clock::now();
  struct stat st {};
  EXPECT_EQ(stat(Top("3/x").c_str(), &st), -1);
  EXPECT_EQ(errno, EHOSTDOWN);
  struct statvfs fs {};
  EXPECT_EQ(statvfs(Top("3").c_str(), &fs), 0) << "df passes by it";
  EXPECT_EQ(fs.f_blocks, 0u);
  EXPECT_EQ(stat(Top("3").c_str(), &st), 0) << "and ls -l of the top";
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_EQ(getxattr(Top("3").c_str(), "system.posix_acl_access", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(opendir(Top("3").c_str()), nullptr);
  EXPECT_EQ(errno, EHOSTDOWN);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST_F(MfsTest, MountsAreReportedAndControlledByRootOnly) {
  const auto order = [](const std::string& line) {
    const int fd = open(Top(".mounts").c_str(), O_WRONLY);
    const int error = fd < 0 || write(fd, line.data(), line.size()) < 0 ? errno : 0;
    close(fd);
    return error;
  };
  EXPECT_EQ(Get(Top(".mounts")), "1 connected soft mounted\n2 connected soft mounted\n3 unreachable soft mounted\n");
  EXPECT_EQ(AsUser([&] { return order("mount 2"); }), EACCES);
  EXPECT_EQ(order("mount 9"), ENOENT);
  for (const char* nonsense : {"mount", "mount x", "mount 0", "mount 70000", "mount 2 gently", "mount 2 hard hard", "abort 2 hard"}) {
    EXPECT_EQ(order(nonsense), EINVAL) << nonsense;
  }
  EXPECT_EQ(order("mount 2 hard\n"), 0);
  EXPECT_NE(Get(Top(".mounts")).find("2 connected hard mounted"), std::string::npos);
  EXPECT_EQ(order("mount 2 soft\n"), 0);
  EXPECT_NE(Get(Top(".mounts")).find("2 connected soft mounted"), std::string::npos);
}

TEST_F(MfsTest, WhatWasUnmountedIsMountedAgain) {
  Put(P("f"), "there");
  ASSERT_EQ(umount2(Top("2").c_str(), MNT_DETACH), 0);
  struct stat st {};
  EXPECT_EQ(stat(P("f").c_str(), &st), -1);
  EXPECT_EQ(errno, EHOSTDOWN) << "the root file system's own directory";
  Put(Top(".mounts"), "mount 2\n");
  EXPECT_TRUE(Soon([&] { return Get(P("f")) == "there"; }));
}

TEST_F(MfsTest, SelectedIsInheritedAndOwn) {
  const int status = AsUser([&] {
    Put(Top(".selected"), "2\n");
    const pid_t child = fork();
    if (child == 0) {
      _exit(std::filesystem::read_symlink(Top("selected")) == "2" && Get(Top(".selected")) == "2\n"
                ? 0
                : 1);
    }
    int s = 0;
    waitpid(child, &s, 0);
    return WEXITSTATUS(s);
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(std::filesystem::read_symlink(Top("selected")), "1") << "others keep their own";
  const int fd = open(Top(".selected").c_str(), O_WRONLY);
  EXPECT_EQ(write(fd, "77", 2), -1);
  EXPECT_EQ(errno, EINVAL);
  close(fd);
}

TEST_F(MfsTest, MagicCreatesHereAndFindsAgain) {
  Put(Top("magic/made"), "by magic");
  EXPECT_EQ(Get(one_->Path("made")), "by magic");
  EXPECT_EQ(Get(Top("magic/made")), "by magic");
  ASSERT_EQ(mkdir(Top("magic/dir").c_str(), 0755), 0);
  Put(Top("magic/dir/f"), "deep");
  EXPECT_EQ(Get(one_->Path("dir/f")), "deep");
  ASSERT_EQ(unlink(Top("magic/made").c_str()), 0);
  EXPECT_EQ(access(one_->Path("made").c_str(), F_OK), -1);
}

}  // namespace
}  // namespace omfs::testing
