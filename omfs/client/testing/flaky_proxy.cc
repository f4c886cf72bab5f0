#include "omfs/client/testing/flaky_proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>

#include "omfs/net/tls.h"

namespace omfs::testing {
namespace {

bool Forward(int from, int to, uint64_t* left) {
  char buf[4096];
  const ssize_t n = recv(from, buf, std::min<uint64_t>(sizeof buf, *left), 0);
  if (n <= 0) return false;
  *left -= n;
  return send(to, buf, n, MSG_NOSIGNAL) == n && *left > 0;
}

}  // namespace

FlakyProxy::FlakyProxy(uint16_t server_port) : server_port_(server_port) {
  auto fd = ListenTcp("127.0.0.1", 0);
  if (!fd.ok()) abort();
  listener_ = std::move(*fd);
  port_ = LocalPort(listener_.get());
  acceptor_ = std::thread([this] { Accept(); });
}

FlakyProxy::~FlakyProxy() {
  stop_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  CutNow();
  for (std::thread& t : relays_) t.join();
}

void FlakyProxy::CutNow() {
  std::lock_guard lock(mu_);
  for (const auto& p : pairs_) {
    shutdown(p->client.get(), SHUT_RDWR);
    shutdown(p->server.get(), SHUT_RDWR);
  }
  pairs_.clear();
}

void FlakyProxy::Accept() {
  while (!stop_) {
    ScopedFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    ++connections_;
    ScopedFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(server_port_);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(server.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) continue;
    auto pair = std::make_shared<Pair>(std::move(client), std::move(server));
    std::lock_guard lock(mu_);
    pairs_.push_back(pair);
    relays_.emplace_back([this, pair] { Relay(pair); });
  }
}

void FlakyProxy::Relay(const std::shared_ptr<Pair>& pair) {
  uint64_t left = ~0ull;
  if (const uint64_t most = most_; most != 0) {
    std::lock_guard lock(mu_);
    left = 1 + random_() % most;
  }
  for (;;) {
    pollfd fds[2] = {{pair->client.get(), POLLIN, 0}, {pair->server.get(), POLLIN, 0}};
    poll(fds, 2, 50);
    if (stop_) break;
    if (stalled_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if ((fds[0].revents | fds[1].revents) & POLLHUP) break;
      continue;
    }
    if (fds[0].revents != 0 && !Forward(pair->client.get(), pair->server.get(), &left)) break;
    if (fds[1].revents != 0 && !Forward(pair->server.get(), pair->client.get(), &left)) break;
  }
  shutdown(pair->client.get(), SHUT_RDWR);
  shutdown(pair->server.get(), SHUT_RDWR);
}

}  // namespace omfs::testing
