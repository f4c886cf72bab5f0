#include "omfs/server/cap_table.h"

#include <gtest/gtest.h>

#include "proto/omfs_wire.h"

namespace omfs {
namespace {

constexpr SessionId kA{1}, kB{2}, kC{3};
constexpr uint32_t kAttributes = OMFS_CAP_A | OMFS_CAP_L | OMFS_CAP_F;

omfs_fh Object(uint8_t n) {
  omfs_fh fh{};
  fh.len = 8;
  fh.mac[0] = n;
  return fh;
}

class CapTableTest : public ::testing::Test {
 protected:
  CapTableTest()
      : table_([this](const CapRecall& r) { sent_.push_back(r); },
               [this](const omfs_fh& fh) { idle_.push_back(fh); }) {
    for (const SessionId s : {kA, kB, kC}) table_.Reconnected(s);
  }

  bool Claim(CapTable::Ticket* ticket, SessionId session, std::vector<CapClaim> claims) {
    return table_.Claim(ticket, session, std::move(claims), [this] { ++resumed_; }) ==
           CapTable::Verdict::kGo;
  }
  bool Acquire(CapTable::Ticket* ticket, SessionId session, CapGrant* grant) {
    return table_.Acquire(
               ticket, session, file_, [this] { ++resumed_; }, grant) == CapTable::Verdict::kGo;
  }
  CapClaim Writes() const { return {.object = file_, .changes = OMFS_CAP_F}; }
  CapClaim Makes(const std::string& name) const {
    return {.object = dir_, .changes = OMFS_CAP_L, .entry = name};
  }

  const omfs_fh file_ = Object(1), dir_ = Object(2);
  std::vector<CapRecall> sent_;
  std::vector<omfs_fh> idle_;
  int resumed_ = 0;
  CapTable table_;
};

TEST_F(CapTableTest, AChangeWaitsForTheAnswerOfWhoCaches) {
  const CapGrant grant = table_.Grant(kB, file_, kAttributes);
  EXPECT_EQ(grant.caps, kAttributes);
  CapTable::Ticket ticket(&table_);
  EXPECT_FALSE(Claim(&ticket, kA, {Writes()}));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].session, kB);
  EXPECT_EQ(sent_[0].caps, OMFS_CAP_F);
  EXPECT_GT(sent_[0].seq, grant.seq);
  EXPECT_EQ(resumed_, 0);
  table_.Answer(kB, sent_[0].seq);
  EXPECT_EQ(resumed_, 1);
  EXPECT_TRUE(Claim(&ticket, kA, {Writes()}));
}

TEST_F(CapTableTest, ItsOwnCapsAreNoConflict) {
  table_.Grant(kA, file_, kAttributes);
  CapTable::Ticket ticket(&table_);
  EXPECT_TRUE(Claim(&ticket, kA, {Writes()}));
  EXPECT_TRUE(sent_.empty());
}

TEST_F(CapTableTest, NothingIsGrantedOfWhatIsBeingChanged) {
  CapTable::Ticket ticket(&table_);
  ASSERT_TRUE(Claim(&ticket, kA, {Writes()}));
  EXPECT_EQ(table_.Grant(kB, file_, kAttributes).caps, OMFS_CAP_A | OMFS_CAP_L);
  EXPECT_EQ(table_.Grant(kA, file_, OMFS_CAP_F).caps, 0u) << "not to the changer either";
  table_.Release(&ticket);
  EXPECT_EQ(table_.Grant(kB, file_, kAttributes).caps, kAttributes);
}

TEST_F(CapTableTest, TwoChangesOfDataRunTogetherButTwoOfOneNameDoNot) {
  CapTable::Ticket first(&table_), second(&table_);
  EXPECT_TRUE(Claim(&first, kA, {Writes()}));
  EXPECT_TRUE(Claim(&second, kB, {Writes()}));
  EXPECT_TRUE(Claim(&first, kA, {Makes("x")}));
  EXPECT_FALSE(Claim(&second, kB, {Makes("x")}));
  table_.Release(&first);
  EXPECT_EQ(resumed_, 1);
  EXPECT_TRUE(Claim(&second, kB, {Makes("x")}));
  EXPECT_TRUE(Claim(&first, kA, {Makes("y")}));
}

