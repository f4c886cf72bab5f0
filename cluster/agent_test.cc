// The test program is its own agent: started with "--agent BEHAVIOUR" it plays one.
#include "cluster/agent.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "omfs/net/frame.h"

namespace omfs {
namespace {

using std::chrono::seconds;

constexpr int kChannel = 3;

void Tell(const local::AgentEvent& event) { (void)SendFrame(kChannel, event.SerializeAsString()); }

int PlayAgent(const std::string& behaviour) {
  local::AgentEvent started;
  started.mutable_process()->set_pid(42);
  started.mutable_process()->set_state("starting");
  Tell(started);
  if (behaviour == "fails") return 3;
  if (behaviour == "lists-descriptors") return fcntl(4, F_GETFD) == -1 && errno == EBADF ? 0 : 1;
  if (behaviour.starts_with("/")) {
    local::AgentEvent home = started;
    home.mutable_process()->set_state("home");
    Tell(home);
    close(open(behaviour.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  }
  for (;;) {
    const auto bytes = ReceiveFrame(kChannel);
    if (!bytes.ok()) return 0;
    local::AgentCommand command;
    command.ParseFromString(*bytes);
    if (behaviour == "dies-at-work") abort();
    local::AgentEvent event;
    if (command.has_move_home()) {
      event.mutable_process()->set_state("home");
      event.mutable_process()->set_pid(42);
    } else {
      event.set_done_error(EBUSY);
      event.set_done_text("not now");
    }
    event.set_finished_command(true);
    Tell(event);
  }
}

std::shared_ptr<Agent> Start(const std::string& behaviour) {
  char self[4096];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  auto agent = Agent::Start({std::string(self, n), "--agent", behaviour});
  EXPECT_TRUE(agent.ok()) << agent.status();
  return *agent;
}

void AwaitEnd(Agent& agent) {
  (void)agent.Await([](const local::AgentEvent&) { return false; }, seconds(60));
  EXPECT_TRUE(agent.ended());
}

local::AgentCommand MoveHome() {
  local::AgentCommand c;
  c.mutable_move_home();
  return c;
}
local::AgentCommand MoveTo() {
  local::AgentCommand c;
  c.mutable_move_to()->set_node(2);
  return c;
}

TEST(Agent, TellsItsStateAndCarriesOutCommands) {
  auto agent = Start("works");
  EXPECT_TRUE(agent->Await([](const local::AgentEvent& e) { return e.has_process(); }, seconds(60)).ok());
  EXPECT_TRUE(agent->Command(MoveHome()).ok());
  EXPECT_EQ(agent->last().process().state(), "home");
  agent->HangUp();
}

TEST(Agent, AFailedCommandGivesItsTextAndTheNextOneItsOwnResult) {
  auto agent = Start("works");
  EXPECT_TRUE(agent->Send(MoveTo()).ok());  // nobody waits for this one
  EXPECT_TRUE(agent->Command(MoveHome()).ok());
  const absl::Status failed = agent->Command(MoveTo());
  EXPECT_EQ(std::string(failed.message()), "not now");
  agent->HangUp();
}

TEST(Agent, ADeathAtWorkAnswersTheCommand) {
  auto agent = Start("dies-at-work");
  const absl::Status status = agent->Command(MoveHome());
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("killed by signal 6"), std::string::npos) << status;
}

TEST(Agent, WhatItSaidBeforeItEndedIsKept) {
  auto agent = Start("fails");
  AwaitEnd(*agent);
  EXPECT_EQ(agent->last().process().pid(), 42);
  EXPECT_FALSE(agent->Command(MoveHome()).ok());
}

TEST(Agent, WhatItSaidBeforeItsNextStepIsKnownAfterThatStep) {
  for (int i = 0; i < 50; ++i) {
    const std::string step = testing::TempDir() + "/agent_test." + std::to_string(getpid());
    auto agent = Start(step);
    while (access(step.c_str(), F_OK) != 0) usleep(100);
    EXPECT_EQ(agent->last().process().state(), "home");
    unlink(step.c_str());
    agent->HangUp();
  }
}

TEST(Agent, GetsNoOtherDescriptor) {
  const int leaked = dup(0);  // not close-on-exec
  auto agent = Start("lists-descriptors");
  AwaitEnd(*agent);
  close(leaked);
  EXPECT_EQ(std::string(agent->Command(MoveHome()).message()), "omfs_agent_test has ended");
}

TEST(Agent, AProgramThatIsMissingIsAnError) {
  EXPECT_FALSE(Agent::Start({"/no/such/program"}).ok());
}

}  // namespace
}  // namespace omfs

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--agent") == 0) return omfs::PlayAgent(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
