#include "cluster/control_channel.h"

#include <grpc/support/log.h>

#include <string_view>

#include "cluster/files.h"
#include "cluster/pki.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

void LogFromGrpc(gpr_log_func_args* args) {
  const std::string_view message(args->message);
  if (message.find("Handshake failed") != message.npos) {
    spdlog::warn("control_refused reason={}", Quoted(message));
  } else {
    spdlog::debug("grpc message={}", Quoted(message));
  }
}

// gRPC wraps the reason in what it did: "failed to connect to all addresses; last error: UNKNOWN: ipv4:...: reason".
std::string Reason(const std::string& message) {
  static constexpr std::string_view kLast = "last error: ";
  const auto last = message.rfind(kLast);
  std::string reason = last == message.npos ? message : message.substr(last + kLast.size());
  for (char& c : reason) {
    if (c == '\n') c = ' ';
  }
  return reason;
}

}  // namespace

void TakeOverGrpcLog() {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
  gpr_set_log_function(LogFromGrpc);
}

absl::StatusOr<ControlKeys> LoadControlKeys(const std::string& pki_dir) {
  ControlKeys keys;
  OMFS_ASSIGN_OR_RETURN(keys.key_pem, ReadWholeFile(pki_dir + "/" + kNodeKey));
  OMFS_ASSIGN_OR_RETURN(keys.chain_pem, ReadWholeFile(pki_dir + "/" + kNodeCertificate));
  OMFS_ASSIGN_OR_RETURN(keys.ca_pem, ReadWholeFile(pki_dir + "/" + kCaCertificate));
  keys.chain_pem += keys.ca_pem;
  return keys;
}

std::string HostPort(const std::string& address, uint16_t port) {
  const bool ipv6 = address.find(':') != address.npos && address.front() != '[';
  return fmt::format("{}{}{}:{}", ipv6 ? "[" : "", address, ipv6 ? "]" : "", port);
}

std::shared_ptr<grpc::Channel> MakeControlChannel(const ControlKeys& keys, const std::string& address,
                                                  uint16_t port, NodeId node) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = keys.ca_pem;
  ssl.pem_private_key = keys.key_pem;
  ssl.pem_cert_chain = keys.chain_pem;
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride(NodeDnsName(node));
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A connection over a link that was cut must not swallow calls after the link is back.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 4000);
  return grpc::CreateCustomChannel(HostPort(address, port), grpc::SslCredentials(ssl), args);
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = Reason(status.error_message());
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::UnavailableError(fmt::format("{} does not answer", what));
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(fmt::format("{} cannot be reached: {}", what, text));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      fmt::format("{}: {}", what, text));
}

}  // namespace omfs
