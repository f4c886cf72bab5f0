// A TCP relay between a client and a server that fails on request: cuts connections after a number
// of bytes, stalls, refuses.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "omfs/base/scoped_fd.h"

namespace omfs::testing {

// Thread-safe.
class FlakyProxy {
 public:
  explicit FlakyProxy(uint16_t server_port);
  ~FlakyProxy();
  uint16_t port() const { return port_; }

  // Connections made from now on are cut after a random number of bytes up to `most` (0 = never).
  void CutAfter(uint64_t most) { most_ = most; }
  // Connections that exist end now.
  void CutNow();
  // Bytes stay where they are; nothing is closed (what SIGSTOP of the server looks like).
  void Stall(bool on) { stalled_ = on; }
  int connections() const { return connections_; }

 private:
  struct Pair {
    ScopedFd client, server;
  };
  void Accept();
  void Relay(const std::shared_ptr<Pair>& pair);

  const uint16_t server_port_;
  ScopedFd listener_;
  uint16_t port_;
  std::atomic<uint64_t> most_{0};
  std::atomic<bool> stalled_{false};
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::mutex mu_;
  std::mt19937_64 random_{1};
  std::vector<std::shared_ptr<Pair>> pairs_;
  std::vector<std::thread> relays_;
  std::thread acceptor_;
};

}  // namespace omfs::testing
