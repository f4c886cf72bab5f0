// /mfs/<self> over a server in this process whose export is a file system of one MiB, in a mount namespace of its own. Needs root,
// /dev/fuse and a kernel with FUSE passthrough.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "omfs-fuse/mfs.h"
#include "omfs/client/testing/test_node.h"
#include "omfs/server/local_files.h"
#include "omfs/wire/local_files.h"

namespace omfs::testing {
namespace {

constexpr uid_t kUser = 12345;

class OwnFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "needs root and /dev/fuse";
    // Threads started later inherit it.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", node_.export_path().c_str(), "tmpfs", 0, "size=1m,mode=777"), 0) << strerror(errno);
    node_.Start();
    ListenForFuse();
    Config config = node_.config();
    config.run_dir = run_.path();
    config.passthrough = true;
    config.nodes = {{NodeId(1), "alpha", "127.0.0.1", node_.port(), 1}};
    auto mfs = Mfs::Mount(config, node_.tls(), top_.path(), 0, [] {});
    ASSERT_TRUE(mfs.ok()) << mfs.status();
    mfs_ = std::move(*mfs);
    for (int i = 0; i < 10'000 && files_->Mounts().empty(); ++i) usleep(1000);
    ASSERT_EQ(files_->Mounts().size(), 1u);
    EXPECT_EQ(files_->Mounts()[0].path, top_.path() + "/1");
    if (!files_->Mounts()[0].passthrough) GTEST_SKIP() << "no passthrough: " << files_->Mounts()[0].detail;
  }
  void TearDown() override {
    mfs_.reset();
    files_.reset();
    node_.Stop();
    umount2(node_.export_path().c_str(), MNT_DETACH);
  }
  void ListenForFuse() {
    auto files = LocalFiles::Start(run_.path() + "/" + kLocalFilesSocket,
                                   [this](SessionId session, OpenId open, const omfs_fh& object) {
                                     ++asked_;
                                     return node_.server().Descriptor(session, open, object);
                                   });
    ASSERT_TRUE(files.ok()) << files.status();
    files_ = std::move(*files);
  }
  std::string P(const std::string& name) const { return top_.path() + "/1/" + name; }
  std::string N(const std::string& name) const { return node_.Path(name); }
  static int AsUser(const std::function<int()>& f) {
    const pid_t child = fork();
    if (child == 0) _exit(setgroups(0, nullptr) != 0 || setgid(kUser) != 0 || setuid(kUser) != 0 ? 99 : f());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
  }
  static std::string Get(const std::string& path) {
    char text[64] = {};
    const ScopedFd fd(open(path.c_str(), O_RDONLY));
    return fd && pread(fd.get(), text, sizeof text - 1, 0) >= 0 ? text : strerror(errno);
  }
  // Writes until there is an error, and returns that.
  static int Fill(const std::string& path) {
    const ScopedFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    const std::vector<char> block(65536, 'x');
    while (write(fd.get(), block.data(), block.size()) > 0) {
    }
    const int error = errno;
    unlink(path.c_str());
    return error;
  }

  TempDir ca_, top_, run_;
  TestNode node_{NodeId(1), ca_.path()};
  std::atomic<int> asked_{0};
  std::unique_ptr<LocalFiles> files_;
  std::unique_ptr<Mfs> mfs_;
};

TEST_F(OwnFilesTest, OneDescriptorServesAllOpensOfAFile) {
  const ScopedFd one(open(P("f").c_str(), O_RDWR | O_CREAT, 0644));
  const ScopedFd two(open(P("f").c_str(), O_RDONLY)), three(open(P("f").c_str(), O_WRONLY | O_APPEND));
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(pwrite(one.get(), "abc", 3, 0), 3);
  EXPECT_EQ(write(three.get(), "def", 3), 3);
  EXPECT_EQ(Get(N("f")), "abcdef");
  char text[7] = {};
  EXPECT_EQ(pread(two.get(), text, 6, 0), 6);
  EXPECT_STREQ(text, "abcdef");
}

TEST_F(OwnFilesTest, FirstOpensAtTheSameTimeAgree) {
  for (int round = 0; round < 50; ++round) {
    const std::string path = P("race" + std::to_string(round));
    ASSERT_TRUE(ScopedFd(open(path.c_str(), O_RDWR | O_CREAT, 0644)));
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        const ScopedFd fd(open(path.c_str(), O_RDWR));
        if (!fd || pwrite(fd.get(), "x", 1, i) != 1) ++failed;
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(Get(path), "xxxx");
  }
}

TEST_F(OwnFilesTest, WithoutTheSocketFilesAreServedAndStaySo) {
  files_.reset();
  const ScopedFd first(open(P("f").c_str(), O_RDWR | O_CREAT, 0644));
  ASSERT_TRUE(first);
  EXPECT_EQ(asked_, 0);
  ListenForFuse();
  // What is open decides for the file; another one is backed.
  const ScopedFd second(open(P("f").c_str(), O_RDWR));
  ASSERT_TRUE(second) << strerror(errno);
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(pwrite(second.get(), "served", 6, 0), 6);
  EXPECT_EQ(Get(N("f")), "served");
  ASSERT_TRUE(ScopedFd(open(P("g").c_str(), O_RDWR | O_CREAT, 0644)));
  EXPECT_EQ(asked_, 1);
}

TEST_F(OwnFilesTest, AFullFileSystemSaysSo) {
  EXPECT_EQ(Fill(N("native")), ENOSPC);
  EXPECT_EQ(Fill(P("root")), ENOSPC);
  EXPECT_EQ(AsUser([&] { return Fill(P("user")); }), ENOSPC);
}

TEST_F(OwnFilesTest, ManyFilesLeaveNothingBehind) {
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(ScopedFd(open(P("f").c_str(), O_RDWR | O_CREAT, 0644))) << strerror(errno);
  ASSERT_EQ(unlink(P("f").c_str()), 0);
  EXPECT_EQ(Fill(P("g")), ENOSPC);
  const auto opens = [&] { return node_.server().stats().opens; };
  for (int i = 0; i < 10'000 && opens() != 0; ++i) usleep(1000);
  EXPECT_EQ(opens(), 0u);
}

}  // namespace
}  // namespace omfs::testing
