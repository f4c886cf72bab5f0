#include "omfs/server/testing/server_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "omfs/server/testing/test_pki.h"

namespace omfs::testing {

void ServerTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: the server acts as its callers";
  umask(022);
  char name[] = "/tmp/omfs-server-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  dir_ = name;
  chmod(dir_.c_str(), 0755);
  export_ = dir_ + "/export";
  std::filesystem::create_directory(export_);
  chmod(export_.c_str(), 01777);
  for (uint16_t node : {1, 2}) {
    MakeNodeCertificate(dir_ + "/ca", dir_ + "/pki" + std::to_string(node), NodeId(node));
  }
  server_tls_ = *TlsContext::Load(dir_ + "/pki1");
  client_tls_ = *TlsContext::Load(dir_ + "/pki2");
  config_.node = NodeId(1);
  config_.listen = "127.0.0.1";
  config_.data_port = 0;
  config_.export_path = export_;
  config_.state_dir = dir_ + "/state";

  old_logger_ = spdlog::default_logger();
  log_ = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", log_));
  StartServer();
}

void ServerTest::TearDown() {
  StopServer();
  if (old_logger_ != nullptr) spdlog::set_default_logger(old_logger_);
  if (!dir_.empty()) std::filesystem::remove_all(dir_);
}

void ServerTest::StartServer() {
  auto store = Store::Open(config_.state_dir);
  ASSERT_TRUE(store.ok()) << store.status();
  auto server = DataServer::Start(config_, server_tls_, *store, fdkeeper_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = std::move(*server);
}

void ServerTest::StopServer() {
  if (server_ != nullptr) server_->Stop();
  server_.reset();
}

void ServerTest::RestartServer() {
  StopServer();
  StartServer();
}

std::unique_ptr<RawClient> ServerTest::NewClient(uint8_t id, uint64_t boot) {
  auto client = std::make_unique<RawClient>(client_tls_, server_->port(), id, boot);
  client->Start();
  return client;
}

std::unique_ptr<RawClient> ServerTest::NewUserClient(uint8_t id) {
  auto client = NewClient(id);
  client->creds = {kUser, kUser, 022, {kUser}};
  return client;
}

void ServerTest::WriteFile(const std::string& name, const std::string& text) {
  std::ofstream(Path(name), std::ios::binary) << text;
}

std::string ServerTest::ReadFile(const std::string& name) const {
  std::ifstream in(Path(name), std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

bool ServerTest::Exists(const std::string& name) const {
  struct stat st;
  return lstat(Path(name).c_str(), &st) == 0;
}

std::vector<std::string> ServerTest::TakeWarnings() {
  const auto all = log_->last_raw();
  std::vector<std::string> out;
  for (size_t i = seen_; i < all.size(); ++i) {
    if (all[i].level >= spdlog::level::warn)
      out.emplace_back(all[i].payload.begin(), all[i].payload.end());
  }
  seen_ = all.size();
  return out;
}

std::vector<std::string> ServerTest::WaitForWarnings(size_t count) {
  std::vector<std::string> out;
  for (int i = 0; i < 1000 && out.size() < count; ++i) {
    for (std::string& line : TakeWarnings()) out.push_back(std::move(line));
    if (out.size() < count) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(out.size(), count);
  return out;
}

}  // namespace omfs::testing
