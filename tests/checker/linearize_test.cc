#include "tests/checker/linearize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>

#include "tests/checker/model.h"

namespace omfs::checker {
namespace {

using testing::HasSubstr;

// Lines without object and kind.
std::vector<Operation> Of(const std::string& kind, const std::string& lines) {
  std::vector<Operation> ops;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    if (line.find_first_not_of(' ') == line.npos) continue;
    Operation op;
    const bool good = Parse("o " + kind + " " + line, &op);
    EXPECT_TRUE(good) << line;
    ops.push_back(op);
  }
  return ops;
}

Verdict::Answer Judge(const std::string& kind, const std::string& lines) {
  const std::vector<Operation> ops = Of(kind, lines);
  const Verdict::Answer answer = Judge(ops).answer;
  // The quick way first must not change what comes out.
  EXPECT_EQ(answer, Linearize(Prepare(ops, Loss::kPossible).history).answer) << lines;
  return answer;
}

constexpr auto kYes = Verdict::kLinearizable;
constexpr auto kNo = Verdict::kViolation;

TEST(History, ALineIsReadAsItWasWritten) {
  for (const char* line :
       {"r0.2 file 5 2 1100 1900 read 0 0 ok 0 0 77", "r0.5 names 4 1 2000 2500 rename 1 2 ENOENT",
        "r0.2 paged 4 1 3000 - write 7 78 ?EIO", "r0.2 file 4 1 30 40 sync 0 0 ok"}) {
    Operation op;
    ASSERT_TRUE(Parse(line, &op)) << line;
    EXPECT_EQ(line, Format(op));
  }
}

TEST(History, WhatIsNoOperationIsRefused) {
  for (const char* line :
       {"", "a file 1 1 1 2 read 0", "a file 1 1 1 2 frob 0 0 ok", "a heap 1 1 1 2 read 0 0 ok",
        "a file 1 1 5 2 read 0 0 ok", "a file 1 1 5 - read 0 0 ok", "a file 1 1 1 2 read 0 0 ok x",
        "a file 1 1 1 2 read 0 0 good"}) {
    Operation op;
    EXPECT_FALSE(Parse(line, &op)) << line;
  }
}

TEST(File, AReadAfterAWriteSeesIt) {
  EXPECT_EQ(kYes, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 11 20 read 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 11 20 read 0 0 ok"));
}

TEST(File, AReadDuringAWriteSeesOldOrNew) {
  EXPECT_EQ(kYes, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 5 20 read 0 0 ok"));
  EXPECT_EQ(kYes, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 5 20 read 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 5 20 read 0 0 ok 8"));
}

TEST(File, WhatOneHasSeenTheNextSeesToo) {
  // Both reads overlap the write; new and then old is no order.
  const std::string write = "1 1 0 100 write 0 7 ok\n";
  EXPECT_EQ(kYes, Judge("file", write + "2 2 10 20 read 0 0 ok\n3 3 30 40 read 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("file", write + "2 2 10 20 read 0 0 ok 7\n3 3 30 40 read 0 0 ok"));
}

TEST(File, TwoWritesAreInOneOrderForAllReaders) {
  const std::string writes = "1 1 0 100 write 0 7 ok\n2 2 0 100 write 0 8 ok\n";
  EXPECT_EQ(kYes, Judge("file", writes + "3 3 10 20 read 0 0 ok 7\n3 3 30 40 read 0 0 ok 8"));
  EXPECT_EQ(
      kNo,
      Judge("file",
            writes + "3 3 10 20 read 0 0 ok 7\n3 3 30 40 read 0 0 ok 8\n3 3 50 60 read 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("file", writes + "3 3 110 120 read 0 0 ok 7\n4 1 130 140 read 0 0 ok 8"));
}

TEST(File, AppendsAreAtomicAndNotLost) {
  const std::string appends = "1 1 0 10 append 0 7 ok\n2 2 0 10 append 0 8 ok\n";
  EXPECT_EQ(kYes, Judge("file", appends + "3 3 11 20 read 0 0 ok 7 8"));
  EXPECT_EQ(kYes, Judge("file", appends + "3 3 11 20 read 0 0 ok 8 7"));
  EXPECT_EQ(kNo, Judge("file", appends + "3 3 11 20 read 0 0 ok 8"));
  EXPECT_EQ(kNo, Judge("file", appends + "3 3 11 20 read 0 0 ok 7 7"));
}

TEST(File, TruncationAndHoles) {
  EXPECT_EQ(
      kYes,
      Judge("file",
            "1 1 0 10 write 2 7 ok\n1 1 11 12 read 0 0 ok 0 0 7\n2 2 13 14 truncate 1 0 ok\n"
            "1 1 15 16 read 0 0 ok 0\n1 1 17 18 truncate 3 0 ok\n1 1 19 20 read 0 0 ok 0 0 0\n"
            "1 1 21 22 size 0 0 ok 3"));
  // What was cut off must not come back.
  EXPECT_EQ(kNo,
            Judge("file",
                  "1 1 0 10 write 2 7 ok\n2 2 13 14 truncate 1 0 ok\n1 1 17 18 truncate 3 0 ok\n"
                  "1 1 19 20 read 0 0 ok 0 0 7"));
}

TEST(File, AFailedWriteMayHaveHappenedAtAnyTimeOrNever) {
  const std::string failed = "1 1 0 10 write 0 7 ?EIO\n";
  EXPECT_EQ(kYes, Judge("file", failed + "2 2 11 20 read 0 0 ok"));
  EXPECT_EQ(kYes, Judge("file", failed + "2 2 11 20 read 0 0 ok 7"));
  EXPECT_EQ(kYes, Judge("file", failed + "2 2 11 20 read 0 0 ok\n2 2 21 30 read 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("file", failed + "2 2 11 20 read 0 0 ok 7\n2 2 21 30 read 0 0 ok"));
  EXPECT_EQ(kNo, Judge("file", "2 2 0 5 read 0 0 ok 7\n1 1 6 - write 0 7 ?"));
}

TEST(File, AFailedAppendHappensAtMostOnce) {
  const std::string failed = "1 1 0 10 append 0 7 ?EIO\n";
  EXPECT_EQ(kYes, Judge("file", failed + "2 2 11 20 append 0 8 ok\n2 2 21 30 read 0 0 ok 8 7"));
  EXPECT_EQ(kNo, Judge("file", failed + "2 2 11 20 append 0 8 ok\n2 2 21 30 read 0 0 ok 7 8 7"));
}

TEST(File, ALossThatAFailedSyncReportsIsNone) {
  const std::string lost = "1 1 0 10 write 0 7 ok\n1 1 40 50 sync 0 0 ?EIO\n";
  EXPECT_EQ(kYes, Judge("file", lost + "2 2 60 70 read 0 0 ok"));
  // Its own node has seen it meanwhile.
  EXPECT_EQ(kYes, Judge("file", lost + "3 1 20 30 read 0 0 ok 7\n2 2 60 70 read 0 0 ok"));
  // After the report it is to be as for all; and another node never saw it and then not.
  EXPECT_EQ(kNo, Judge("file", lost + "3 1 51 52 read 0 0 ok 7\n2 2 60 70 read 0 0 ok"));
  EXPECT_EQ(kNo, Judge("file", lost + "3 2 20 30 read 0 0 ok 7\n2 2 60 70 read 0 0 ok"));
  // A loss nobody was told of.
  EXPECT_EQ(kNo,
            Judge("file", "1 1 0 10 write 0 7 ok\n1 1 40 50 sync 0 0 ok\n2 2 60 70 read 0 0 ok"));
  EXPECT_EQ(kNo, Judge("file", "1 1 0 10 write 0 7 ok\n2 2 60 70 read 0 0 ok"));
}

TEST(File, ManyFailedOperationsDoNotMakeItUndecided) {
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    const int t = i * 100;
    lines += std::to_string(100 + i) + " 1 " + std::to_string(t) + " - write 0 " +
             std::to_string(1000 + i) + " ?EIO\n";
    lines += "1 2 " + std::to_string(t + 10) + " " + std::to_string(t + 20) + " write 0 " +
             std::to_string(1 + i) + " ok\n";
    lines += "2 3 " + std::to_string(t + 30) + " " + std::to_string(t + 40) + " read 0 0 ok " +
             std::to_string(1 + i) + "\n";
  }
  EXPECT_EQ(kYes, Judge("file", lines));
}

TEST(Paged, SlotsAndTheEnd) {
  EXPECT_EQ(kYes,
            Judge("paged",
                  "1 1 0 1 write 2 7 ok\n1 1 2 3 read 2 0 ok 7\n1 1 4 5 read 1 0 ok 0\n1 1 6 7 "
                  "read 3 0 ok\n"
                  "1 1 8 9 size 0 0 ok 10008\n2 2 10 11 truncate 2 0 ok\n1 1 12 13 read 2 0 ok\n"
                  "1 1 14 15 size 0 0 ok 10000"));
  EXPECT_EQ(kNo, Judge("paged",
                       "1 1 0 1 write 2 7 ok\n2 2 2 3 truncate 2 0 ok\n2 2 4 5 truncate 3 0 ok\n"
                       "1 1 6 7 read 2 0 ok 7"));
}

TEST(Names, ACreatedNameIsFoundAndARemovedOneIsNot) {
  EXPECT_EQ(kYes, Judge("names",
                        "1 1 0 1 create 0 7 ok\n2 2 2 3 lookup 0 0 ok 7\n2 2 4 5 unlink 0 0 ok\n"
                        "1 1 6 7 lookup 0 0 ENOENT\n1 1 8 9 list 0 0 ok"));
  EXPECT_EQ(kNo,
            Judge("names",
                  "2 2 0 1 lookup 0 0 ENOENT\n1 1 2 3 create 0 7 ok\n2 2 4 5 lookup 0 0 ENOENT"));
  EXPECT_EQ(
      kNo, Judge("names", "1 1 0 1 create 0 7 ok\n2 2 2 3 unlink 0 0 ok\n1 1 4 5 lookup 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("names", "1 1 0 1 create 0 7 ok\n2 2 2 3 list 0 0 ok"));
}

TEST(Names, OneOfTwoCreatorsWins) {
  EXPECT_EQ(kYes,
            Judge("names",
                  "1 1 0 9 create 0 7 ok\n2 2 0 9 create 0 8 EEXIST\n2 2 10 11 lookup 0 0 ok 7"));
  EXPECT_EQ(kNo, Judge("names", "1 1 0 9 create 0 7 ok\n2 2 0 9 create 0 8 ok"));
  EXPECT_EQ(kNo, Judge("names", "1 1 0 9 create 0 7 EEXIST\n2 2 0 9 create 0 8 EEXIST"));
}

TEST(Names, RenameMovesAndReplaces) {
  const std::string two = "1 1 0 1 create 0 7 ok\n1 1 2 3 create 1 8 ok\n";
  EXPECT_EQ(kYes,
            Judge("names",
                  two + "2 2 4 5 rename 0 1 ok\n1 1 6 7 lookup 1 0 ok 7\n1 1 8 9 list 0 0 ok 1"));
  EXPECT_EQ(kNo, Judge("names", two + "2 2 4 5 rename 0 1 ok\n1 1 6 7 lookup 1 0 ok 8"));
  // A name that is replaced is never missing.
  EXPECT_EQ(kNo, Judge("names", two + "2 2 4 9 rename 0 1 ok\n1 1 5 6 lookup 1 0 ENOENT"));
  EXPECT_EQ(kNo, Judge("names", "1 1 0 1 rename 0 1 ok"));
}

TEST(Names, RenamingOneObjectOntoItselfDoesNothing) {
  EXPECT_EQ(kYes, Judge("names",
                        "1 1 0 1 create 0 7 ok\n1 1 2 3 link 0 1 ok\n2 2 4 5 rename 0 1 ok\n"
                        "2 2 6 7 list 0 0 ok 0 1"));
}

TEST(Names, LinkTakesWhatItFoundFirst) {
  // The source is renamed away between the link's two steps.
  EXPECT_EQ(kYes, Judge("names",
                        "1 1 0 1 create 0 7 ok\n1 1 10 90 link 0 1 ok\n2 2 20 30 rename 0 2 ok\n"
                        "2 2 40 50 list 0 0 ok 2\n3 3 95 96 lookup 1 0 ok 7"));
  EXPECT_EQ(kNo,
            Judge("names", "1 1 0 1 create 0 7 ok\n2 2 2 3 unlink 0 0 ok\n1 1 10 90 link 0 1 ok"));
  EXPECT_EQ(kYes, Judge("names",
                        "1 1 0 1 create 0 7 ok\n2 2 2 3 unlink 0 0 ok\n1 1 10 90 link 0 1 ENOENT"));
}

TEST(Names, DirectoriesComeAndGo) {
  EXPECT_EQ(kYes, Judge("names",
                        "1 1 0 1 mkdir 6 0 ok\n2 2 2 3 mkdir 6 0 EEXIST\n2 2 4 5 rmdir 6 0 ok\n"
                        "1 1 6 7 rmdir 6 0 ENOENT"));
  EXPECT_EQ(kNo, Judge("names", "1 1 0 1 mkdir 6 0 ok\n2 2 4 5 rmdir 6 0 ENOENT"));
}

TEST(Search, AViolationIsExplained) {
  const Verdict v = Linearize(Of("file", "1 1 0 10 write 0 7 ok\n2 2 11 20 read 0 0 ok 5"));
  ASSERT_EQ(kNo, v.answer);
  EXPECT_THAT(v.explanation, HasSubstr("read 0 0 ok 5"));
  EXPECT_THAT(v.explanation, HasSubstr("write 0 7 ok"));
}

TEST(Search, TooManyConfigurationsAreNotCalledRight) {
  std::string lines;
  for (int i = 0; i < 12; ++i)
    lines += std::to_string(i) + " 1 0 100 append 0 " + std::to_string(i + 1) + " ok\n";
  EXPECT_EQ(Verdict::kUndecided, Linearize(Of("file", lines), 1000).answer);
}

// Histories made by a sequential object with moments chosen within the operations are linearizable;
// the same with one value changed to one that never was is not.
TEST(Search, RandomHistoriesOfARealObjectAreRightAndSpoiledOnesAreNot) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    State state = InitialState(Kind::kPaged);
    std::vector<Operation> ops;
    std::vector<int64_t> free_at(5);
    for (int64_t moment = 10, i = 0; i < 60; ++i, moment += 10) {
      const auto client = static_cast<int>(random() % free_at.size());
      Operation op;
      op.object = "o";
      op.kind = Kind::kPaged;
      op.client = op.node = client;
      op.invoked = std::max(free_at[client] + 1, moment - static_cast<int64_t>(random() % 60));
      if (op.invoked >= moment) continue;
      op.returned = moment + random() % 60;
      free_at[client] = op.returned;
      op.a = random() % kSlots;
      op.b = 1 + i;
      op.code = std::vector{Code::kRead, Code::kWrite, Code::kTruncate, Code::kRead}[random() % 4];
      if (op.code == Code::kRead && state[0] > op.a * kStride) op.value = {state[1 + op.a]};
      state = Steps(op, state, 0).at(0).state;
      ops.push_back(op);
    }
    EXPECT_EQ(kYes, Linearize(ops).answer) << seed;
    const auto read =
        std::find_if(ops.begin(), ops.end(), [](const Operation& op) { return !op.value.empty(); });
    if (read == ops.end()) continue;
    read->value[0] += 1000;
    EXPECT_EQ(kNo, Linearize(ops).answer) << seed;
  }
}

}  // namespace
}  // namespace omfs::checker
