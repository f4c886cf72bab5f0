#include "omfs-fuse/data_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace omfs {
namespace {

TEST(DataGate, WithoutReadsPagesAreEmptiedOnce) {
  DataGate gate;
  int emptied = 0;
  gate.Recall([&] { ++emptied; });
  EXPECT_EQ(emptied, 1);
}

TEST(DataGate, AReadUnderWayIsWaitedForAndItsPageEmptied) {
  DataGate gate;
  auto read = std::make_unique<DataGate::ReadScope>(&gate);
  std::atomic<int> emptied{0};
  std::thread recall([&] { gate.Recall([&] { ++emptied; }); });
  while (emptied == 0) std::this_thread::yield();
  read.reset();
  recall.join();
  EXPECT_EQ(emptied, 2) << "the read may have filled its page behind the first time";
}

TEST(DataGate, AReadThatTheEmptyingWaitsForIsLetThrough) {
  DataGate gate;
  std::atomic<bool> entered{false};
  std::thread reader;
  int emptied = 0;
  gate.Recall([&] {
    if (++emptied > 1) return;
    // The kernel's page is locked by a read that comes now.
    reader = std::thread([&] {
      const DataGate::ReadScope read(&gate);
      entered = true;
    });
    while (!entered) std::this_thread::yield();
  });
  reader.join();
  EXPECT_GE(emptied, 2);
}

TEST(DataGate, ReadsInTheWayOfNobodyComeAfterTheRecall) {
  DataGate gate;
  std::atomic<bool> recalled{false}, read{false};
  std::thread reader;
  gate.Recall([&] {
    reader = std::thread([&] {
      const DataGate::ReadScope scope(&gate);
      read = true;
    });
  });
  recalled = true;
  reader.join();
  EXPECT_TRUE(read);
}

}  // namespace
}  // namespace omfs
