// The fd-keeper as a process of its own, with real descriptors.
#include "omfs/fdkeeper/fd_keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace omfs::fdkeeper {
namespace {

using std::chrono::seconds;

Key KeyOf(uint8_t n) {
  Key key{};
  key[0] = n;
  return key;
}

// Generous: a guard against hangs only.
bool Until(const std::function<bool()>& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class FdKeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/omfs-fdkeeper-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    options_.program = OMFS_FDKEEPER;
    options_.state_dir = dir_;
    options_.patience = seconds(60);
  }
  void TearDown() override {
    for (const pid_t pid : Pids()) kill(pid, SIGKILL);
    EXPECT_TRUE(Until([&] { return Pids().empty(); }));
    std::filesystem::remove_all(dir_);
  }

  std::unique_ptr<FdKeeper> Reach() {
    auto keeper = FdKeeper::Reach(options_);
    EXPECT_TRUE(keeper.ok()) << keeper.status();
    return keeper.ok() ? std::move(*keeper) : nullptr;
  }

  // The keepers of this test.
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename();
      if (pid.find_first_not_of("0123456789") != pid.npos) continue;
      std::ifstream in(entry.path() / "cmdline");
      const std::string line(std::istreambuf_iterator<char>(in), {});
      if (line.starts_with(OMFS_FDKEEPER) && line.find(dir_) != line.npos) pids.push_back(std::stoi(pid));
    }
    return pids;
  }

  // A file without a name, with this text.
  ScopedFd Nameless(const std::string& text) {
    ScopedFd fd(open(dir_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_TRUE(fd.valid());
    EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return fd;
  }
  static std::string TextOf(const ScopedFd& fd) {
    char text[100];
    const ssize_t n = pread(fd.get(), text, sizeof text, 0);
    return n < 0 ? "?" : std::string(text, n);
  }

  // A connection that says what it likes.
  ScopedFd RawConnection() {
    ScopedFd s(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    const std::string path = dir_ + "/fdkeeper/socket";
    memcpy(a.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(connect(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
    return s;
  }
  static bool IsClosed(const ScopedFd& socket) {
    pollfd p{socket.get(), POLLIN, 0};
    char byte;
    return poll(&p, 1, 60000) == 1 && recv(socket.get(), &byte, 1, 0) <= 0;
  }

  std::string dir_;
  Options options_;
};

TEST_F(FdKeeperTest, GivesTheNextOneEverythingThatTheLastOneLeft) {
  {
    auto first = Reach();
    EXPECT_TRUE(first->Put(KeyOf(1), Nameless("one").get()));
    EXPECT_TRUE(first->Put(KeyOf(3), Nameless("three").get()));
    EXPECT_TRUE(first->Put(KeyOf(2), Nameless("two").get()));
  }
  auto all = Reach()->All();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 3U);
  EXPECT_EQ(TextOf((*all)[0].second), "one");
  EXPECT_EQ(TextOf((*all)[1].second), "two");
  EXPECT_EQ(TextOf((*all)[2].second), "three");
  EXPECT_EQ((*all)[2].first, KeyOf(3));
  struct stat st;
  ASSERT_EQ(fstat((*all)[0].second.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0U);
}

TEST_F(FdKeeperTest, HoldsPathOnlyDescriptorsOfDirectoriesAndLinks) {
  const std::string sub = dir_ + "/sub";
  ASSERT_EQ(mkdir(sub.c_str(), 0700), 0);
  {
    auto keeper = Reach();
    const ScopedFd fd(open(sub.c_str(), O_PATH | O_CLOEXEC));
    EXPECT_TRUE(keeper->Put(KeyOf(1), fd.get()));
    ASSERT_EQ(rmdir(sub.c_str()), 0);
  }
  auto all = Reach()->All();
  ASSERT_TRUE(all.ok() && all->size() == 1);
  struct stat st;
  ASSERT_EQ(fstat((*all)[0].second.get(), &st), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_EQ(st.st_nlink, 0U);
}

TEST_F(FdKeeperTest, PutReplacesAndDropCloses) {
  auto keeper = Reach();
  ScopedFd ends[2];
  int raw[2];
  ASSERT_EQ(pipe2(raw, O_CLOEXEC), 0);
  ends[0].reset(raw[0]), ends[1].reset(raw[1]);
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("old").get()));
  EXPECT_TRUE(keeper->Put(KeyOf(1), ends[1].get()));
  EXPECT_TRUE(keeper->Drop(KeyOf(2)));  // was never there
  EXPECT_EQ(keeper->All()->size(), 1U);
  ends[1].reset();
  pollfd p{ends[0].get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 0);  // the keeper has the writing end
  EXPECT_TRUE(keeper->Drop(KeyOf(1)));
  EXPECT_EQ(poll(&p, 1, 60000), 1);
  EXPECT_EQ(p.revents, POLLHUP);
  EXPECT_EQ(keeper->All()->size(), 0U);
}

TEST_F(FdKeeperTest, GarbageClosesItsConnectionAndNothingElse) {
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("kept").get()));
  Packed wrong_version = Pack({Op::kDrop, 0, KeyOf(1)});
  wrong_version[4] = std::byte{9};
  const Packed put_without_descriptor = Pack({Op::kPut, 0, KeyOf(1)});
  const Packed drop_with_count = Pack({Op::kDrop, 5, KeyOf(1)});
  for (const std::string& text :
       {std::string("x"), std::string(80, 'x'), std::string(5000, 'x'),
        std::string(reinterpret_cast<const char*>(wrong_version.data()), wrong_version.size()),
        std::string(reinterpret_cast<const char*>(put_without_descriptor.data()), put_without_descriptor.size()),
        std::string(reinterpret_cast<const char*>(drop_with_count.data()), drop_with_count.size())}) {
    const ScopedFd raw = RawConnection();
    ASSERT_EQ(send(raw.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(IsClosed(raw));
  }
  const ScopedFd raw = RawConnection();
  EXPECT_EQ(Send(raw.get(), {Op::kDrop, 0, KeyOf(1)}, raw.get()), 0);  // with a descriptor, which it has none of
  EXPECT_TRUE(IsClosed(raw));
  auto all = keeper->All();
  ASSERT_TRUE(all.ok() && all->size() == 1);
  EXPECT_EQ(TextOf((*all)[0].second), "kept");
}

TEST_F(FdKeeperTest, OneWhoDoesNotReadIsNotWaitedFor) {
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("kept").get()));
  const ScopedFd raw = RawConnection();
  // Its answers fill the socket; then the keeper closes it instead of waiting.
  const timeval timeout{1, 0};
  setsockopt(raw.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  for (int i = 0; i < 100000 && Send(raw.get(), {Op::kNext, 0, {}}) == 0; ++i) {
  }
  auto all = keeper->All();
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->size(), 1U);
}

TEST_F(FdKeeperTest, WhatWasSentLastBeforeADeathIsNotMissed) {
  for (int round = 0; round < 20; ++round) {
    auto dying = Reach();
    for (uint8_t i = 0; i < 100; ++i) ASSERT_TRUE(dying->Put(KeyOf(i + 1), Nameless("x").get()));
    dying.reset();
    auto next = Reach();
    auto all = next->All();
    ASSERT_TRUE(all.ok());
    ASSERT_EQ(all->size(), 100U);
    for (uint8_t i = 0; i < 100; ++i) ASSERT_TRUE(next->Drop(KeyOf(i + 1)));
  }
}

TEST_F(FdKeeperTest, AKilledKeeperIsSeenAndReplaced) {
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("x").get()));
  const auto pids = Pids();
  ASSERT_EQ(pids.size(), 1U);
  kill(pids[0], SIGKILL);
  EXPECT_TRUE(IsClosed(ScopedFd(dup(keeper->socket()))));
  EXPECT_FALSE(keeper->Put(KeyOf(2), keeper->socket()));
  auto next = Reach();
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->All()->size(), 0U);
  EXPECT_TRUE(next->Put(KeyOf(1), Nameless("again").get()));
  EXPECT_EQ(next->All()->size(), 1U);
}

