#include "omfs/fdkeeper/keeping.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace omfs::fdkeeper {
namespace {

// omfsd has one; the next one may come before the last one's is seen to be closed.
constexpr size_t kMaxConnections = 16;

}  // namespace

Keeping::Keeping(ScopedFd listener, std::string path, std::chrono::seconds patience)
    : listener_(std::move(listener)), path_(std::move(path)), patience_(patience) {
  if (stat(path_.c_str(), &name_) != 0) name_ = {};
}

void Keeping::Run() {
  bool served = false;  // omfsd starts the keeper first and connects then
  Clock::time_point alone_since = Clock::now();
  for (;;) {
    int timeout = -1;
    if (connections_.empty()) {
      if (served && (held_.empty() || !IsNamed())) return;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(alone_since + patience_ - Clock::now());
      if (left.count() <= 0) return;
      timeout = static_cast<int>(left.count());
    }
    std::vector<pollfd> fds;
    for (const ScopedFd& c : connections_) fds.push_back({c.get(), POLLIN, 0});
    fds.push_back({connections_.size() < kMaxConnections ? listener_.get() : -1, POLLIN, 0});
    if (poll(fds.data(), fds.size(), timeout) <= 0) continue;
    const bool knock = fds.back().revents != 0;
    // The oldest first, and all that each has sent: what a killed omfsd handed over last may still lie in its
    // connection, and the next one asks for everything.
    size_t kept = 0;
    for (size_t i = 0; i < connections_.size(); ++i) {
      if (fds[i].revents != 0 && !Serve(connections_[i].get())) continue;
      if (kept != i) connections_[kept] = std::move(connections_[i]);
      ++kept;
    }
    if (kept < connections_.size()) alone_since = Clock::now();
    connections_.resize(kept);
    if (!knock) continue;
    Accept();
    served = true;
  }
}

void Keeping::Accept() {
  ScopedFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  // The directory lets nobody else in; this is for the day when it does.
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) return;
  connections_.push_back(std::move(connection));
}

bool Keeping::Serve(int connection) {
  for (;;) {
    Message message;
    ScopedFd fd;
    const Received received = Receive(connection, &message, &fd);
    if (received == Received::kNothing) return true;
    if (received != Received::kMessage || !Obey(connection, message, std::move(fd))) return false;
  }
}

bool Keeping::Obey(int connection, const Message& message, ScopedFd fd) {
  switch (message.op) {
    case Op::kPut:
      held_[message.key] = std::move(fd);
      return true;
    case Op::kDrop:
      held_.erase(message.key);
      return true;
    case Op::kNext: {
      // Who does not take the answers he asked for is none of ours: the connection does not block.
      const auto next = held_.upper_bound(message.key);
      const uint64_t count = held_.size();
      if (next == held_.end()) return Send(connection, {Op::kEnd, count, {}}) == 0;
      return Send(connection, {Op::kItem, count, next->first}, next->second.get()) == 0;
    }
    case Op::kItem:
    case Op::kEnd:
      break;
  }
  return false;
}

bool Keeping::IsNamed() const {
  struct stat now;
  return stat(path_.c_str(), &now) == 0 && now.st_ino == name_.st_ino && now.st_dev == name_.st_dev;
}

}  // namespace omfs::fdkeeper
