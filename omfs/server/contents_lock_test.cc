#include "omfs/server/contents_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace omfs {
namespace {

omfs_fh File(uint8_t number) {
  omfs_fh fh{};
  fh.len = 1;
  fh.mac[0] = number;
  fh.data[0] = number;
  return fh;
}

TEST(ContentsLock, ReadsShareAndChangesExclude) {
  ContentsLock locks;
  const auto a = locks.Take(File(1), ContentsLock::Read(0, 100), false);
  const auto b = locks.Take(File(1), ContentsLock::Read(50, 100), false);
  EXPECT_TRUE(a && b);
  EXPECT_FALSE(locks.Take(File(1), ContentsLock::Change(99, 1), false));
  EXPECT_FALSE(locks.Take(File(1), ContentsLock::Change(149, 10), false));
  const auto beside = locks.Take(File(1), ContentsLock::Change(150, 10), false);
  EXPECT_TRUE(beside);
  EXPECT_FALSE(locks.Take(File(1), ContentsLock::Read(155, 1), false));
  EXPECT_FALSE(locks.Take(File(1), ContentsLock::Change(159, 1), false));
  EXPECT_TRUE(locks.Take(File(2), ContentsLock::ChangeFrom(0), false)) << "another file";
}

TEST(ContentsLock, LettingGoFrees) {
  ContentsLock locks;
  {
    auto held = locks.Take(File(1), ContentsLock::ChangeFrom(10), false);
    auto moved = std::move(held);
    EXPECT_FALSE(locks.Take(File(1), ContentsLock::Read(uint64_t{1} << 40, 1), false));
    EXPECT_TRUE(locks.Take(File(1), ContentsLock::Read(0, 10), false));
  }
  EXPECT_TRUE(locks.Take(File(1), ContentsLock::Read(0, ContentsLock::kEnd), false));
}

TEST(ContentsLock, ARangeThatWouldWrapGoesToTheEnd) {
  ContentsLock locks;
  const auto held = locks.Take(File(1), ContentsLock::Change(ContentsLock::kEnd - 5, 100), false);
  ASSERT_TRUE(held);
  EXPECT_FALSE(locks.Take(File(1), ContentsLock::Read(ContentsLock::kEnd - 1, 1), false));
  EXPECT_TRUE(locks.Take(File(1), ContentsLock::Read(0, 100), false));
}

// A change that waits for a read is not overtaken by reads that come after it.
TEST(ContentsLock, WhoWaitsIsNotOvertaken) {
  ContentsLock locks;
  auto first = locks.Take(File(1), ContentsLock::Read(0, 10), false);
  std::atomic<bool> changed{false};
  std::thread changer([&] {
    const auto held = locks.Take(File(1), ContentsLock::Change(0, 10), true);
    changed = true;
  });
  // Until the changer stands in the queue reads are given.
  while (locks.Take(File(1), ContentsLock::Read(0, 10), false)) std::this_thread::yield();
  EXPECT_FALSE(changed);
  first.reset();
  changer.join();
  EXPECT_TRUE(changed);
  EXPECT_TRUE(locks.Take(File(1), ContentsLock::Read(0, 10), false));
}

// Many threads, two counters that only change together: nobody may see one without the other.
TEST(ContentsLock, NobodySeesHalfAChange) {
  ContentsLock locks;
  uint64_t one = 0, two = 0;  // guarded by the lock
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20'000; ++i) {
        if (t % 2 == 0) {
          const auto held = locks.Take(File(1), ContentsLock::Change(100, 8), true);
          ++one;
          ++two;
        } else {
          const auto held = locks.Take(File(1), ContentsLock::Read(96, 8), true);
          if (one != two) ++torn;
        }
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(one, 40'000U);
}

}  // namespace
}  // namespace omfs
