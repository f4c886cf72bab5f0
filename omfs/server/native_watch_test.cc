// The watch itself: which rung it is, its limits, and what it costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "omfs/server/testing/native_watch_fixture.h"

namespace omfs {
namespace {

using testing::UnorderedElementsAre;

TEST_F(Watch, SaysWhichRungItIs) {
  Start();
  EXPECT_THAT(watch_->Describe(), testing::StartsWith("fanotify: "));
}

// For good, for this process.
bool DropAdmin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  sets[0].effective &= ~(1U << CAP_SYS_ADMIN);
  sets[0].permitted &= ~(1U << CAP_SYS_ADMIN);
  return syscall(SYS_capset, &header, sets) == 0;
}

TEST(WatchWithoutRights, IsNone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const int status = Natively([] {
    Recorder recorder;
    if (!ThreadIdentity::Prepare().ok()) return 1;
    auto e = Export::Open("/tmp", {1}, 1);
    if (!e.ok() || !DropAdmin()) return 2;
    auto watch = NativeWatch::Start(e->get(), &recorder, {});
    if (!watch.ok() || (*watch)->rung() != NativeWatch::Rung::kNone) return 3;
    if ((*watch)->Watch(*(*e)->root(), Guard::kWriters).ok()) return 4;
    return (*watch)->Describe().starts_with("none") ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
}

// ---- limits ----

TEST_F(Watch, SaysThatReportsWereLost) {
  std::ifstream limit_file("/proc/sys/fs/fanotify/max_queued_events");
  int limit = 0;
  ASSERT_TRUE(limit_file >> limit);
  if (limit > 200'000) GTEST_SKIP() << "the queue is too long here";
  std::mutex blocked;
  recorder_.on_data = [&] { std::lock_guard lock(blocked); };
  Start();
  ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  WatchObject("d");
  MakeFile("f");
  WatchObject("f");
  {
    std::lock_guard lock(blocked);
    ASSERT_EQ(truncate(Path("f").c_str(), 1), 0);  // own: not reported
    EXPECT_EQ(Natively([&] { return truncate(Path("f").c_str(), 2); }), 0);
    EXPECT_EQ(Natively([&] {
                // Names differ, or the kernel would merge the events. The feed takes one bufferful,
                // some hundreds, before it is stopped.
                std::string name = Path("d/0");
                if (mkfifo(name.c_str(), 0600) != 0) return 1;
                for (int i = 1; i < limit + 2000; ++i) {
                  const std::string next = Path("d/" + std::to_string(i));
                  if (rename(name.c_str(), next.c_str()) != 0) return 1;
                  name = next;
                }
                return 0;
              }),
              0);
  }
  recorder_.Await("overflow");
  EXPECT_THAT(Reports(), testing::Contains("entry d/0"));
}

TEST_F(Watch, HoldsThousandsOfObjectsAndNoDescriptors) {
  constexpr int kFiles = 3000;
  Start();
  std::vector<omfs_fh> handles;
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = std::to_string(i);
    MakeFile(name);
    handles.push_back(Object(name)->handle());
    WatchObject(name);
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(Marks(), 2U * (kFiles + 1));
  EXPECT_EQ(Natively([&] { return chmod(Path("2711").c_str(), 0600); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes 2711"));
  for (const omfs_fh& fh : handles) watch_->Unwatch(fh);
  EXPECT_EQ(Marks(), 2U);
}

TEST_F(Watch, OfARemovedFileLetsItsSpaceGo) {
  Start();
  MakeFile("f");
  WatchObject("f");
  EXPECT_EQ(Marks(), 4U);
  EXPECT_EQ(Natively([&] { return unlink(Path("f").c_str()); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes f", "removed f"));
  EXPECT_EQ(Marks(), 2U);
}

TEST_F(Watch, CanBeBegunAndEndedWhileNativesWork) {
  constexpr int kRounds = 400;
  recorder_.on_opening = [](NativeUse, Done done) { std::thread(std::move(done)).detach(); };
  Start();
  const std::vector<std::string> names = {"a", "b", "c"};
  for (const std::string& n : names) MakeFile(n);
  NativeProcess native([&] {
    for (int i = 0; i < kRounds; ++i) {
      for (const std::string& n : names) {
        const ScopedFd fd(open(Path(n).c_str(), O_CREAT | O_RDWR | O_NONBLOCK, 0600));
        if (!fd || write(fd.get(), "x", 1) != 1) return errno;
        if (i % 7 == 0) unlink(Path(n).c_str());
      }
    }
    return 0;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      ThreadIdentity::Enter();
      for (int i = 0; i < kRounds || native.Running(); ++i) {
        const std::string& name = names[static_cast<size_t>(i + t) % names.size()];
        const ScopedFd fd(open(Path(name).c_str(), O_PATH | O_CLOEXEC));
        if (!fd) continue;
        const InodeRef object = *export_->Adopt(fd.get());
        // NotFound: removed meanwhile.
        (void)watch_->Watch(*object, i % 2 == 0 ? Guard::kOpeners : Guard::kWriters);
        watch_->Use(*object);
        if (i % 3 != t) watch_->Unwatch(object->handle());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(native.Wait(), 0);
  for (const std::string& n : names) {
    const ScopedFd fd(open(Path(n).c_str(), O_PATH | O_CLOEXEC));
    if (fd) watch_->Unwatch((*export_->Adopt(fd.get()))->handle());
  }
  for (const std::string& n : names) unlink(Path(n).c_str());
  export_->Sweep();
}

// ---- costs: printed, not judged ----

class WatchCosts : public Watch {
 protected:
  // Microseconds, the median of many.
  static double Median(int times, const std::function<void(int)>& f) {
    std::vector<double> all;
    for (int i = 0; i < times; ++i) {
      const auto start = std::chrono::steady_clock::now();
      f(i);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      all.push_back(took.count());
    }
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }
  static void Print(const char* what, double value, const char* unit) {
    printf("%-60s %8.1f %s\n", what, value, unit);
  }
  void OpenOnce(int flags) { ScopedFd(open(Path("f").c_str(), flags | O_CLOEXEC)); }
  // The median as a native process measures it.
  double NativeMedian(int times, const std::function<void()>& f) {
    int result[2];
    if (pipe(result) != 0) return 0;
    NativeProcess p([&] {
      const double median = Median(times, [&](int) { f(); });
      return Do(write(result[1], &median, sizeof median) == sizeof median);
    });
    double median = 0;
    if (read(result[0], &median, sizeof median) != sizeof median) median = 0;
    close(result[0]);
    close(result[1]);
    return median;
  }
};

TEST_F(WatchCosts, OfMarksAndOpens) {
  constexpr int kFiles = 2000;
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  std::vector<InodeRef> files;
  for (int i = 0; i < kFiles; ++i) {
    MakeFile(std::to_string(i));
    files.push_back(Object(std::to_string(i)));
  }
  Print(
      "Watch of a file",
      Median(kFiles,
             [&](int i) { (void)watch_->Watch(*files[static_cast<size_t>(i)], Guard::kWriters); }),
      "us");
  Print(
      "Watch of a watched file",
      Median(kFiles,
             [&](int i) { (void)watch_->Watch(*files[static_cast<size_t>(i)], Guard::kWriters); }),
      "us");
  Print("Use, without a native opener",
        Median(kFiles, [&](int i) { watch_->Use(*files[static_cast<size_t>(i)]); }), "us");
  Print("Unwatch",
        Median(kFiles, [&](int i) { watch_->Unwatch(files[static_cast<size_t>(i)]->handle()); }),
        "us");

  MakeFile("f");
  const auto own = [&](int) { OpenOnce(O_RDONLY); };
  Print("own open and close, not watched", Median(kFiles, own), "us");
  Print("native open and close, not watched", NativeMedian(kFiles, [&] { OpenOnce(O_RDONLY); }),
        "us");
  WatchObject("f", Guard::kWriters);
  Print("own open and close, watched", Median(kFiles, own), "us");
  Print("native open for reading, watched for writers",
        NativeMedian(kFiles, [&] { OpenOnce(O_RDONLY); }), "us");
  Print("native open for writing, watched, nothing to recall",
        NativeMedian(kFiles, [&] { OpenOnce(O_WRONLY); }), "us");
}

TEST_F(WatchCosts, OfOwnBursts) {
  constexpr int kFiles = 1000;
  Start();
  const auto create = [&](const std::string& prefix) {
    return Median(kFiles, [&](int i) {
      ScopedFd(open(Path("d/" + prefix + std::to_string(i)).c_str(), O_CREAT | O_RDWR | O_CLOEXEC,
                    0600));
    });
  };
  ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  Print("own creation, directory not watched", create("a"), "us");
  WatchObject("d");
  Print("own creation, directory watched", create("b"), "us");
  EXPECT_THAT(Reports(), testing::IsEmpty());
}

TEST_F(WatchCosts, OfTheLag) {
  Start();
  MakeFile("f");
  WatchObject("f");
  int flip = 0;
  const double lag = Median(200, [&](int) {
    Natively([&] { return chmod(Path("f").c_str(), 0600 | (++flip & 7)); });
    recorder_.Await("attributes f");
    recorder_.Take();
  });
  Print("from before fork, chmod and exit to the report", lag, "us");
}

}  // namespace
}  // namespace omfs
