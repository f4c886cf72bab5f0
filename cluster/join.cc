// Joining: how a node without a certificate gets one.
//
// The new node trusts nobody yet but has the fingerprint of the CA's certificate in its token. It first opens a bare TLS
// connection to the CA's node, checking nothing, only to see the certificates it presents; the one with the right
// fingerprint is the CA's. From there on it is ordinary: a gRPC channel that accepts only the CA's node under exactly
// that CA, on which token and request are sent. Somebody in between sees neither.
#include <netdb.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>

#include "cluster/control_channel.h"
#include "cluster/control_client.h"
#include "cluster/pki.h"
#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"
#include "proto/control.grpc.pb.h"

namespace omfs {
namespace {

constexpr int kTimeoutSeconds = 10;

absl::StatusOr<ScopedFd> ConnectTo(const std::string& address, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (int rc = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list); rc != 0) {
    return Unavailable("{}: {}", HostPort(address, port), gai_strerror(rc));
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  int error = EHOSTUNREACH;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    ScopedFd fd(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) continue;
    // Bounds connect(2) as well as the handshake's sends and receives.
    const timeval limit{kTimeoutSeconds, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd.get(), a->ai_addr, a->ai_addrlen) == 0) return fd;
    error = errno == EINPROGRESS ? ETIMEDOUT : errno;
  }
  return Unavailable("{}: {}", HostPort(address, port), strerror(error));
}

absl::StatusOr<std::string> PemOf(X509* certificate) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return Internal("certificate");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, size);
}

// The certificate with this fingerprint among those the server presents.
absl::StatusOr<std::string> FindCa(const JoinToken& token) {
  OMFS_ASSIGN_OR_RETURN(const ScopedFd fd, ConnectTo(token.address, token.port));
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                            SSL_CTX_free);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  static constexpr unsigned char kH2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), kH2, sizeof kH2);
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd.get());
  if (SSL_connect(ssl.get()) != 1) {
    return Unavailable("{}: no TLS server answers there", HostPort(token.address, token.port));
  }
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl.get());
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    OMFS_ASSIGN_OR_RETURN(std::string pem, PemOf(sk_X509_value(chain, i)));
    OMFS_ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(pem));
    if (fingerprint == token.fingerprint) return pem;
  }
  return absl::PermissionDeniedError(
      fmt::format("{} does not hold the CA that the token names", HostPort(token.address, token.port)));
}

}  // namespace

absl::StatusOr<Joined> JoinCluster(const JoinToken& token, NodeId node,
                                   const std::string& request_pem) {
  ControlKeys keys;
  OMFS_ASSIGN_OR_RETURN(keys.ca_pem, FindCa(token));
  const auto stub = control::Cluster::NewStub(
      MakeControlChannel(keys, token.address, token.port, token.ca_node));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(kTimeoutSeconds));
  control::JoinRequest request;
  request.set_token(FormatToken(token));
  request.set_node(node.value);
  request.set_csr_pem(request_pem);
  control::JoinReply reply;
  OMFS_RETURN_IF_ERROR(FromGrpc(stub->Join(&context, request, &reply),
                                fmt::format("node {} ({})", token.ca_node.value, token.address)));
  return Joined{reply.certificate_pem(), keys.ca_pem};
}

}  // namespace omfs
