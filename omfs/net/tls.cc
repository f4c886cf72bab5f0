#include "omfs/net/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <charconv>
#include <chrono>

#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr size_t kChunk = 256 * 1024;

std::string SslError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

// Number from the certificate's DNS name "node-<N>.omfs"; 0 if there is none.
NodeId NodeOf(X509* cert) {
  NodeId node;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    const std::string_view s(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                             ASN1_STRING_length(name->d.dNSName));
    if (!s.starts_with("node-") || !s.ends_with(".omfs")) continue;
    const std::string_view digits = s.substr(5, s.size() - 10);
    uint16_t v = 0;
    auto [p, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
    if (ec == std::errc() && p == digits.data() + digits.size()) node = NodeId(v);
  }
  GENERAL_NAMES_free(names);
  return node;
}

void SetNoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

absl::Status PollFor(int fd, short events, int timeout_ms) {
  pollfd p{fd, events, 0};
  for (;;) {
    const int n = poll(&p, 1, timeout_ms);
    if (n > 0) return absl::OkStatus();
    if (n == 0) return absl::DeadlineExceededError("timed out");
    if (errno != EINTR) return ErrnoStatus(errno, "poll");
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Load(const std::string& dir) {
  auto ctx = std::make_shared<TlsContext>();
  const std::string ca = dir + "/ca.crt", crt = dir + "/node.crt", key = dir + "/node.key";
  for (const std::string& f : {ca, crt, key}) {
    if (access(f.c_str(), R_OK) != 0) return ErrnoStatus(errno, fmt::format("cannot read {}", f));
  }
  for (bool server : {true, false}) {
    SSL_CTX* c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (c == nullptr) return Internal("TLS: {}", SslError());
    (server ? ctx->server_ : ctx->client_).reset(c);
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_mode(c, SSL_MODE_AUTO_RETRY | SSL_MODE_ENABLE_PARTIAL_WRITE);
    // Sessions are long; tickets would only add messages and state.
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    if (SSL_CTX_load_verify_locations(c, ca.c_str(), nullptr) != 1) {
      return InvalidArgument("{}: not a CA certificate: {}", ca, SslError());
    }
    if (SSL_CTX_use_certificate_chain_file(c, crt.c_str()) != 1) {
      return InvalidArgument("{}: not a certificate: {}", crt, SslError());
    }
    if (SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return InvalidArgument("{}: not the key of {}: {}", key, crt, SslError());
    }
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  ctx->node_ = NodeOf(SSL_CTX_get0_certificate(ctx->server_.get()));
  if (!ctx->node_.valid()) {
    return InvalidArgument("{}: names no node (want a DNS name node-N.omfs)", crt);
  }
  return ctx;
}

TlsStream::TlsStream(std::unique_ptr<SSL, Free> ssl, ScopedFd fd)
    : ssl_(std::move(ssl)), fd_(std::move(fd)), chunk_(kChunk), out_chunk_(kChunk) {
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl_.get(), in_, out_);
}

TlsStream::~TlsStream() = default;

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Connect(const std::shared_ptr<TlsContext>& ctx,
                                                              const std::string& address,
                                                              uint16_t port, NodeId expect,
                                                              int timeout_ms) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const std::string port_text = std::to_string(port);
  if (int rc = getaddrinfo(address.c_str(), port_text.c_str(), &hints, &list); rc != 0) {
    // AI_ADDRCONFIG ignores loopback: a machine with nothing else must still reach itself.
    hints.ai_flags = AI_NUMERICSERV;
    rc = getaddrinfo(address.c_str(), port_text.c_str(), &hints, &list);
    if (rc != 0) return Unavailable("address {}: {}", address, gai_strerror(rc));
  }
  absl::Status last = Unavailable("address {}: no addresses", address);
  ScopedFd fd;
  for (addrinfo* a = list; a != nullptr; a = a->ai_next) {
    ScopedFd s(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!s) continue;
    int err = 0;
    if (connect(s.get(), a->ai_addr, a->ai_addrlen) != 0) err = errno;
    if (err == EINPROGRESS) {
      if (absl::Status p = PollFor(s.get(), POLLOUT, timeout_ms); !p.ok()) {
        err = ETIMEDOUT;
      } else {
        socklen_t len = sizeof err;
        getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &err, &len);
      }
    }
    if (err == 0) {
      fd = std::move(s);
      break;
    }
    last = Unavailable("address {} port {}: {}", address, port, strerror(err));
  }
  freeaddrinfo(list);
  if (!fd) return last;
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  SetNoDelay(fd.get());
  std::unique_ptr<SSL, Free> ssl(SSL_new(ctx->client()));
  if (!ssl) return Internal("TLS: {}", SslError());
  SSL_set_connect_state(ssl.get());
  std::unique_ptr<TlsStream> s(new TlsStream(std::move(ssl), std::move(fd)));
  if (absl::Status st = s->Handshake(timeout_ms, expect); !st.ok()) {
    return Unavailable("address {} port {}: {}", address, port, Text(st));
  }
  return s;
}

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Accept(const std::shared_ptr<TlsContext>& ctx,
                                                             ScopedFd socket, int timeout_ms) {
  SetNoDelay(socket.get());
  std::unique_ptr<SSL, Free> ssl(SSL_new(ctx->server()));
  if (!ssl) return Internal("TLS: {}", SslError());
  SSL_set_accept_state(ssl.get());
  std::unique_ptr<TlsStream> s(new TlsStream(std::move(ssl), std::move(socket)));
  OMFS_RETURN_IF_ERROR(s->Handshake(timeout_ms, NodeId()));
  return s;
}

