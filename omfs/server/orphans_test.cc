// Objects without a name over the death of a server: the server in this process, the fd-keeper as one of its own.
#include "omfs/server/orphans.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "omfs/server/testing/server_fixture.h"
#include "omfs/wire/endian.h"

namespace omfs::testing {
namespace {

// Generous: a guard against hangs only.
bool Until(const std::function<bool()>& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class OrphansTest : public ServerTest {
 protected:
  void SetUp() override {
    fdkeeper_ = OMFS_FDKEEPER;
    ServerTest::SetUp();
  }
  void TearDown() override {
    ServerTest::TearDown();
    for (const pid_t pid : Keepers()) kill(pid, SIGKILL);
  }

  // Those of this test's state directory.
  std::vector<pid_t> Keepers() const {
    std::vector<pid_t> pids;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string pid = entry.path().filename();
      if (pid.find_first_not_of("0123456789") != pid.npos) continue;
      std::ifstream in(entry.path() / "cmdline");
      const std::string line(std::istreambuf_iterator<char>(in), {});
      if (!dir_.empty() && line.starts_with(OMFS_FDKEEPER) && line.find(dir_) != line.npos) pids.push_back(std::stoi(pid));
    }
    return pids;
  }

  // The client of before, at the restarted server; without a session yet.
  std::unique_ptr<RawClient> Back(const std::unique_ptr<RawClient>& before, uint8_t id = 1) {
    auto client = std::make_unique<RawClient>(client_tls_, server_->port(), id);
    client->session = before->session;
    client->sequence = before->sequence;
    return client;
  }

  // How many objects without a name this test's keeper has descriptors of.
  size_t KeeperHolds() const {
    size_t count = 0;
    std::error_code gone;
    for (const pid_t pid : Keepers()) {
      for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
        count += std::filesystem::read_symlink(fd.path(), gone).string().ends_with(" (deleted)");
      }
    }
    return count;
  }

  uint64_t Nameless() const { return server_->stats().nameless; }

