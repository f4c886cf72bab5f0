// Native processes that open watched files wait, and are known for what they do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>

#include "omfs/server/testing/native_watch_fixture.h"

namespace omfs {
namespace {

using testing::UnorderedElementsAre;

class WatchOpeners : public Watch {
 protected:
  void SetUp() override {
    Watch::SetUp();
    if (IsSkipped()) return;
    MakeFile("f", 0755);
  }
  // A native process that opens f, and ends with the errno.
  std::function<int()> Open(int flags) {
    return [path = Path("f"), flags] { return open(path.c_str(), flags) < 0 ? errno : 0; };
  }
};

TEST_F(WatchOpeners, ForWritingWait) {
  Start();
  WatchObject("f", Guard::kWriters);
  for (const int flags :
       {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND}) {
    NativeProcess p(Open(flags));
    Recorder::Opener opener = recorder_.NextOpener();
    EXPECT_EQ(opener.name, "f");
    EXPECT_EQ(opener.use, NativeUse::kWriting);
    EXPECT_TRUE(p.Running());
    EXPECT_EQ(Use("f"), NativeUse::kWriting);
    opener.done();
    EXPECT_EQ(p.Wait(), 0);
    EXPECT_EQ(Use("f"), NativeUse::kNone);
  }
}

TEST_F(WatchOpeners, ForReadingWaitOnlyIfAllDo) {
  Start();
  WatchObject("f", Guard::kWriters);
  EXPECT_EQ(Natively(Open(O_RDONLY)), 0);
  EXPECT_EQ(Natively(Open(O_RDONLY | O_TRUNC)), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
  WatchObject("f", Guard::kOpeners);
  NativeProcess p(Open(O_RDONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  EXPECT_TRUE(p.Running());
  opener.done();
  EXPECT_EQ(p.Wait(), 0);
}

TEST_F(WatchOpeners, ForExecutionWaitOnce) {
  std::filesystem::copy_file("/bin/true", Path("f"),
                             std::filesystem::copy_options::overwrite_existing);
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess p([path = Path("f")] { return execl(path.c_str(), "true", nullptr); });
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  opener.done();
  EXPECT_EQ(p.Wait(), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
}

TEST_F(WatchOpeners, WithoutAccessToTheContentsGoOn) {
  Start();
  WatchObject("f", Guard::kOpeners);
  EXPECT_EQ(Natively(Open(O_PATH)), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
}

TEST_F(WatchOpeners, CanBeKilled) {
  Start();
  WatchObject("f");
  NativeProcess p(Open(O_WRONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  p.Kill();
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  opener.done();
}

TEST_F(WatchOpeners, AreLetGoAfterAWhile) {
  Start({.patience = std::chrono::milliseconds(50)});
  WatchObject("f");
  NativeProcess first(Open(O_WRONLY));
  NativeProcess second(Open(O_WRONLY));
  EXPECT_EQ(first.Wait(), 0);
  EXPECT_EQ(second.Wait(), 0);
  recorder_.NextOpener().done();
  recorder_.NextOpener().done();
}

TEST_F(WatchOpeners, AreLetGoWhenTheWatchEnds) {
  Start();
  WatchObject("f");
  NativeProcess p(Open(O_WRONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  watch_.reset();
  EXPECT_EQ(p.Wait(), 0);
  opener.done();
}

// What the next test starts, as a program of its own, in an export that is there already.
class WatchDaemon : public Watch {
 protected:
  void TearDown() override { dir_.clear(); }
};

TEST_F(WatchDaemon, DISABLED_HasAnOpenerWait) {
  const char* dir = getenv("OMFS_TEST_EXPORT");
  const char* report = getenv("OMFS_TEST_REPORT");
  if (dir == nullptr || report == nullptr) GTEST_SKIP() << "started by another test only";
  std::filesystem::remove(dir_);
  dir_ = dir;
  export_ = std::move(*Export::Open(dir_, {1}, 1));
  Start();
  WatchObject("f");
  ASSERT_EQ(write(atoi(report), "w", 1), 1);
  recorder_.NextOpener();
  ASSERT_EQ(write(atoi(report), "o", 1), 1);
  pause();
}

TEST_F(WatchOpeners, AreLetGoWhenTheDaemonIsKilled) {
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  NativeProcess daemon([&] {
    setenv("OMFS_TEST_EXPORT", dir_.c_str(), 1);
    setenv("OMFS_TEST_REPORT", std::to_string(report[1]).c_str(), 1);
    return execl("/proc/self/exe", "daemon", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
                 "--gtest_filter=WatchDaemon.DISABLED_HasAnOpenerWait", nullptr);
  });
  close(report[1]);
  char c = 0;
  ASSERT_EQ(read(report[0], &c, 1), 1);
  NativeProcess p(Open(O_WRONLY));
  ASSERT_EQ(read(report[0], &c, 1), 1);
  EXPECT_TRUE(p.Running());
  daemon.Kill();
  EXPECT_EQ(p.Wait(), 0);
  close(report[0]);
}

// The listener may want a lock that a server thread holds over an open of a watched file.
TEST_F(WatchOpeners, OfTheDaemonNeverWaitForTheListener) {
  std::mutex server;
  std::atomic<int> openings{0};
  recorder_.on_opening = [&](NativeUse, Done done) {
    ++openings;
    std::lock_guard lock(server);
    done();
  };
  Start();
  WatchObject("f", Guard::kOpeners);
  for (int i = 0; i < 50; ++i) {
    std::unique_lock lock(server);
    NativeProcess p(Open(O_RDWR));
    while (openings.load() == i) std::this_thread::yield();
    // Now the listener waits for the lock.
    ScopedFd own(open(Path("f").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(own.valid());
    WatchObject("f", Guard::kOpeners);
    EXPECT_EQ(Use("f"), NativeUse::kWriting);
    lock.unlock();
    EXPECT_EQ(p.Wait(), 0);
  }
}

TEST_F(WatchOpeners, ByWhomTheyAreOvertakenMayCallBackFromAnyThread) {
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess reader(Open(O_RDONLY));
  Recorder::Opener first = recorder_.NextOpener();
  NativeProcess writer(Open(O_WRONLY));
  Recorder::Opener second = recorder_.NextOpener();
  EXPECT_EQ(first.use, NativeUse::kReading);
  EXPECT_EQ(second.use, NativeUse::kWriting);
  std::thread(second.done).join();
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_TRUE(reader.Running());
  std::thread(first.done).join();
  EXPECT_EQ(reader.Wait(), 0);
}

// ---- who has it open ----

TEST_F(WatchOpeners, FromBeforeTheWatchAreKnown) {
  Start();
  int begin[2];
  ASSERT_EQ(pipe(begin), 0);
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    ScopedFd before(open(Path("f").c_str(), flags | O_CLOEXEC));
    NativeProcess p([&] {
      char c;
      return Do(read(begin[0], &c, 1) == 1);
    });
    before.reset();  // the native process has it now
    WatchObject("f");
    EXPECT_EQ(Use("f"), flags == O_RDONLY ? NativeUse::kReading : NativeUse::kWriting);
    ASSERT_EQ(write(begin[1], "x", 1), 1);
    EXPECT_EQ(p.Wait(), 0);
    EXPECT_EQ(Use("f"), NativeUse::kNone);
    watch_->Unwatch(Object("f")->handle());
  }
  close(begin[0]);
  close(begin[1]);
}

TEST_F(WatchOpeners, WithASharedMappingAreWritersUntilItGoes) {
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  WatchObject("f");
  int step[2], go[2];
  ASSERT_EQ(pipe(step), 0);
  ASSERT_EQ(pipe(go), 0);
  NativeProcess p([&] {
    char c;
    const int fd = open(Path("f").c_str(), O_RDWR);
    void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || close(fd) != 0) return 1;
    if (write(step[1], "m", 1) != 1 || read(go[0], &c, 1) != 1) return 2;
    *static_cast<char*>(map) = 'M';
    munmap(map, 4096);
    return 0;
  });
  char c;
  ASSERT_EQ(read(step[0], &c, 1), 1);
  EXPECT_EQ(Use("f"), NativeUse::kWriting);
  EXPECT_THAT(Reports(), testing::IsEmpty());
  ASSERT_EQ(write(go[1], "g", 1), 1);
  EXPECT_EQ(p.Wait(), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  for (const int fd : {step[0], step[1], go[0], go[1]}) close(fd);
}

// A client writes through the daemon while somebody on the owner looks on.
TEST_F(WatchOpeners, AreToldFromTheDaemonItself) {
  Start();
  WatchObject("f", Guard::kOpeners);
  ScopedFd own(open(Path("f").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  NativeProcess reader(Open(O_RDONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  opener.done();
  EXPECT_EQ(reader.Wait(), 0);
  NativeProcess writer(Open(O_WRONLY));
  opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kWriting);
  opener.done();
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_EQ(Use("f"), NativeUse::kWriting);  // cannot be told as long as the daemon writes
  own.reset();
  EXPECT_EQ(Use("f"), NativeUse::kNone);
}

TEST_F(WatchOpeners, OfAnUnwatchedFileAreUnknown) {
  Start();
  EXPECT_EQ(Use("f"), NativeUse::kWriting);
  EXPECT_EQ(Natively(Open(O_RDWR)), 0);
}

// The leases that are taken to ask must not be met by anybody.
TEST_F(WatchOpeners, ThatDoNotBlockNeverFail) {
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess p([path = Path("f")] {
    for (int i = 0; i < 300; ++i) {
      const int fd = open(path.c_str(), (i % 2 == 0 ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
      if (fd < 0) return errno;
      close(fd);
    }
    return 0;
  });
  std::thread asker([&] {
    ThreadIdentity::Enter();
    while (p.Running()) Use("f");
  });
  while (p.Running()) {
    ScopedFd own(open(Path("f").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(own.valid()) << strerror(errno);
  }
  asker.join();
  EXPECT_EQ(p.Wait(), 0);
}

}  // namespace
}  // namespace omfs
