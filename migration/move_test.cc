// The two agents against each other on one machine, without daemons or /mfs: a program is moved out, made to call home,
// signalled, and brought back; what it prints and how it ends must be what it does natively.
#include <gtest/gtest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cluster/pki.h"
#include "omfs/base/status.h"
#include "omfs/net/frame.h"
#include "proto/local.pb.h"

namespace omfs::migration {
namespace {

constexpr char kToken[] = "0123456789abcdef0123456789abcdef";

std::string Beside(const std::string& program) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / program;
}

struct Agent {
  pid_t pid = 0;
  ScopedFd channel;

  local::AgentEvent Next() {
    local::AgentEvent e;
    auto bytes = ReceiveFrame(channel.get());
    if (!bytes.ok() || !e.ParseFromString(*bytes)) e.set_done_text("channel: " + std::string(bytes.status().message()));
    return e;
  }
  // Events until one that answers a command.
  local::AgentEvent Answer() {
    for (;;) {
      local::AgentEvent e = Next();
      if (e.finished_command() || !e.done_text().empty()) return e;
    }
  }
  void Send(const local::AgentCommand& c) { ASSERT_TRUE(SendFrame(channel.get(), c.SerializeAsString()).ok()); }
};

class MoveTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "moving processes needs root";
    char name[] = "/tmp/omfs-move-test-XXXXXX";
    dir_ = mkdtemp(name);
    ASSERT_TRUE(CreateCa(dir_ + "/ca").ok());
    for (const int node : {1, 2}) {
      const std::string d = fmt::format("{}/{}", dir_, node);
      for (const char* sub : {"/pki", "/run", "/state", "/export"}) std::filesystem::create_directories(d + sub);
      std::ofstream(d + "/nodes") << "1 alpha 127.0.0.1\n2 beta 127.0.0.1\n";
      std::ofstream(d + "/omfs.conf") << fmt::format(
          "node = {0}\nlisten = 127.0.0.1\nexport = {1}/export\nnodes = {1}/nodes\npki = {1}/pki\nrun = {1}/run\n"
          "state = {1}/state\nlog_level = debug\nlog_file = {1}/log\n",
          node, d);
      auto request = MakeNodeRequest(NodeId(node));
      auto certificate = SignNodeRequest(dir_ + "/ca", request->request_pem, NodeId(node));
      ASSERT_TRUE(certificate.ok()) << certificate.status();
      std::ifstream ca(dir_ + "/ca/ca.crt");
      const std::string ca_pem((std::istreambuf_iterator<char>(ca)), {});
      ASSERT_TRUE(InstallNode(d + "/pki", request->key_pem, *certificate, ca_pem).ok());
    }
  }
  void TearDown() override {
    for (const pid_t p : started_) {
      kill(p, SIGKILL);
      waitpid(p, nullptr, 0);
    }
    if (HasFailure()) {
      for (const int node : {1, 2}) {
        std::ifstream log(fmt::format("{}/{}/log", dir_, node));
        std::cerr << "-- log of node " << node << "\n" << std::string((std::istreambuf_iterator<char>(log)), {});
      }
    }
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }

  Agent Start(int node, std::vector<std::string> args) {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    args.insert(args.begin() + 1, {"--config", fmt::format("{}/{}/omfs.conf", dir_, node)});
    Agent a;
    a.channel.reset(pair[0]);
    a.pid = fork();
    if (a.pid == 0) {
      // dup2 onto itself would keep the close-on-exec flag.
      const int theirs = fcntl(pair[1], F_DUPFD, 10);
      dup2(theirs, 3);
      close(theirs);
      std::vector<char*> argv;
      for (std::string& s : args) argv.push_back(s.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(pair[1]);
    started_.push_back(a.pid);
    return a;
  }

  // Starts a keeper on node 2; gives the command that moves a process to it.
  local::AgentCommand Ticket(pid_t pid) {
    keepers_.push_back(Start(2, {Beside("omfs-keeper"), "--home", "1", "--pid", std::to_string(pid)}));
    local::AgentCommand token;
    token.mutable_move_to()->set_token(kToken);
    keepers_.back().Send(token);
    const local::AgentEvent e = keepers_.back().Next();
    EXPECT_NE(e.listening_port(), 0u);
    local::AgentCommand c;
    c.mutable_move_to()->set_node(2);
    c.mutable_move_to()->set_address("127.0.0.1");
    c.mutable_move_to()->set_port(e.listening_port());
    c.mutable_move_to()->set_token(kToken);
    return c;
  }

  // Starts a program whose output is collected.
  void Run(const std::vector<std::string>& args) {
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    program_ = fork();
    if (program_ == 0) {
      dup2(out[1], 1);
      std::vector<char*> argv;
      for (const std::string& s : args) argv.push_back(const_cast<char*>(s.c_str()));
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(out[1]);
    output_.reset(out[0]);
  }
  std::string ReadLine() {
    std::string line;
    char c;
    while (read(output_.get(), &c, 1) == 1 && c != '\n') line += c;
    return line;
  }
  std::string ReadRest() {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = read(output_.get(), buffer, sizeof buffer)) > 0;) all.append(buffer, n);
    return all;
  }
  int WaitProgram() {
    int status = 0;
    EXPECT_EQ(waitpid(program_, &status, 0), program_);
    return status;
  }

  std::string dir_;
  std::vector<pid_t> started_;
  std::vector<Agent> keepers_;
  pid_t program_ = 0;
  ScopedFd output_;
};

const char kCounter[] =
    "import sys,time\n"
    "for i in range(40):\n"
    "    print(i, flush=True); time.sleep(0.05)\n"
    "sys.exit(7)\n";

TEST_F(MoveTest, AMovedProgramGoesOnAndItsStatusArrives) {
  Run({"python3", "-c", kCounter});
  ASSERT_EQ(ReadLine(), "0");
  Agent deputy = Start(1, {Beside("omfs-deputy"), "--pid", std::to_string(program_)});
  deputy.Send(Ticket(program_));
  const local::AgentEvent moved = deputy.Answer();
  ASSERT_EQ(moved.done_text(), "");
  EXPECT_EQ(moved.process().where(), 2u);
  EXPECT_EQ(moved.process().state(), "away");
  std::string expected;
  for (int i = 1; i < 40; ++i) expected += fmt::format("{}\n", i);
  EXPECT_EQ(ReadRest(), expected);
  const int status = WaitProgram();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(MoveTest, AwayAndHomeAgain) {
  Run({"python3", "-c", kCounter});
  ASSERT_EQ(ReadLine(), "0");
  for (int round = 0; round < 3; ++round) {
    Agent deputy = Start(1, {Beside("omfs-deputy"), "--pid", std::to_string(program_)});
    deputy.Send(Ticket(program_));
    ASSERT_EQ(deputy.Answer().done_text(), "");
    usleep(150000);
    local::AgentCommand home;
    home.mutable_move_home();
    deputy.Send(home);
    const local::AgentEvent e = deputy.Answer();
    ASSERT_EQ(e.done_text(), "");
    EXPECT_EQ(e.process().state(), "home");
  }
  std::string expected;
  for (int i = 1; i < 40; ++i) expected += fmt::format("{}\n", i);
  EXPECT_EQ(ReadRest(), expected);
  EXPECT_EQ(WEXITSTATUS(WaitProgram()), 7);
}

}  // namespace
}  // namespace omfs::migration