  static omfs_open_rep Made(const RawReply& reply) {
    EXPECT_EQ(reply.status(), 0U);
    return reply.As<omfs_open_rep>();
  }
  omfs_open_rep CreateWith(RawClient& c, const std::string& name, const std::string& text) {
    const omfs_open_rep rep = Made(c.Create(c.root, name, O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(c.Write(Le64(rep.open_id), 0, text).status(), 0U);
    return rep;
  }
  // CREATE without a name.
  omfs_open_rep Temporary(RawClient& c, const std::string& text) {
    const omfs_open_rep rep = Made(c.Create(c.root, "", O_RDWR | O_TMPFILE, 0644));
    EXPECT_EQ(c.Write(Le64(rep.open_id), 0, text).status(), 0U);
    return rep;
  }
  static uint32_t Unlink(RawClient& c, const std::string& name, uint32_t flags = 0) {
    omfs_unlink_req req{};
    req.dir = c.root;
    req.flags = Le32(flags);
    return c.Call(OMFS_OP_UNLINK, req, name).status();
  }
  static uint32_t Link(RawClient& c, const omfs_fh& fh, const std::string& name) {
    omfs_link_req req{};
    req.fh = fh;
    req.dir = c.root;
    return c.Call(OMFS_OP_LINK, req, name).status();
  }
  static uint32_t Rename(RawClient& c, const std::string& name, const std::string& new_name, uint32_t flags = 0) {
    omfs_rename_req req{};
    req.dir = req.new_dir = c.root;
    req.flags = Le32(flags);
    return c.Call(OMFS_OP_RENAME, req, name, new_name).status();
  }
  static uint32_t SayReclaimed(RawClient& c, uint64_t epoch) {
    omfs_reclaimed_req req{};
    req.epoch = Le64(epoch);
    return c.Call(OMFS_OP_RECLAIMED, req).status();
  }
  static std::string ReadAll(RawClient& c, uint64_t open_id) {
    const RawReply reply = c.Read(open_id, 0, 100);
    return reply.status() == 0 ? reply.payload_text() : "status " + std::to_string(reply.status());
  }
  static uint32_t Links(RawClient& c, const omfs_fh& fh) {
    omfs_getattr_req req{};
    req.fh = fh;
    const RawReply reply = c.Call(OMFS_OP_GETATTR, req);
    return reply.status() != 0 ? 1000 + reply.status() : Le32(reply.As<omfs_attr_rep>().attr.nlink);
  }
};

TEST_F(OrphansTest, KeepsWhatIsOpenFromItsLastNameToItsLastClose) {
  auto c = NewClient();
  const omfs_open_rep first = CreateWith(*c, "f", "text");
  ASSERT_EQ(Link(*c, first.fh, "g"), 0U);
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  EXPECT_EQ(Nameless(), 0U);
  const omfs_open_rep second = Made(c->Open(first.fh, O_RDONLY));
  EXPECT_EQ(Unlink(*c, "g"), 0U);
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(c->Close(Le64(first.open_id)).status(), 0U);
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(c->Close(Le64(second.open_id)).status(), 0U);
  EXPECT_EQ(Nameless(), 0U);
}

TEST_F(OrphansTest, KeepsNothingThatNobodyHasOpen) {
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "text");
  c->Close(Le64(made.open_id));
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  EXPECT_EQ(Nameless(), 0U);
}

TEST_F(OrphansTest, AnUnlinkThatFailsKeepsNothing) {
  auto c = NewClient();
  CreateWith(*c, "f", "text");
  auto user = NewUserClient();
  EXPECT_EQ(Unlink(*user, "f"), static_cast<uint32_t>(EPERM));  // the export's root is sticky
  EXPECT_EQ(Unlink(*c, "f", AT_REMOVEDIR), static_cast<uint32_t>(ENOTDIR));
  EXPECT_EQ(Nameless(), 0U);
}

TEST_F(OrphansTest, KeepsTheVictimOfARenameButNothingThatIsExchanged) {
  auto c = NewClient();
  CreateWith(*c, "f", "text");
  CreateWith(*c, "g", "other");
  EXPECT_EQ(Rename(*c, "f", "g", RENAME_EXCHANGE), 0U);
  EXPECT_EQ(Nameless(), 0U);
  EXPECT_EQ(Rename(*c, "f", "g"), 0U);
  EXPECT_EQ(Nameless(), 1U);
}

TEST_F(OrphansTest, KeepsATemporaryFileUntilItIsLinked) {
  auto c = NewClient();
  const omfs_open_rep made = Temporary(*c, "text");
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(Link(*c, made.fh, "named"), 0U);
  EXPECT_EQ(Nameless(), 0U);
}

TEST_F(OrphansTest, AfterARestartTheHandleOpensTheSameObject) {
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "text");
  const omfs_open_rep temporary = Temporary(*c, "temporary");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  RestartServer();
  EXPECT_EQ(Nameless(), 2U);
  c = Back(c);
  c->Start();
  const omfs_open_rep again = Made(c->Open(made.fh, O_RDWR));
  EXPECT_EQ(ReadAll(*c, Le64(again.open_id)), "text");
  EXPECT_EQ(Le32(again.attr.nlink), 0U);
  EXPECT_EQ(Le64(again.attr.ino), Le64(made.attr.ino));
  const omfs_open_rep second = Made(c->Open(temporary.fh, O_RDWR));
  EXPECT_EQ(ReadAll(*c, Le64(second.open_id)), "temporary");
  EXPECT_EQ(SayReclaimed(*c, c->epoch), 0U);
  EXPECT_EQ(Nameless(), 2U);
  EXPECT_EQ(Link(*c, temporary.fh, "named"), 0U);
  EXPECT_EQ(ReadFile("named"), "temporary");
  EXPECT_EQ(c->Close(Le64(again.open_id)).status(), 0U);
  EXPECT_EQ(Nameless(), 0U);
}

TEST_F(OrphansTest, ANewFileOfTheSameInodeNumberIsNotTakenForTheOldOne) {
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "old");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  EXPECT_EQ(c->Close(Le64(made.open_id)).status(), 0U);
  // The number comes free once keeper and server have let go.
  int count = 0;
  ASSERT_TRUE(Until([&] {
    const std::string name = "new" + std::to_string(count++);
    WriteFile(name, "new");
    struct stat st;
    return stat(Path(name).c_str(), &st) == 0 && st.st_ino == Le64(made.attr.ino);
  }));
  RestartServer();
  c = Back(c);
  c->Start();
  EXPECT_EQ(c->Open(made.fh, O_RDONLY).status(), static_cast<uint32_t>(ESTALE));
}

