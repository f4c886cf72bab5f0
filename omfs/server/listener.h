// Accepts connections and gives each a thread that shakes hands and reads its requests.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "omfs/server/dispatcher.h"
#include "omfs/server/greeting.h"
#include "omfs/server/hlc.h"

namespace omfs {

// Thread-safe.
class Listener {
 public:
  // All outlive it.
  Listener(std::shared_ptr<TlsContext> tls, Greeting* greeting, Dispatcher* dispatcher,
           HybridClock* clock)
      : tls_(std::move(tls)), greeting_(greeting), dispatcher_(dispatcher), clock_(clock) {}
  ~Listener() { Close(); }

  absl::Status Start(const std::string& address, uint16_t port);
  uint16_t port() const { return port_; }

  // Takes no more connections and no more requests of the present ones; what is under way can still
  // be answered.
  void StopReading();
  // Closes all connections and waits for their threads.
  void Close();
  // Closes connections that do not say HELLO, clears away the ended ones. Called every second or
  // so.
  void Sweep();

 private:
  struct Client {
    std::thread thread;
    std::shared_ptr<Connection> connection;  // nullptr until the handshake is done
    bool ended = false;
  };

  void Accept();
  void Serve(ScopedFd socket, const std::string& address, std::list<Client>::iterator self);
  // Reads requests until the connection ends. The status says why; OK: an ordinary end.
  absl::Status ReadRequests(const std::shared_ptr<Connection>& connection);

  const std::shared_ptr<TlsContext> tls_;
  Greeting* const greeting_;
  Dispatcher* const dispatcher_;
  HybridClock* const clock_;
  ScopedFd socket_;
  uint16_t port_ = 0;
  std::thread accepting_;
  std::mutex mutex_;
  std::list<Client> clients_;  // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
};

}  // namespace omfs
