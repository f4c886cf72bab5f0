#include "omfs/client/object_cache.h"

#include <gtest/gtest.h>

namespace omfs {
namespace {

omfs_attr Attr(uint64_t size) {
  omfs_attr a{};
  a.size = size;
  return a;
}

Fh Handle(uint8_t n) {
  Fh fh;
  fh.raw.len = 8;
  fh.raw.mac[0] = n;
  return fh;
}

TEST(ObjectCache, AFactLivesUntilItsRecall) {
  ObjectCache cache({});
  cache.PutAttributes(Attr(7), {1, 10});
  ASSERT_TRUE(cache.Attributes(1));
  cache.Kill(OMFS_CAP_F, {1, 11});
  EXPECT_FALSE(cache.Attributes(1));
}

TEST(ObjectCache, ALateReplyDoesNotBringBackWhatWasRecalled) {
  ObjectCache cache({});
  cache.Kill(OMFS_CAP_A, {1, 11});
  cache.PutAttributes(Attr(7), {1, 10});
  EXPECT_FALSE(cache.Attributes(1));
  EXPECT_FALSE(cache.AttributesAlive({1, 10}));
  cache.PutAttributes(Attr(8), {1, 11});  // the reply to the change itself
  EXPECT_TRUE(cache.Attributes(1));
}

TEST(ObjectCache, AnOlderFactDoesNotReplaceANewerOne) {
  ObjectCache cache({});
  cache.PutAttributes(Attr(8), {1, 12});
  cache.PutAttributes(Attr(7), {1, 10});
  EXPECT_EQ(cache.Attributes(1)->size, 8u);
}

TEST(ObjectCache, AnotherGenerationStartsFromNothing) {
  ObjectCache cache({});
  cache.PutAttributes(Attr(7), {1, 100});
  cache.Kill(OMFS_CAP_A | OMFS_CAP_L | OMFS_CAP_F, {1, 200});
  cache.PutAttributes(Attr(8), {2, 5});
  EXPECT_TRUE(cache.Attributes(2));
  EXPECT_FALSE(cache.Attributes(1));
  cache.PutAttributes(Attr(9), {1, 300});
  EXPECT_EQ(cache.Attributes(2)->size, 8u) << "facts of old generations are ignored";
}

TEST(ObjectCache, NamesDieOneByOneAndAllTogether) {
  ObjectCache cache({});
  cache.PutName("x", Handle(1), {1, 10});
  cache.PutName("y", std::nullopt, {1, 10});
  ASSERT_TRUE(cache.Name("y", 1));
  EXPECT_FALSE(cache.Name("y", 1)->has_value()) << "known to be missing";
  EXPECT_FALSE(cache.Name("z", 1)) << "not known";
  cache.KillName("x", {1, 11});
  EXPECT_FALSE(cache.Name("x", 1));
  EXPECT_TRUE(cache.Name("y", 1));
  cache.PutName("x", Handle(1), {1, 10});
  EXPECT_FALSE(cache.Name("x", 1)) << "a late reply";
  EXPECT_FALSE(cache.ListingAlive({1, 10}));
  EXPECT_TRUE(cache.NameAlive("y", {1, 10}));
  cache.Kill(OMFS_CAP_L, {1, 12});
  EXPECT_FALSE(cache.Name("y", 1));
}

TEST(ObjectCache, ManyDeadNamesAreRememberedAsAll) {
  ObjectCache cache({});
  for (int i = 0; i < 1000; ++i)
    cache.KillName(std::to_string(i), {1, 100 + static_cast<uint64_t>(i)});
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(cache.NameAlive(std::to_string(i), {1, 99 + static_cast<uint64_t>(i)})) << i;
  }
}

TEST(ObjectCache, AnObjectKnownAnewKeepsItsFloor) {
  ObjectCache first({});
  first.PutAttributes(Attr(7), {1, 10});
  first.Kill(OMFS_CAP_A, {1, 20});
  ObjectCache again(first.Floor());
  EXPECT_FALSE(again.AttributesAlive({1, 19}));
  again.PutAttributes(Attr(7), {1, 19});
  EXPECT_FALSE(again.Attributes(1));
  again.PutAttributes(Attr(7), {1, 21});
  EXPECT_TRUE(again.Attributes(1));
}

}  // namespace
}  // namespace omfs
