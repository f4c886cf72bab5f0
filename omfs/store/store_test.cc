#include "omfs/store/store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "omfs/base/status.h"

namespace omfs {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/omfs-store-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::shared_ptr<Store> Open() {
    auto s = Store::Open(dir_);
    EXPECT_TRUE(s.ok()) << s.status();
    return s.ok() ? *s : nullptr;
  }
  std::string dir_;
};

TEST_F(StoreTest, SecretStaysAndEpochRisesWithEachOpen) {
  std::array<uint8_t, 16> secret;
  {
    auto s = Open();
    secret = s->handle_secret();
    EXPECT_EQ(s->epoch(), 1U);
    EXPECT_EQ(s->NewSession()->value, 1U);
    EXPECT_EQ(s->NewSession()->value, 2U);
  }
  auto s = Open();
  EXPECT_EQ(s->handle_secret(), secret);
  EXPECT_NE(secret, (std::array<uint8_t, 16>{}));
  EXPECT_EQ(s->epoch(), 2U);
  EXPECT_EQ(s->NewSession()->value, 3U);
}

TEST_F(StoreTest, ClientsAndSlotsSurviveAndAreForgottenTogether) {
  ClientRecord c;
  c.client_id[0] = 7;
  c.boot = 99;
  c.node = NodeId(3);
  c.session = SessionId{12};
  SlotRecord intent;
  intent.sequence = 5;
  intent.op = 24;
  intent.digest = 0xabc;
  SlotRecord reply = intent;
  reply.state = SlotRecord::State::kDone;
  reply.meta = {std::byte{1}, std::byte{2}};
  {
    auto s = Open();
    ASSERT_TRUE(s->PutClient(c).ok());
    ASSERT_TRUE(s->PutSlot(c.session, 0, intent).ok());
    ASSERT_TRUE(s->PutSlot(c.session, 300, intent).ok());
    ASSERT_TRUE(s->PutSlot(c.session, 300, reply).ok());
    ASSERT_TRUE(s->PutSlot(SessionId{13}, 1, intent).ok());
    EXPECT_EQ(s->Slots(SessionId{13})->size(), 1U);
  }
  auto s = Open();
  const auto found = *s->FindClient(c.client_id);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->boot, 99U);
  EXPECT_EQ(found->node, NodeId(3));
  const auto slots = *s->Slots(c.session);
  ASSERT_EQ(slots.size(), 2U);
  EXPECT_EQ(slots[0].first, 0);
  EXPECT_EQ(slots[0].second.state, SlotRecord::State::kIntent);
  EXPECT_EQ(slots[1].first, 300);
  EXPECT_EQ(slots[1].second.state, SlotRecord::State::kDone);
  EXPECT_EQ(slots[1].second.meta, reply.meta);
  EXPECT_EQ(slots[1].second.digest, 0xabcU);

  ASSERT_TRUE(s->ForgetClient(c).ok());
  EXPECT_FALSE(s->FindClient(c.client_id)->has_value());
  EXPECT_TRUE(s->Slots(c.session)->empty());
  EXPECT_TRUE(s->Clients()->empty());
  EXPECT_TRUE(s->Slots(SessionId{13})->empty()) << "no client has that session";
}

TEST_F(StoreTest, SaysThatAnotherHasIt) {
  auto first = Open();
  auto second = Store::Open(dir_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(Text(second.status()), "state directory " + dir_ + " is in use by another omfsd");
}

TEST_F(StoreTest, SaysThatTheDirectoryCannotBeUsed) {
  auto s = Store::Open("/proc/no-such-place");
  ASSERT_FALSE(s.ok());
  EXPECT_NE(Text(s.status()).find("/proc/no-such-place"), std::string::npos);
}

TEST_F(StoreTest, FloorsOfTimeStampsSurviveAndAreCounted) {
  omfs_fh a{}, b{};
  a.len = b.len = 1;
  a.data[0] = 1;
  b.data[0] = 2;
  {
    auto store = *Store::Open(dir_);
    EXPECT_EQ(*store->Floor(a), 0U);
    EXPECT_TRUE(*store->PutFloor(a, 100));
    EXPECT_FALSE(*store->PutFloor(a, 200));
    EXPECT_TRUE(*store->PutFloor(b, 300));
    ASSERT_TRUE(store->PutClockBound(12345).ok());
  }
  auto store = *Store::Open(dir_);
  EXPECT_EQ(*store->Floor(a), 200U);
  EXPECT_EQ(*store->CountFloors(), 2U);
  EXPECT_EQ(*store->ClockBound(), 12345U);
  EXPECT_TRUE(*store->DropFloor(a));
  EXPECT_FALSE(*store->DropFloor(a));
  EXPECT_EQ(*store->CountFloors(), 1U);
}

}  // namespace
}  // namespace omfs
