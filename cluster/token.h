// Join tokens: what an administrator carries from the CA's node to a new one (`mosctl token`, `mosctl join`).
//
// A token is one printable string: "omfs1." + base64url of its fixed fields + "@" + ADDRESS:PORT of the CA
// node's control plane. The fields: fingerprint of the CA's certificate (so that the new node knows whom to trust), the
// CA node's number, the number the token is for (0: any that has no certificate yet), its expiry, a nonce, and an HMAC
// over all of these with a key only the CA's node can derive. So the CA keeps no list of tokens: a token is good
// for any number of joins until it expires.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "omfs/base/ids.h"

namespace omfs {

struct JoinToken {
  std::string fingerprint;  // of the CA's certificate, 32 bytes
  NodeId ca_node;
  NodeId for_node;        // not valid(): any number
  int64_t expires = 0;    // seconds since 1970
  std::string nonce;      // 16 bytes
  std::string mac;        // 32 bytes
  std::string address;    // of the CA's node
  uint16_t port = 0;      // its control port
};

// Makes a token of the CA in pki_dir.
absl::StatusOr<JoinToken> MakeToken(const std::string& pki_dir, NodeId ca_node, NodeId for_node,
                                    int64_t expires, const std::string& address, uint16_t port);

std::string FormatToken(const JoinToken& token);
// kInvalidArgument when the text is no token.
absl::StatusOr<JoinToken> ParseToken(std::string_view text);

// At the CA: may a node of this number join with this token now (seconds since 1970)? kPermissionDenied says why not.
absl::Status CheckToken(const std::string& pki_dir, const JoinToken& token, NodeId node, int64_t now);

}  // namespace omfs
