#include "tools/membership.h"

#include <charconv>
#include <ctime>
#include <limits>

#include "cluster/control_client.h"
#include "cluster/files.h"
#include "cluster/pki.h"
#include "cluster/token.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

std::string DefaultName(uint32_t node) { return fmt::format("node{}", node); }

// One word, so that it can stand in the node map.
bool IsWord(const std::string& s) { return !s.empty() && s.find_first_of(" \t\r\n#") == s.npos; }

// The configuration file's settings; the file is made if missing. The node map is not read: it may not exist yet.
absl::StatusOr<Config> ConfigFor(const NewNode& request) {
  if (request.node < 1 || request.node > 65535) {
    return InvalidArgument("node number {} is not in 1..65535", request.node);
  }
  const std::string& path = request.config_path;
  if (!FileExists(path)) {
    std::string text = fmt::format("node = {}\n", request.node);
    const std::string dir = DirectoryOf(path);
    if (dir != DirectoryOf(kDefaultConfigPath)) {
      if (dir[0] != '/') return InvalidArgument("--config {}: want an absolute path", path);
      text += fmt::format("nodes = {0}/nodes\npki = {0}/pki\n", dir);
    }
    OMFS_RETURN_IF_ERROR(MakeDirectories(dir, 0755));
    OMFS_RETURN_IF_ERROR(WriteFileAtomically(path, text, 0644));
  }
  OMFS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path));
  OMFS_ASSIGN_OR_RETURN(Config config, ParseConfig(text, path));
  if (config.node.value != request.node) {
    return FailedPrecondition("{} says node = {}, not {}", path, config.node.value, request.node);
  }
  const std::string certificate = config.pki_dir + "/" + kNodeCertificate;
  if (FileExists(certificate)) {
    return absl::AlreadyExistsError(
        fmt::format("this node belongs to a cluster already: {} exists", certificate));
  }
  return config;
}

// Makes the node map if missing; others: lines for other nodes.
absl::Status EnsureNodeMap(const Config& config, const NewNode& request, const std::string& others) {
  if (FileExists(config.node_map)) {
    OMFS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(config.node_map));
    OMFS_ASSIGN_OR_RETURN(const auto nodes, ParseNodeMap(text, config.node_map));
    for (const NodeEntry& n : nodes) {
      if (n.id == config.node) return absl::OkStatus();
    }
    return FailedPrecondition("{}: node {} is not in the map", config.node_map, config.node.value);
  }
  if (!IsWord(request.address)) {
    return InvalidArgument("give --address: there is no node map {} yet", config.node_map);
  }
  const std::string name = request.name.empty() ? DefaultName(request.node) : request.name;
  if (!IsWord(name)) return InvalidArgument("--name \"{}\": want one word", name);
  const std::string text =
      fmt::format("# NUMBER NAME ADDRESS [DATA-PORT [CONTROL-PORT]]; the same on every node\n{}{} {} {} {} {}\n",
                  others, request.node, name, request.address, config.data_port, config.control_port);
  OMFS_RETURN_IF_ERROR(ParseNodeMap(text, "node map").status());
  OMFS_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(config.node_map), 0755));
  return WriteFileAtomically(config.node_map, text, 0644);
}

absl::StatusOr<int64_t> Seconds(const std::string& ttl) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(ttl.data(), ttl.data() + ttl.size(), number);
  const std::string unit(end, ttl.data() + ttl.size());
  const int64_t scale = unit == "" || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600
                        : unit == "d" ? 86400 : 0;
  constexpr int64_t kMax = 10 * 365 * int64_t{86400};
  if (error != std::errc() || scale == 0 || number < 1 || number > kMax / scale) {
    return InvalidArgument("--ttl \"{}\": want a time like 90s, 30m, 24h or 7d", ttl);
  }
  return number * scale;
}

}  // namespace

absl::StatusOr<Membership> InitCluster(const NewNode& request) {
  OMFS_ASSIGN_OR_RETURN(const Config config, ConfigFor(request));
  OMFS_RETURN_IF_ERROR(EnsureNodeMap(config, request, ""));
  OMFS_RETURN_IF_ERROR(CreateCa(config.pki_dir));
  OMFS_ASSIGN_OR_RETURN(const KeyAndRequest own, MakeNodeRequest(config.node));
  OMFS_ASSIGN_OR_RETURN(const std::string certificate,
                        SignNodeRequest(config.pki_dir, own.request_pem, config.node));
  OMFS_ASSIGN_OR_RETURN(const std::string ca, ReadWholeFile(config.pki_dir + "/" + kCaCertificate));
  OMFS_RETURN_IF_ERROR(InstallNode(config.pki_dir, own.key_pem, certificate, ca));
  return Membership{config.node, request.config_path, config.pki_dir};
}

absl::StatusOr<Membership> JoinWithToken(const NewNode& request, const std::string& token_text) {
  OMFS_ASSIGN_OR_RETURN(const JoinToken token, ParseToken(token_text));
  if (token.expires < time(nullptr)) return FailedPrecondition("the token has expired");
  OMFS_ASSIGN_OR_RETURN(const Config config, ConfigFor(request));
  const std::string ca_node =
      fmt::format("{} {} {} {} {}\n", token.ca_node.value, DefaultName(token.ca_node.value),
                  token.address, kDefaultDataPort, token.port);
  OMFS_RETURN_IF_ERROR(EnsureNodeMap(config, request, ca_node));
  OMFS_ASSIGN_OR_RETURN(const KeyAndRequest own, MakeNodeRequest(config.node));
  OMFS_ASSIGN_OR_RETURN(const Joined joined, JoinCluster(token, config.node, own.request_pem));
  OMFS_RETURN_IF_ERROR(
      InstallNode(config.pki_dir, own.key_pem, joined.certificate_pem, joined.ca_pem));
  return Membership{config.node, request.config_path, config.pki_dir};
}

absl::StatusOr<NewToken> MakeJoinToken(const std::string& config_path, const std::string& ttl,
                                       uint32_t for_node) {
  if (for_node > 65535) return InvalidArgument("node number {} is not in 1..65535", for_node);
  OMFS_ASSIGN_OR_RETURN(const int64_t seconds, Seconds(ttl));
  OMFS_ASSIGN_OR_RETURN(const Config config, LoadConfig(config_path));
  if (!FileExists(config.pki_dir + "/" + kCaKey)) {
    return FailedPrecondition("this node does not hold the cluster's CA (no {}/{})", config.pki_dir,
                              kCaKey);
  }
  const NodeEntry* self = config.Find(config.node);
  NewToken out;
  out.expires = time(nullptr) + seconds;
  OMFS_ASSIGN_OR_RETURN(
      const JoinToken token,
      MakeToken(config.pki_dir, config.node, NodeId(static_cast<uint16_t>(for_node)), out.expires,
                self->address, self->control_port));
  out.text = FormatToken(token);
  return out;
}

}  // namespace omfs