absl::Status TlsStream::Handshake(int timeout_ms, NodeId expect) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  std::lock_guard write_lock(write_mutex_);
  for (;;) {
    const int rc = SSL_do_handshake(ssl_.get());
    const int why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), rc);
    const std::string error = rc == 1 || why == SSL_ERROR_WANT_READ ? "" : SslError();
    OMFS_RETURN_IF_ERROR(FlushOutput());
    if (rc == 1) break;
    if (why != SSL_ERROR_WANT_READ) return absl::UnauthenticatedError("TLS handshake: " + error);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("TLS handshake timed out");
    OMFS_RETURN_IF_ERROR(PollFor(fd_.get(), POLLIN, static_cast<int>(left.count())));
    auto filled = Fill(false);
    if (!filled.ok()) return filled.status();
  }
  std::unique_ptr<X509, decltype(&X509_free)> cert(SSL_get1_peer_certificate(ssl_.get()), X509_free);
  if (cert) peer_ = NodeOf(cert.get());
  if (!peer_.valid()) return absl::UnauthenticatedError("the peer's certificate names no node");
  if (expect.valid() && peer_ != expect) {
    return absl::UnauthenticatedError(
        fmt::format("reached node {} instead of node {}", peer_.value, expect.value));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TlsStream::Fill(bool block) {
  for (;;) {
    const ssize_t n = recv(fd_.get(), chunk_.data(), chunk_.size(), block ? 0 : MSG_DONTWAIT);
    if (n > 0) {
      std::lock_guard lock(ssl_mutex_);
      BIO_write(in_, chunk_.data(), static_cast<int>(n));
      return true;
    }
    if (n == 0) return Unavailable("closed by peer");
    if (errno == EINTR) continue;
    if (!block && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    return ErrnoStatus(errno, "recv");
  }
}

absl::StatusOr<size_t> TlsStream::Decrypt(std::span<std::byte> buf) {
  std::lock_guard lock(ssl_mutex_);
  size_t got = 0;
  while (got < buf.size()) {
    size_t n = 0;
    const int rc = SSL_read_ex(ssl_.get(), buf.data() + got, buf.size() - got, &n);
    if (rc == 1) {
      got += n;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), rc);
    if (why == SSL_ERROR_WANT_READ) break;
    if (got > 0) break;
    if (why == SSL_ERROR_ZERO_RETURN) return Unavailable("closed by peer");
    return Unavailable("TLS: {}", SslError());
  }
  return got;
}

absl::Status TlsStream::ReadExact(std::span<std::byte> buf) {
  while (!buf.empty()) {
    OMFS_ASSIGN_OR_RETURN(const size_t n, Decrypt(buf));
    buf = buf.subspan(n);
    if (buf.empty()) break;
    if (shut_) return Unavailable("connection was shut down");
    if (n == 0) {
      auto filled = Fill(true);
      if (!filled.ok()) return filled.status();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> TlsStream::TryRead(std::span<std::byte> buf) {
  for (;;) {
    OMFS_ASSIGN_OR_RETURN(const size_t n, Decrypt(buf));
    if (n > 0 || buf.empty()) return n;
    OMFS_ASSIGN_OR_RETURN(const bool filled, Fill(false));
    if (!filled) return static_cast<size_t>(0);
  }
}

absl::Status TlsStream::FlushOutput() {
  for (;;) {
    int n;
    {
      std::lock_guard lock(ssl_mutex_);
      n = BIO_read(out_, out_chunk_.data(), static_cast<int>(out_chunk_.size()));
    }
    if (n <= 0) return absl::OkStatus();
    size_t sent = 0;
    while (sent < static_cast<size_t>(n)) {
      const ssize_t w = send(fd_.get(), out_chunk_.data() + sent, n - sent, MSG_NOSIGNAL);
      if (w >= 0) {
        sent += w;
      } else if (errno != EINTR) {
        return ErrnoStatus(errno, "send");
      }
    }
  }
}

absl::Status TlsStream::Write(std::span<const iovec> parts) {
  std::lock_guard write_lock(write_mutex_);
  if (shut_) return Unavailable("connection was shut down");
  // Small parts are joined into one record; large ones go out in pieces while the next is encrypted.
  constexpr size_t kRecord = 16 * 1024;
  std::byte joined[kRecord];
  size_t fill = 0;
  size_t unsent = 0;
  const auto encrypt = [&](const void* data, size_t size) -> absl::Status {
    std::lock_guard lock(ssl_mutex_);
    const auto* p = static_cast<const std::byte*>(data);
    while (size > 0) {
      size_t n = 0;
      if (SSL_write_ex(ssl_.get(), p, size, &n) != 1) return Unavailable("TLS: {}", SslError());
      p += n;
      size -= n;
    }
    return absl::OkStatus();
  };
  for (const iovec& part : parts) {
    const auto* p = static_cast<const std::byte*>(part.iov_base);
    size_t left = part.iov_len;
    while (left > 0) {
      const size_t n = std::min(left, kRecord - fill);
      if (fill == 0 && n == kRecord) {
        OMFS_RETURN_IF_ERROR(encrypt(p, n));
        unsent += n;
      } else {
        memcpy(joined + fill, p, n);
        fill += n;
        if (fill == kRecord) {
          OMFS_RETURN_IF_ERROR(encrypt(joined, fill));
          unsent += fill;
          fill = 0;
        }
      }
      p += n;
      left -= n;
      if (unsent >= kChunk / 2) {
        OMFS_RETURN_IF_ERROR(FlushOutput());
        unsent = 0;
      }
    }
  }
  if (fill > 0) OMFS_RETURN_IF_ERROR(encrypt(joined, fill));
  return FlushOutput();
}

absl::Status TlsStream::Write(std::span<const std::byte> bytes) {
  const iovec v{const_cast<std::byte*>(bytes.data()), bytes.size()};
  return Write(std::span<const iovec>(&v, 1));
}

void TlsStream::Shutdown() {
  shut_ = true;
  shutdown(fd_.get(), SHUT_RDWR);
}

absl::StatusOr<ScopedFd> ListenTcp(const std::string& address, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (int rc = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list); rc != 0) {
    return InvalidArgument("address {}: {}", address, gai_strerror(rc));
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  ScopedFd fd(socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoStatus(errno, "socket");
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0 || listen(fd.get(), 128) != 0) {
    return ErrnoStatus(errno, fmt::format("address {} port {}", address, port));
  }
  return fd;
}

uint16_t LocalPort(int fd) {
  sockaddr_storage a{};
  socklen_t len = sizeof a;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&a), &len) != 0) return 0;
  if (a.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&a)->sin_port);
  if (a.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&a)->sin6_port);
  return 0;
}

}  // namespace omfs
