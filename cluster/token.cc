#include "cluster/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <charconv>

#include "cluster/files.h"
#include "cluster/pki.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr std::string_view kPrefix = "omfs1.";
constexpr size_t kFingerprint = 32, kNonce = 16, kMac = 32;
constexpr size_t kSigned = kFingerprint + 2 + 2 + 8 + kNonce;
constexpr size_t kFields = kSigned + kMac;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// base64url without padding (RFC 4648, 5).
std::string Encode(std::string_view bytes) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char c : bytes) {
    bits = bits << 8 | c;
    for (count += 8; count >= 6; count -= 6) out += kAlphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) out += kAlphabet[bits << (6 - count) & 63];
  return out;
}

bool Decode(std::string_view text, std::string* out) {
  const std::string_view alphabet(kAlphabet, 64);
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    const auto value = alphabet.find(c);
    if (value == alphabet.npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      *out += static_cast<char>(bits >> count & 255);
    }
  }
  return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

void PutNumber(uint64_t value, int bytes, std::string* out) {
  for (int i = bytes - 1; i >= 0; --i) *out += static_cast<char>(value >> (8 * i) & 255);
}

uint64_t TakeNumber(std::string_view* in, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>((*in)[i]);
  in->remove_prefix(bytes);
  return value;
}

std::string TakeBytes(std::string_view* in, size_t bytes) {
  std::string out(in->substr(0, bytes));
  in->remove_prefix(bytes);
  return out;
}

// What the MAC is computed over. The address is not part of it: it only says where to ask.
std::string SignedPart(const JoinToken& t) {
  std::string out = t.fingerprint;
  PutNumber(t.ca_node.value, 2, &out);
  PutNumber(t.for_node.value, 2, &out);
  PutNumber(static_cast<uint64_t>(t.expires), 8, &out);
  return out + t.nonce;
}

std::string Hmac(const std::string& key, const std::string& text) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return std::string(reinterpret_cast<const char*>(mac), size);
}

}  // namespace

absl::StatusOr<JoinToken> MakeToken(const std::string& pki_dir, NodeId ca_node, NodeId for_node,
                                    int64_t expires, const std::string& address, uint16_t port) {
  JoinToken t;
  OMFS_ASSIGN_OR_RETURN(const std::string key, TokenKey(pki_dir));
  OMFS_ASSIGN_OR_RETURN(const std::string ca, ReadWholeFile(pki_dir + "/" + kCaCertificate));
  OMFS_ASSIGN_OR_RETURN(t.fingerprint, Fingerprint(ca));
  t.ca_node = ca_node;
  t.for_node = for_node;
  t.expires = expires;
  t.nonce.resize(kNonce);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(t.nonce.data()), kNonce) != 1) {
    return Internal("no random numbers");
  }
  t.mac = Hmac(key, SignedPart(t));
  t.address = address;
  t.port = port;
  return t;
}

std::string FormatToken(const JoinToken& t) {
  return fmt::format("{}{}@{}:{}", kPrefix, Encode(SignedPart(t) + t.mac), t.address, t.port);
}

absl::StatusOr<JoinToken> ParseToken(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError("not a join token");
  if (!text.starts_with(kPrefix)) return bad;
  text.remove_prefix(kPrefix.size());
  const auto at = text.find('@');
  const auto colon = text.rfind(':');
  if (at == text.npos || colon == text.npos || colon <= at + 1) return bad;
  std::string bytes;
  if (!Decode(text.substr(0, at), &bytes) || bytes.size() != kFields) return bad;
  JoinToken t;
  std::string_view in(bytes);
  t.fingerprint = TakeBytes(&in, kFingerprint);
  t.ca_node = NodeId(static_cast<uint16_t>(TakeNumber(&in, 2)));
  t.for_node = NodeId(static_cast<uint16_t>(TakeNumber(&in, 2)));
  t.expires = static_cast<int64_t>(TakeNumber(&in, 8));
  t.nonce = TakeBytes(&in, kNonce);
  t.mac = TakeBytes(&in, kMac);
  t.address = std::string(text.substr(at + 1, colon - at - 1));
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), t.port);
  if (error != std::errc() || end != port.data() + port.size() || t.port == 0) return bad;
  for (char c : t.address) {
    if (c <= ' ' || c > '~' || c == '@') return bad;
  }
  if (!t.ca_node.valid()) return bad;
  return t;
}

absl::Status CheckToken(const std::string& pki_dir, const JoinToken& t, NodeId node, int64_t now) {
  const auto refused = [](const std::string& why) { return absl::PermissionDeniedError(why); };
  OMFS_ASSIGN_OR_RETURN(const std::string key, TokenKey(pki_dir));
  const std::string mac = Hmac(key, SignedPart(t));
  if (t.mac.size() != mac.size() || CRYPTO_memcmp(t.mac.data(), mac.data(), mac.size()) != 0) {
    return refused("the token is not of this cluster");
  }
  if (t.expires < now) return refused("the token has expired");
  if (t.for_node.valid() && t.for_node != node) {
    return refused(fmt::format("the token is for node {}", t.for_node.value));
  }
  if (!t.for_node.valid() && NodeWasIssued(pki_dir, node)) {
    return refused(fmt::format(
        "node {0} has a certificate already; to replace it use a token made with \"mosctl token --node {0}\"",
        node.value));
  }
  return absl::OkStatus();
}

}  // namespace omfs
