// Time stamps against a client that has seen the future.
#include "omfs/server/stamps.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "omfs/server/testing/server_fixture.h"

namespace omfs::testing {
namespace {

constexpr uint64_t kHour = 3600ULL * 1'000'000'000;

uint64_t Ns(const omfs_time& t) { return Le64(t.sec) * 1'000'000'000 + Le32(t.nsec); }

class StampsTest : public ServerTest {
 protected:
  omfs_attr Attributes(RawClient& c, const omfs_fh& fh) {
    omfs_getattr_req r{};
    r.fh = fh;
    const RawReply reply = c.Call(OMFS_OP_GETATTR, r);
    EXPECT_EQ(reply.status(), 0U);
    return reply.As<omfs_attr_rep>().attr;
  }
  static uint64_t WallNow() { return HybridClock().Physical(); }
};

TEST_F(StampsTest, NoStampIsBelowWhatTheClientHasSeen) {
  auto c = NewClient();
  WriteFile("f", "text");
  const omfs_fh f = c->Lookup(c->root, "f").fh;
  const uint64_t seen = c->hlc = WallNow() + kHour;
  const auto made = c->Create(c->root, "made", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  EXPECT_GT(Ns(made.attr.mtime), seen);
  EXPECT_GT(Ns(made.attr.ctime), seen);
  EXPECT_GT(Ns(made.attr.atime), seen);
  const omfs_attr dir = Attributes(*c, c->root);
  EXPECT_GT(Ns(dir.mtime), seen);
  EXPECT_GT(Ns(dir.ctime), seen);

  const uint64_t open = Le64(c->Open(f, O_RDWR).As<omfs_open_rep>().open_id);
  ASSERT_EQ(c->Write(open, 0, "more").status(), 0U);
  const omfs_attr written = Attributes(*c, f);
  EXPECT_GT(Ns(written.mtime), Ns(made.attr.mtime));
  EXPECT_GT(Ns(written.ctime), Ns(made.attr.ctime));

  omfs_setattr_req chmod{};
  chmod.fh = f;
  chmod.valid = Le32(OMFS_SET_MODE);
  chmod.mode = Le32(0600);
  const auto changed = c->Call(OMFS_OP_SETATTR, chmod).As<omfs_attr_rep>().attr;
  EXPECT_EQ(Ns(changed.mtime), Ns(written.mtime));
  EXPECT_GT(Ns(changed.ctime), Ns(written.ctime));
  const RawReply reply = c->Write(open, 0, "x");
  EXPECT_GE(reply.header.hlc, Ns(Attributes(*c, f).mtime)) << "the next owner must hear of it";
}

TEST_F(StampsTest, TheyDoNotGoBackAfterARestart) {
  auto c = NewClient();
  c->hlc = WallNow() + kHour;
  const auto made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  ASSERT_EQ(c->Write(Le64(made.open_id), 0, "one").status(), 0U);
  const omfs_attr before = Attributes(*c, made.fh);
  RestartServer();
  auto later = NewClient(7);  // has seen nothing
  const omfs_attr after = Attributes(*later, made.fh);
  EXPECT_EQ(Ns(after.mtime), Ns(before.mtime));
  EXPECT_EQ(Ns(after.ctime), Ns(before.ctime));
  const uint64_t open = Le64(later->Open(made.fh, O_RDWR).As<omfs_open_rep>().open_id);
  ASSERT_EQ(later->Write(open, 0, "two").status(), 0U);
  EXPECT_GT(Ns(Attributes(*later, made.fh).mtime), Ns(before.mtime));
}

TEST_F(StampsTest, UtimesSetsWhatItIsTold) {
  auto c = NewClient();
  WriteFile("f", "text");
  const omfs_fh f = c->Lookup(c->root, "f").fh;
  c->hlc = WallNow() + kHour;
  omfs_setattr_req r{};
  r.fh = f;
  r.valid = Le32(OMFS_SET_MTIME | OMFS_SET_ATIME_NOW);
  r.mtime = {Le64(1000), Le32(5), 0};
  const omfs_attr set = c->Call(OMFS_OP_SETATTR, r).As<omfs_attr_rep>().attr;
  EXPECT_EQ(Ns(set.mtime), 1000ULL * 1'000'000'000 + 5);
  EXPECT_GT(Ns(set.atime), c->hlc);
  EXPECT_GT(Ns(set.ctime), c->hlc);
}

TEST_F(StampsTest, AClockThatIsDaysAheadIsNotFollowed) {
  auto c = NewClient();
  TakeWarnings();
  c->hlc = WallNow() + 100 * 24 * kHour;
  const auto made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  EXPECT_LT(Ns(made.attr.mtime), WallNow() + kHour);
  Attributes(*c, made.fh);
  const auto warnings = WaitForWarnings(1);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("more than a day ahead"), std::string::npos) << warnings[0];
}

// While clocks agree the kernel's stamps stand, and nothing is written into the store.
TEST_F(StampsTest, WithoutALeadNothingIsCorrected) {
  auto c = NewClient();
  const auto made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  ASSERT_EQ(c->Write(Le64(made.open_id), 0, "one").status(), 0U);
  struct stat st {};
  ASSERT_EQ(stat(Path("f").c_str(), &st), 0);
  const omfs_attr attr = Attributes(*c, made.fh);
  EXPECT_EQ(Ns(attr.mtime), st.st_mtim.tv_sec * 1'000'000'000ULL + st.st_mtim.tv_nsec);
  EXPECT_EQ(Ns(attr.ctime), st.st_ctim.tv_sec * 1'000'000'000ULL + st.st_ctim.tv_nsec);
  StopServer();
  EXPECT_EQ(*(*Store::Open(config_.state_dir))->CountFloors(), 0U);
  StartServer();
}

}  // namespace
}  // namespace omfs::testing
