// Mutually authenticated TLS 1.3 streams between nodes.
//
// A node proves who it is with a certificate of the cluster's CA; its number stands in the certificate as the
// DNS name "node-<N>.omfs". Both ends check the other's chain; a client also checks that it reached the node
// it meant.
//
// A TlsStream keeps the OpenSSL state apart from the socket (memory BIOs), so that one thread may read while
// others write: `ssl_mutex_` guards the OpenSSL object for the short time of a record's (de)cryption,
// `write_mutex_` keeps records in the order they were encrypted. Lock order: write_mutex_, then ssl_mutex_.
#pragma once

#include <openssl/ssl.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"

namespace omfs {

// Certificates and keys of this node. Immutable after Load; thread-safe.
class TlsContext {
 public:
  // dir holds ca.crt, node.crt, node.key (PEM). Errors name the file.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Load(const std::string& dir);

  SSL_CTX* server() const { return server_.get(); }
  SSL_CTX* client() const { return client_.get(); }
  // This node's number, from its own certificate.
  NodeId node() const { return node_; }

 private:
  struct Free {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
  };
  std::unique_ptr<SSL_CTX, Free> server_, client_;
  NodeId node_;
};

class TlsStream {
 public:
  // Connects within timeout_ms. expect: the node the certificate must name.
  static absl::StatusOr<std::unique_ptr<TlsStream>> Connect(const std::shared_ptr<TlsContext>& ctx,
                                                            const std::string& address, uint16_t port,
                                                            NodeId expect, int timeout_ms);
  // Server side of the handshake on an accepted socket.
  static absl::StatusOr<std::unique_ptr<TlsStream>> Accept(const std::shared_ptr<TlsContext>& ctx,
                                                           ScopedFd socket, int timeout_ms);
  ~TlsStream();

  NodeId peer() const { return peer_; }
  // For poll/epoll only. Readable does not mean that decrypted data is not already buffered: see TryRead.
  int fd() const { return fd_.get(); }

  // Reads exactly buf.size() bytes; blocks. NotFound-free: kUnavailable "closed by peer" at end of stream.
  // One reader at a time.
  absl::Status ReadExact(std::span<std::byte> buf);
  // Reads at least 1 byte if any can be had without blocking; 0 = would block.
  absl::StatusOr<size_t> TryRead(std::span<std::byte> buf);

  // Writes all parts in order as one unit: bytes of other writers never come between. Blocks.
  absl::Status Write(std::span<const iovec> parts);
  absl::Status Write(std::span<const std::byte> bytes);

  // Fails every blocked and later Read and Write, from any thread.
  void Shutdown();

 private:
  struct Free {
    void operator()(SSL* s) const { SSL_free(s); }
  };
  TlsStream(std::unique_ptr<SSL, Free> ssl, ScopedFd fd);
  absl::Status Handshake(int timeout_ms, NodeId expect);
  // Feeds one chunk of ciphertext from the socket to OpenSSL. false = would block.
  absl::StatusOr<bool> Fill(bool block);
  absl::Status FlushOutput();  // write_mutex_ held
  absl::StatusOr<size_t> Decrypt(std::span<std::byte> buf);

  std::mutex write_mutex_;
  std::mutex ssl_mutex_;
  std::unique_ptr<SSL, Free> ssl_;
  BIO* in_ = nullptr;   // owned by ssl_
  BIO* out_ = nullptr;  // owned by ssl_
  ScopedFd fd_;
  NodeId peer_;
  std::vector<std::byte> chunk_;      // reader only
  std::vector<std::byte> out_chunk_;  // write_mutex_
  std::atomic<bool> shut_{false};
};

// A listening TCP socket. Errors name address and port ("address 10.0.0.1 port 4660: Address already in use").
absl::StatusOr<ScopedFd> ListenTcp(const std::string& address, uint16_t port);
// The port a listening socket is bound to.
uint16_t LocalPort(int fd);

}  // namespace omfs
