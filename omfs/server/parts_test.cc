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
  uint64_t last = clock.Now();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = clock.Now();
    EXPECT_GT(now, last);
    last = now;
  }
  const uint64_t hour = 3600ULL * 1'000'000'000U;
  clock.Merge(last + hour);
  EXPECT_GT(clock.Now(), last + hour);
  clock.Merge(1);
  EXPECT_GT(clock.Now(), last + hour);
}

}  // namespace
}  // namespace omfs
