#include "cluster/local_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "cluster/local_client.h"
#include "omfs/net/frame.h"

namespace omfs {
namespace {

class Local : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/omfs-local-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    path_ = dir_ + "/" + kLocalSocketName;
    auto listener = ListenUnix(path_, 0666);
    ASSERT_TRUE(listener.ok());
    server_ = LocalServer::Start(std::move(*listener), path_,
                                 [](const local::Request& request, const ucred& caller) {
                                   local::Reply reply;
                                   if (request.has_why()) {
                                     reply.set_error(ESRCH);
                                     reply.set_text("no such process");
                                   }
                                   reply.mutable_status()->set_node(caller.pid == getpid() ? 7 : 0);
                                   return reply;
                                 });
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(dir_);
  }
  static local::Request StatusRequest() {
    local::Request request;
    request.mutable_status();
    return request;
  }

  std::string dir_, path_;
  std::unique_ptr<LocalServer> server_;
};

TEST_F(Local, AnswersAndKnowsTheCaller) {
  auto reply = AskDaemon(dir_, StatusRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status().node(), 7u);
}

TEST_F(Local, AnErrorReplyIsTheClientsStatus) {
  local::Request request;
  request.mutable_why();
  EXPECT_EQ(std::string(AskDaemon(dir_, request).status().message()), "no such process");
}

TEST_F(Local, GarbageEndsOnlyItsConnection) {
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff garbage"), std::string("\x05\0\0\0wrong", 9),
                                   std::string("\x10\0\0\0", 4), std::string("x")}) {
    auto fd = ConnectUnix(path_);
    ASSERT_TRUE(fd.ok());
    ASSERT_EQ(write(fd->get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    shutdown(fd->get(), SHUT_WR);
    char c;
    EXPECT_LE(recv(fd->get(), &c, 1, 0), 0);
  }
  EXPECT_TRUE(AskDaemon(dir_, StatusRequest()).ok());
}

TEST_F(Local, StopEndsIdleConnectionsAndRemovesTheSocket) {
  std::vector<ScopedFd> idle;
  for (int i = 0; i < 10; ++i) idle.push_back(*ConnectUnix(path_));
  EXPECT_TRUE(AskDaemon(dir_, StatusRequest()).ok());
  server_->Stop();
  EXPECT_FALSE(AskDaemon(dir_, StatusRequest()).ok());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace omfs
