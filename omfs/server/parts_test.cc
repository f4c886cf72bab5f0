// The server's parts that need no server.
#include <gtest/gtest.h>

#include <numeric>

#include "omfs/server/hlc.h"
#include "omfs/server/siphash.h"

namespace omfs {
namespace {

TEST(SipHash, MatchesTheAuthorsVectors) {
  std::array<uint8_t, 16> key;
  std::iota(key.begin(), key.end(), uint8_t{0});
  std::array<std::byte, 15> in;
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::byte>(i);
  EXPECT_EQ(SipHash(key, in), 0xa129ca6149be45e5U);  // Aumasson, Bernstein, appendix A
  EXPECT_EQ(SipHash(key, std::span(in).first(0)), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(SipHash(key, std::span(in).first(8)), 0x93f5f5799a932462U);
}

TEST(HybridClock, NeverGoesBackAndFollowsWhatItHasSeen) {
  HybridClock clock;
  uint64_t last = clock.Next();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = clock.Next();
    EXPECT_GT(now, last);
    last = now;
  }
  const uint64_t hour = 3600ULL * 1'000'000'000U;
  EXPECT_TRUE(clock.Merge(last + hour));
  EXPECT_TRUE(clock.Ahead());
  EXPECT_GT(clock.Next(), last + hour);
  EXPECT_TRUE(clock.Merge(1));
  EXPECT_GT(clock.Next(), last + hour);
}

TEST(HybridClock, DoesNotBelieveEverything) {
  HybridClock clock;
  const uint64_t now = clock.Physical();
  EXPECT_FALSE(clock.Merge(now + 2 * HybridClock::kMostAhead));
  clock.Shown(now + 1'000'000'000U * 60);  // a file's time in the future, set by somebody
  EXPECT_LE(clock.Seen(), now);
  EXPECT_FALSE(clock.Ahead());
  HybridClock behind(-3600'000'000'000);
  EXPECT_TRUE(behind.Ahead());
  EXPECT_LT(behind.Next(), now);
}

}  // namespace
}  // namespace omfs