TEST_F(FdKeeperTest, EndsWhenItHoldsNothingAndNobodyIsThere) {
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("x").get()));
  EXPECT_TRUE(keeper->Drop(KeyOf(1)));
  EXPECT_EQ(Pids().size(), 1U);
  keeper.reset();
  EXPECT_TRUE(Until([&] { return Pids().empty(); }));
}

TEST_F(FdKeeperTest, EndsWhenNobodyComesBack) {
  options_.patience = seconds(1);
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("x").get()));
  const auto left = std::chrono::steady_clock::now();
  keeper.reset();
  EXPECT_TRUE(Until([&] { return Pids().empty(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - left, seconds(1));
}

TEST_F(FdKeeperTest, AStoppedKeeperIsGivenUpAndEndsWhenItRunsAgain) {
  auto keeper = Reach();
  EXPECT_TRUE(keeper->Put(KeyOf(1), Nameless("x").get()));
  const auto pids = Pids();
  ASSERT_EQ(pids.size(), 1U);
  kill(pids[0], SIGSTOP);
  auto next = Reach();  // once it has not answered for a while
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->All()->size(), 0U);
  keeper.reset();
  kill(pids[0], SIGCONT);
  EXPECT_TRUE(Until([&] { return Pids() != pids && Pids().size() == 1; }));
  EXPECT_TRUE(next->Put(KeyOf(1), Nameless("x").get()));
}

TEST_F(FdKeeperTest, ItsDirectoryIsForItsOwnerOnly) {
  auto keeper = Reach();
  struct stat st;
  ASSERT_EQ(stat((dir_ + "/fdkeeper").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700U);
}

TEST_F(FdKeeperTest, AMissingProgramIsAnErrorThatNamesIt) {
  options_.program = dir_ + "/none";
  const auto keeper = FdKeeper::Reach(options_);
  ASSERT_FALSE(keeper.ok());
  EXPECT_NE(keeper.status().message().find(options_.program), std::string::npos);
}

}  // namespace
}  // namespace omfs::fdkeeper