TEST_F(CapTableTest, WhoCachesADirectoryIsToldTheEntryAndKeepsTheCap) {
  table_.Grant(kB, dir_, OMFS_CAP_A | OMFS_CAP_L);
  for (const char* name : {"x", "y"}) {
    CapTable::Ticket ticket(&table_);
    EXPECT_FALSE(Claim(&ticket, kA, {Makes(name)}));
    EXPECT_EQ(sent_.back().kind, OMFS_RECALL_ENTRY);
    EXPECT_EQ(sent_.back().entry, name);
    table_.Answer(kB, sent_.back().seq);
    EXPECT_TRUE(Claim(&ticket, kA, {Makes(name)}));
  }
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(CapTableTest, TheChangersOwnKernelIsToldWhereOthersLookOn) {
  table_.Grant(kA, dir_, OMFS_CAP_L);
  CapTable::Ticket ticket(&table_);
  EXPECT_TRUE(Claim(&ticket, kA, {Makes("x")})) << "nobody else can see it early";
  table_.Release(&ticket);
  table_.Grant(kB, dir_, OMFS_CAP_L);
  EXPECT_FALSE(Claim(&ticket, kA, {Makes("x")}));
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(CapTableTest, OtherEntriesMayBeCachedMeanwhile) {
  CapTable::Ticket ticket(&table_);
  ASSERT_TRUE(Claim(&ticket, kA, {Makes("x")}));
  EXPECT_EQ(table_.Grant(kB, dir_, OMFS_CAP_L, "x").caps, 0u);
  EXPECT_EQ(table_.Grant(kB, dir_, OMFS_CAP_L, "y").caps, OMFS_CAP_L);
  EXPECT_EQ(table_.Grant(kB, dir_, OMFS_CAP_L).caps, 0u) << "the whole listing";
}

TEST_F(CapTableTest, AnEntryThatMustStayAsItIsDisturbsNobody) {
  table_.Grant(kB, dir_, OMFS_CAP_L);
  CapTable::Ticket opens(&table_), removes(&table_);
  EXPECT_TRUE(Claim(&opens, kA, {{.object = dir_, .entry = "x"}}));
  EXPECT_TRUE(sent_.empty());
  EXPECT_FALSE(Claim(&removes, kC, {Makes("x")}));
}

TEST_F(CapTableTest, ALoneWriterMayDelayAndReadersBringItHome) {
  table_.AddOpen(kA, file_, true);
  EXPECT_EQ(table_.Grant(kA, file_, OMFS_CAP_F | OMFS_CAP_W).caps, OMFS_CAP_F | OMFS_CAP_W);
  CapTable::Ticket read(&table_);
  EXPECT_FALSE(Claim(&read, kB, {{.object = file_, .reads_data = true}}));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].caps, OMFS_CAP_W);
  CapTable::Ticket flush(&table_);
  EXPECT_TRUE(Claim(&flush, kA, {{.object = file_, .changes = OMFS_CAP_F, .owed = true}}))
      << "what is owed never waits";
  table_.Release(&flush);
  table_.Answer(kA, sent_[0].seq);
  EXPECT_TRUE(Claim(&read, kB, {{.object = file_, .reads_data = true}}));
}

TEST_F(CapTableTest, WhatIsOwedWaitsLikeAnyWriteUntilItIsRecalled) {
  table_.Grant(kA, file_, OMFS_CAP_F);
  table_.Grant(kB, file_, OMFS_CAP_F);
  CapTable::Ticket owed(&table_), other(&table_);
  EXPECT_FALSE(Claim(&owed, kA, {{.object = file_, .changes = OMFS_CAP_F, .owed = true}}))
      << "B caches, and nobody takes anything from A";
  EXPECT_FALSE(Claim(&other, kC, {Writes()}));
  EXPECT_EQ(resumed_, 1) << "now A is recalled, and its answer may need the write";
  EXPECT_TRUE(Claim(&owed, kA, {{.object = file_, .changes = OMFS_CAP_F, .owed = true}}));
}

TEST_F(CapTableTest, NobodyCachesAFileThatIsSharedForWriting) {
  table_.AddOpen(kA, file_, true);
  table_.AddOpen(kB, file_, false);
  EXPECT_EQ(table_.Grant(kA, file_, OMFS_CAP_F).caps, 0u);
  EXPECT_EQ(table_.Grant(kB, file_, OMFS_CAP_F).caps, 0u);
  table_.RemoveOpen(kA, file_, true);
  EXPECT_EQ(table_.Grant(kB, file_, OMFS_CAP_F).caps, OMFS_CAP_F);
}

TEST_F(CapTableTest, AKernelsPageGetsItsCapWhenTheChangeIsDone) {
  table_.AddOpen(kA, file_, true);
  CapTable::Ticket write(&table_), read(&table_), more(&table_);
  ASSERT_TRUE(Claim(&write, kA, {Writes()}));
  CapGrant grant;
  EXPECT_FALSE(Acquire(&read, kB, &grant));
  EXPECT_FALSE(Claim(&more, kA, {Writes()})) << "later changes wait for the page";
  table_.Release(&write);
  EXPECT_EQ(resumed_, 2);
  EXPECT_TRUE(Acquire(&read, kB, &grant));
  EXPECT_EQ(grant.caps, OMFS_CAP_F);
}

