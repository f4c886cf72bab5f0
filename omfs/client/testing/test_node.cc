#include "omfs/client/testing/test_node.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "omfs/server/testing/test_pki.h"

namespace omfs::testing {

TempDir::TempDir() {
  std::string name = std::filesystem::temp_directory_path() / "omfs-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) abort();
  chmod(name.c_str(), 0755);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestNode::TestNode(NodeId id, const std::string& ca_dir, uint32_t lease_ms) {
  config_.node = id;
  config_.listen = "127.0.0.1";
  config_.data_port = 0;
  config_.lease_ms = lease_ms;
  config_.export_path = dir_.path() + "/export";
  config_.state_dir = dir_.path() + "/state";
  config_.pki_dir = dir_.path() + "/pki";
  for (const std::string& d : {config_.export_path, config_.state_dir}) {
    std::filesystem::create_directory(d);
  }
  chmod(config_.export_path.c_str(), 0777);
  MakeNodeCertificate(ca_dir, config_.pki_dir, id);
  auto tls = TlsContext::Load(config_.pki_dir);
  EXPECT_TRUE(tls.ok()) << tls.status();
  tls_ = *tls;
}

TestNode::~TestNode() { Stop(); }

void TestNode::Start() {
  auto store = Store::Open(config_.state_dir);
  ASSERT_TRUE(store.ok()) << store.status();
  auto server = DataServer::Start(config_, tls_, *store, fdkeeper_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = std::move(*server);
  port_ = config_.data_port = server_->port();
}

void TestNode::Stop() { server_.reset(); }

LinkOptions OptionsFor(const TestNode& node, uint16_t port) {
  LinkOptions o;
  o.node = node.id();
  o.address = "127.0.0.1";
  o.port = port != 0 ? port : node.port();
  return o;
}

}  // namespace omfs::testing
