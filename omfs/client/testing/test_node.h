// A node for tests: a temporary export, certificates, and a server in this process. Needs root.
#pragma once

#include <memory>
#include <string>

#include "omfs/base/config.h"
#include "omfs/client/node_client.h"
#include "omfs/net/tls.h"
#include "omfs/server/data_server.h"

namespace omfs::testing {

// Removes itself with everything below it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TestNode {
 public:
  // ca_dir: shared by the nodes of a test.
  TestNode(NodeId id, const std::string& ca_dir, uint32_t lease_ms = 12000);
  ~TestNode();

  // With an fd-keeper, of this program, from the next start on.
  void UseFdKeeper(const std::string& program) { fdkeeper_ = program; }
  // Starts the server, on the same port as before.
  void Start();
  void Stop();

  NodeId id() const { return config_.node; }
  uint16_t port() const { return port_; }
  const std::string& export_path() const { return config_.export_path; }
  std::string Path(const std::string& name) const { return config_.export_path + "/" + name; }
  const Config& config() const { return config_; }
  std::shared_ptr<TlsContext> tls() const { return tls_; }
  DataServer& server() { return *server_; }

 private:
  TempDir dir_;
  Config config_;
  std::shared_ptr<TlsContext> tls_;
  std::string fdkeeper_;
  std::unique_ptr<DataServer> server_;
  uint16_t port_ = 0;
};

// Options for a client of the node on this machine; port 0 = the node's own.
LinkOptions OptionsFor(const TestNode& node, uint16_t port = 0);

}  // namespace omfs::testing
