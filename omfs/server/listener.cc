#include "omfs/server/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <system_error>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/identity.h"

namespace omfs {
namespace {

constexpr int kHandshakeMs = 10'000;
constexpr auto kHelloTime = std::chrono::seconds(10);
constexpr size_t kMaxConnections = 1024;
// A client that takes no replies for so long is given up, so that it cannot hold threads for ever.
constexpr timeval kSendTimeout{30, 0};

std::string AddressOf(const sockaddr_storage& a) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (a.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(a);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(in.sin_port));
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(a);
  inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
  return fmt::format("[{}]:{}", text, ntohs(in.sin6_port));
}

}  // namespace

absl::Status Listener::Start(const std::string& address, uint16_t port) {
  OMFS_ASSIGN_OR_RETURN(socket_, ListenTcp(address, port));
  port_ = LocalPort(socket_.get());
  accepting_ = std::thread([this] { Accept(); });
  return absl::OkStatus();
}

void Listener::Accept() {
  for (;;) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    ScopedFd socket(
        accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
    const int error = errno;
    std::unique_lock lock(mutex_);
    if (stopping_) return;
    if (!socket) {
      lock.unlock();
      if (error == EINTR || error == ECONNABORTED) continue;
      // Out of descriptors or memory: others must end first.
      SPDLOG_ERROR("accept: {}", strerror(error));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    if (clients_.size() >= kMaxConnections) {
      SPDLOG_WARN("connection refused: {}: {} connections are open", AddressOf(peer),
                  clients_.size());
      continue;
    }
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
    const auto self = clients_.emplace(clients_.end());
    const std::string address = AddressOf(peer);
    auto owned = std::make_shared<ScopedFd>(std::move(socket));
    try {
      self->thread =
          std::thread([this, self, owned, address] { Serve(std::move(*owned), address, self); });
    } catch (const std::system_error& e) {
      SPDLOG_ERROR("connection refused: {}: {}", address, e.what());
      clients_.erase(self);
    }
  }
}

void Listener::Serve(ScopedFd socket, const std::string& address,
                     std::list<Client>::iterator self) {
  ThreadIdentity::Enter();
  std::shared_ptr<Connection> connection;
  auto stream = TlsStream::Accept(tls_, std::move(socket), kHandshakeMs);
  if (!stream.ok()) {
    SPDLOG_WARN("connection refused: {}: {}", address, Text(stream.status()));
  } else {
    connection = std::make_shared<Connection>(std::move(*stream), address, clock_);
    std::unique_lock lock(mutex_);
    self->connection = connection;
    const bool late = stopping_;
    lock.unlock();
    if (!late) {
      const absl::Status why = ReadRequests(connection);
      if (!why.ok()) {
        SPDLOG_WARN("connection closed: {}: {}", connection->Name(), Text(why));
        connection->Close();
      }
    }
  }
  std::lock_guard lock(mutex_);
  self->ended = true;
}

absl::Status Listener::ReadRequests(const std::shared_ptr<Connection>& connection) {
  for (;;) {
    Message message;
    const absl::Status s = connection->Receive(&message);
    if (absl::IsOutOfRange(s)) return absl::OkStatus();
    if (absl::IsUnimplemented(s)) {
      Greeting::RefuseVersion(*connection, message.header);
      return s;
    }
    OMFS_RETURN_IF_ERROR(s);
    if (connection->session() == nullptr) {
      ThreadIdentity::BecomeDaemon();
      OMFS_RETURN_IF_ERROR(greeting_->Greet(connection, message));
    } else {
      connection->set_handling(true);
      const absl::Status handled = dispatcher_->Handle(connection, std::move(message));
      connection->set_handling(false);
      OMFS_RETURN_IF_ERROR(handled);
    }
  }
}

void Listener::StopReading() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    for (const Client& c : clients_) {
      if (c.connection != nullptr) c.connection->StopReading();
    }
  }
  if (socket_) shutdown(socket_.get(), SHUT_RDWR);
  if (accepting_.joinable()) accepting_.join();
}

void Listener::Close() {
  StopReading();
  {
    std::lock_guard lock(mutex_);
    for (const Client& c : clients_) {
      if (c.connection != nullptr) c.connection->Close();
    }
  }
  for (;;) {
    std::unique_lock lock(mutex_);
    if (clients_.empty()) return;
    std::thread thread = std::move(clients_.front().thread);
    lock.unlock();
    thread.join();
    lock.lock();
    clients_.pop_front();
  }
}

void Listener::Sweep() {
  std::list<Client> ended;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    const auto limit = std::chrono::steady_clock::now() - kHelloTime;
    for (auto it = clients_.begin(); it != clients_.end();) {
      const auto next = std::next(it);
      if (it->ended) {
        ended.splice(ended.end(), clients_, it);
      } else if (it->connection != nullptr && it->connection->session() == nullptr &&
                 it->connection->accepted() < limit) {
        it->connection->Close();
      }
      it = next;
    }
  }
  for (Client& c : ended) c.thread.join();
}

}  // namespace omfs
