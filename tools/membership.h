// mosctl's verbs that make a node a member of a cluster: init, token, join. They work on the node's files; only join
// talks to another node.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/config.h"

namespace omfs {

struct NewNode {
  std::string config_path;  // made if missing
  uint32_t node = 0;
  std::string name;     // for the node map, if that is made; empty: "node<N>"
  std::string address;  // the same
};

struct Membership {
  NodeId node;
  std::string config_path;
  std::string pki_dir;
};

// A new cluster of one node, which holds the CA.
absl::StatusOr<Membership> InitCluster(const NewNode& request);

// Makes this node a member with a token of the CA's node.
absl::StatusOr<Membership> JoinWithToken(const NewNode& request, const std::string& token);

struct NewToken {
  std::string text;
  int64_t expires = 0;  // seconds since 1970
};
// ttl: a number with s, m, h or d. for_node: 0 = any node that has no certificate yet.
absl::StatusOr<NewToken> MakeJoinToken(const std::string& config_path, const std::string& ttl,
                                       uint32_t for_node);

}  // namespace omfs
