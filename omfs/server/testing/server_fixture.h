// A server on a temporary export, and clients for it. Tests that need it are skipped when not root.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <vector>

#include "omfs/server/data_server.h"
#include "omfs/server/testing/raw_client.h"

namespace omfs::testing {

inline constexpr uint32_t kUser = 12345;  // an ordinary user
inline constexpr uint32_t kOther = 12346;

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  void StartServer();
  void StopServer();
  // Stops and starts it, with the same state.
  void RestartServer();

  // A client of node 2 with a session; id tells instances apart.
  std::unique_ptr<RawClient> NewClient(uint8_t id = 1, uint64_t boot = 1);
  // The same as an ordinary user.
  std::unique_ptr<RawClient> NewUserClient(uint8_t id = 2);

  std::string Path(const std::string& name) const { return export_ + "/" + name; }
  // Files of the export, natively.
  void WriteFile(const std::string& name, const std::string& text);
  std::string ReadFile(const std::string& name) const;
  bool Exists(const std::string& name) const;

  // Warnings and errors the server has logged since the last call.
  std::vector<std::string> TakeWarnings();
  // Waits until there are so many; the test fails if they do not come.
  std::vector<std::string> WaitForWarnings(size_t count);

  std::string dir_, export_;
  std::string fdkeeper_;  // the program; set before SetUp
  Config config_;
  std::shared_ptr<TlsContext> server_tls_, client_tls_;
  std::unique_ptr<DataServer> server_;

 private:
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> log_;
  std::shared_ptr<spdlog::logger> old_logger_;
  size_t seen_ = 0;
};

}  // namespace omfs::testing