TEST_F(OrphansTest, WaitsForAllClientsItKnowsAndThenLetsGo) {
  auto one = NewClient(1), two = NewClient(2);
  const omfs_open_rep made = CreateWith(*one, "f", "text");
  EXPECT_EQ(Unlink(*one, "f"), 0U);
  RestartServer();
  one = Back(one);
  two = Back(two, 2);
  one->Start();
  // Opened and closed again: the other may have it open too.
  const omfs_open_rep again = Made(one->Open(made.fh, O_RDONLY));
  EXPECT_EQ(one->Close(Le64(again.open_id)).status(), 0U);
  EXPECT_EQ(SayReclaimed(*one, one->epoch), 0U);
  EXPECT_EQ(Nameless(), 1U);
  two->Start();
  const omfs_open_rep of_two = Made(two->Open(made.fh, O_RDONLY));
  EXPECT_EQ(ReadAll(*two, Le64(of_two.open_id)), "text");
  EXPECT_EQ(SayReclaimed(*two, two->epoch), 0U);
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(two->Close(Le64(of_two.open_id)).status(), 0U);
  EXPECT_EQ(Nameless(), 0U);
  // The keeper is told, and not waited for.
  EXPECT_TRUE(Until([&] { return KeeperHolds() == 0; }));
  EXPECT_EQ(two->Open(made.fh, O_RDONLY).status(), static_cast<uint32_t>(ESTALE));
}

TEST_F(OrphansTest, WhatNobodyOpensAgainIsLetGo) {
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "text");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  RestartServer();
  c = Back(c);
  c->Start();
  EXPECT_EQ(SayReclaimed(*c, c->epoch - 1), static_cast<uint32_t>(ESTALE));  // meant for the earlier server
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(SayReclaimed(*c, c->epoch), 0U);
  EXPECT_EQ(Nameless(), 0U);
  // The keeper is told, and not waited for.
  EXPECT_TRUE(Until([&] { return KeeperHolds() == 0; }));
  EXPECT_EQ(c->Open(made.fh, O_RDONLY).status(), static_cast<uint32_t>(ESTALE));
}

TEST_F(OrphansTest, AClientThatSaysGoodbyeIsNotWaitedFor) {
  auto c = NewClient();
  CreateWith(*c, "f", "text");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  RestartServer();
  c = Back(c);
  c->Start();
  EXPECT_EQ(Nameless(), 1U);
  EXPECT_EQ(c->Call(OMFS_OP_BYE, NoFixedPart{}).status(), 0U);
  EXPECT_TRUE(Until([&] { return Nameless() == 0; }));
}

TEST_F(OrphansTest, WhatIsUnlinkedBeforeItsHolderIsBackIsKept) {
  auto holder = NewClient(1), other = NewClient(2);
  const omfs_open_rep made = CreateWith(*holder, "f", "text");
  RestartServer();
  other = Back(other, 2);
  other->Start();
  EXPECT_EQ(SayReclaimed(*other, other->epoch), 0U);
  EXPECT_EQ(Unlink(*other, "f"), 0U);
  EXPECT_EQ(Nameless(), 1U);
  // Even if the server is restarted once more.
  RestartServer();
  holder = Back(holder);
  holder->Start();
  const omfs_open_rep again = Made(holder->Open(made.fh, O_RDONLY));
  EXPECT_EQ(ReadAll(*holder, Le64(again.open_id)), "text");
  EXPECT_EQ(Links(*holder, made.fh), 0U);
}

TEST_F(OrphansTest, AKilledKeeperIsReplacedAndFilledAgain) {
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "text");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  const auto old = Keepers();
  ASSERT_EQ(old.size(), 1U);
  kill(old[0], SIGKILL);
  ASSERT_TRUE(Until([&] { return Keepers() != old && Keepers().size() == 1 && server_->stats().keeper_runs; }));
  RestartServer();
  EXPECT_EQ(Nameless(), 1U);
  c = Back(c);
  c->Start();
  // Not opened again yet: the server itself has nothing but what the keeper gave it.
  const auto second = Keepers();
  ASSERT_EQ(second.size(), 1U);
  kill(second[0], SIGKILL);
  ASSERT_TRUE(Until([&] { return Keepers() != second && Keepers().size() == 1 && server_->stats().keeper_runs; }));
  RestartServer();
  c = Back(c);
  c->Start();
  EXPECT_EQ(ReadAll(*c, Le64(Made(c->Open(made.fh, O_RDONLY)).open_id)), "text");
}

TEST_F(OrphansTest, WithoutAKeeperItServesAllTheSame) {
  StopServer();
  fdkeeper_ = dir_ + "/none";
  StartServer();
  auto c = NewClient();
  const omfs_open_rep made = CreateWith(*c, "f", "text");
  EXPECT_EQ(Unlink(*c, "f"), 0U);
  EXPECT_EQ(ReadAll(*c, Le64(made.open_id)), "text");
  EXPECT_FALSE(server_->stats().keeper_runs);
}

TEST_F(OrphansTest, TheKeeperEndsWithTheServerWhenThereIsNothingToKeep) {
  auto c = NewClient();
  EXPECT_EQ(Keepers().size(), 1U);
  c.reset();
  StopServer();
  EXPECT_TRUE(Until([&] { return Keepers().empty(); }));
}

}  // namespace
}  // namespace omfs::testing