TEST_F(CapTableTest, WhoseDataIsRecalledReadsWithoutACap) {
  table_.Grant(kB, file_, OMFS_CAP_F);
  CapTable::Ticket write(&table_), read(&table_);
  ASSERT_FALSE(Claim(&write, kA, {Writes()}));
  CapGrant grant;
  EXPECT_TRUE(Acquire(&read, kB, &grant)) << "its kernel may have locked what the recall waits for";
  EXPECT_EQ(grant.caps, 0u);
}

TEST_F(CapTableTest, TheEndOfASessionAnswersForIt) {
  table_.Grant(kB, file_, kAttributes);
  CapTable::Ticket ticket(&table_);
  ASSERT_FALSE(Claim(&ticket, kA, {Writes()}));
  EXPECT_EQ(table_.Overdue(std::chrono::seconds(-1)), std::vector<SessionId>{kB});
  table_.EndSession(kB);
  EXPECT_EQ(resumed_, 1);
  EXPECT_TRUE(Claim(&ticket, kA, {Writes()}));
  EXPECT_EQ(table_.Grant(kB, file_, kAttributes).caps, 0u) << "until it can be recalled from again";
}

TEST_F(CapTableTest, UnansweredRecallsAreSentAgainOverANewConnection) {
  table_.Grant(kB, file_, kAttributes);
  CapTable::Ticket ticket(&table_);
  ASSERT_FALSE(Claim(&ticket, kA, {Writes()}));
  table_.Reconnected(kB);
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].seq, sent_[1].seq);
  table_.Answer(kB, sent_[0].seq);
  table_.Answer(kB, sent_[0].seq);
  EXPECT_EQ(resumed_, 1);
}

TEST_F(CapTableTest, WhatIsGivenBackIsGoneUnlessMoreWasGrantedSince) {
  const CapGrant first = table_.Grant(kB, file_, OMFS_CAP_A);
  const CapGrant second = table_.Grant(kB, file_, OMFS_CAP_F);
  table_.GiveBack(kB, file_, first.seq);
  EXPECT_TRUE(table_.Cached(file_));
  table_.GiveBack(kB, file_, second.seq);
  EXPECT_FALSE(table_.Cached(file_));
  EXPECT_EQ(idle_.size(), 1u);
  EXPECT_EQ(table_.stats().objects, 0u);
}

TEST_F(CapTableTest, AfterARestartChangesWaitForThoseWhoMayCache) {
  CapTable fresh([](const CapRecall&) {});
  fresh.StartGrace({kA, kB});
  int resumed = 0;
  CapTable::Ticket ticket(&fresh);
  const auto claim = [&] {
    return fresh.Claim(&ticket, kC, {Writes()}, [&] { ++resumed; }) == CapTable::Verdict::kGo;
  };
  EXPECT_FALSE(claim());
  fresh.Reconnected(kA);
  EXPECT_EQ(resumed, 0);
  fresh.EndSession(kB);
  EXPECT_EQ(resumed, 1);
  EXPECT_TRUE(claim());
}

TEST_F(CapTableTest, ANativeChangeIsRecalledFromAll) {
  table_.Grant(kA, file_, kAttributes);
  table_.Grant(kB, file_, kAttributes);
  int done = 0;
  table_.RecallFromAll(file_, OMFS_CAP_F, {}, [&] { ++done; });
  ASSERT_EQ(sent_.size(), 2u);
  table_.Answer(sent_[0].session, sent_[0].seq);
  EXPECT_EQ(done, 0);
  table_.Answer(sent_[1].session, sent_[1].seq);
  EXPECT_EQ(done, 1);
  table_.RecallFromAll(file_, OMFS_CAP_F, {}, [&] { ++done; });
  EXPECT_EQ(done, 2) << "nobody has it any more";
}

TEST_F(CapTableTest, SendingIsBounded) {
  for (uint8_t n = 0; n < 200; ++n) table_.Grant(kB, Object(n), OMFS_CAP_F);
  table_.RecallEverything();
  EXPECT_EQ(sent_.size(), 128u);
  for (size_t i = 0; i < sent_.size(); ++i) table_.Answer(kB, sent_[i].seq);
  EXPECT_EQ(sent_.size(), 200u);
  EXPECT_EQ(table_.stats().recalls_unanswered, 0u);
}

}  // namespace
}  // namespace omfs
