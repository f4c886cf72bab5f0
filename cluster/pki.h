// The cluster's certificate authority and the certificates of its nodes.
//
// One node holds the CA's key (pki/ca.key). Every node has a key of its own that never leaves it, and a certificate that
// says its number as the DNS name "node-<N>.omfs". Keys are EC P-256. Certificates are dated a day back,
// because the clocks of the nodes need not agree.
//
// The CA remembers what it signed (pki/issued/<N>.crt): a second certificate for the same number would let
// its bearer act as that node, so it needs a token made for exactly this number (cluster/token.h).
//
// All functions are thread-safe except where two write the same directory.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "omfs/base/ids.h"

namespace omfs {

// File names within a pki directory.
inline constexpr char kCaCertificate[] = "ca.crt";
inline constexpr char kCaKey[] = "ca.key";
inline constexpr char kNodeCertificate[] = "node.crt";
inline constexpr char kNodeKey[] = "node.key";

struct KeyAndRequest {
  std::string key_pem;      // PKCS#8, unencrypted
  std::string request_pem;  // PKCS#10
};

// The DNS name that stands for a node in its certificate.
std::string NodeDnsName(NodeId node);

// Makes a CA in dir (made if missing): ca.crt (0644), ca.key (0600). kAlreadyExists if there is one.
absl::Status CreateCa(const std::string& dir);

// A fresh key and a certificate request for a node.
absl::StatusOr<KeyAndRequest> MakeNodeRequest(NodeId node);

// Signs a request with the CA in dir and records it as issued; gives the certificate as PEM. What the request says about
// itself is not used, only its key, whose possession it must prove.
absl::StatusOr<std::string> SignNodeRequest(const std::string& dir, const std::string& request_pem,
                                            NodeId node);
// Whether the CA in dir has signed a certificate for this number.
bool NodeWasIssued(const std::string& dir, NodeId node);

// Stores a node's key and certificate with the CA's in dir. Refuses a certificate that is not of this key or not signed by
// this CA.
absl::Status InstallNode(const std::string& dir, const std::string& key_pem,
                         const std::string& certificate_pem, const std::string& ca_pem);

// SHA-256 over the DER form of a PEM certificate: 32 bytes.
absl::StatusOr<std::string> Fingerprint(const std::string& certificate_pem);

// A secret only the holder of the CA's key in dir can compute: the key of join tokens. 32 bytes.
absl::StatusOr<std::string> TokenKey(const std::string& dir);

}  // namespace omfs
