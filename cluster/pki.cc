#include "cluster/pki.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "cluster/files.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

constexpr long kDay = 24 * 3600;
constexpr long kCaLifetime = 20 * 365 * kDay;
constexpr long kNodeLifetime = 10 * 365 * kDay;

template <typename T, void (*F)(T*)>
struct Free {
  void operator()(T* p) const { F(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using Request = std::unique_ptr<X509_REQ, Free<X509_REQ, X509_REQ_free>>;
struct FreeBio {
  void operator()(BIO* b) const { BIO_free(b); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

// The latest OpenSSL error as a status; clears OpenSSL's error queue.
absl::Status SslFailure(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  char text[256] = "unknown error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  return Internal("{}: {}", what, text);
}

Bio ReadBio(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::string Taken(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, size);
}

absl::StatusOr<Certificate> ParseCertificate(const std::string& pem) {
  Certificate c(PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, nullptr));
  if (!c) {
    ERR_clear_error();
    return InvalidArgument("not a certificate");
  }
  return c;
}

absl::StatusOr<Key> ParseKey(const std::string& pem) {
  Key k(PEM_read_bio_PrivateKey(ReadBio(pem).get(), nullptr, nullptr, nullptr));
  if (!k) {
    ERR_clear_error();
    return InvalidArgument("not a private key");
  }
  return k;
}

absl::StatusOr<std::string> CertificatePem(X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return SslFailure("certificate");
  return Taken(bio);
}

absl::StatusOr<std::string> KeyPem(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return SslFailure("private key");
  }
  return Taken(bio);
}

absl::StatusOr<Key> NewKey() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return SslFailure("making a key");
  return key;
}

bool SetName(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

// Version, a random serial number, the dates.
bool SetFrame(X509* certificate, long lifetime) {
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] &= 0x7f;  // a positive integer
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  const bool numbered =
      number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return numbered && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kDay) != nullptr &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime) != nullptr;
}

struct Ca {
  Certificate certificate;
  Key key;
};

absl::StatusOr<Ca> LoadCa(const std::string& dir) {
  const std::string crt = dir + "/" + kCaCertificate, key = dir + "/" + kCaKey;
  OMFS_ASSIGN_OR_RETURN(const std::string crt_pem, ReadWholeFile(crt));
  OMFS_ASSIGN_OR_RETURN(const std::string key_pem, ReadWholeFile(key));
  auto parsed_certificate = ParseCertificate(crt_pem);
  if (!parsed_certificate.ok()) return InvalidArgument("{}: not a certificate", crt);
  auto parsed_key = ParseKey(key_pem);
  if (!parsed_key.ok()) return InvalidArgument("{}: not a private key", key);
  Ca ca{std::move(*parsed_certificate), std::move(*parsed_key)};
  if (X509_check_private_key(ca.certificate.get(), ca.key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("{}: not the key of {}", key, crt);
  }
  return ca;
}

std::string IssuedPath(const std::string& dir, NodeId node) {
  return fmt::format("{}/issued/{}.crt", dir, node.value);
}

// EC P-256 or Ed25519: what a node's key may be.
bool IsAcceptedKey(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519")) return true;
  char group[64] = "";
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) == 1 &&
         std::string(group) == "prime256v1";
}

}  // namespace

std::string NodeDnsName(NodeId node) { return fmt::format("node-{}.omfs", node.value); }

absl::Status CreateCa(const std::string& dir) {
  const std::string crt = dir + "/" + kCaCertificate, key_path = dir + "/" + kCaKey;
  for (const std::string& path : {crt, key_path}) {
    if (FileExists(path)) return absl::AlreadyExistsError(path + " exists already");
  }
  OMFS_RETURN_IF_ERROR(MakeDirectories(dir, 0755));
  OMFS_ASSIGN_OR_RETURN(const Key key, NewKey());
  Certificate c(X509_new());
  unsigned char random[4];
  if (RAND_bytes(random, sizeof random) != 1) return SslFailure("random numbers");
  const std::string name = fmt::format("oMFS cluster CA {:02x}{:02x}{:02x}{:02x}", random[0],
                                       random[1], random[2], random[3]);
  if (!c || !SetFrame(c.get(), kCaLifetime) || !SetName(X509_get_subject_name(c.get()), name) ||
      X509_set_issuer_name(c.get(), X509_get_subject_name(c.get())) != 1 ||
      X509_set_pubkey(c.get(), key.get()) != 1 ||
      !AddExtension(c.get(), c.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(c.get(), c.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(c.get(), c.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(c.get(), key.get(), EVP_sha256()) == 0) {
    return SslFailure("making the CA's certificate");
  }
  OMFS_ASSIGN_OR_RETURN(const std::string key_pem, KeyPem(key.get()));
  OMFS_ASSIGN_OR_RETURN(const std::string crt_pem, CertificatePem(c.get()));
  OMFS_RETURN_IF_ERROR(WriteFileAtomically(key_path, key_pem, 0600));
  return WriteFileAtomically(crt, crt_pem, 0644);
}

absl::StatusOr<KeyAndRequest> MakeNodeRequest(NodeId node) {
  OMFS_ASSIGN_OR_RETURN(const Key key, NewKey());
  Request request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !SetName(X509_REQ_get_subject_name(request.get()), NodeDnsName(node)) ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return SslFailure("making a certificate request");
  }
  Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return SslFailure("certificate request");
  KeyAndRequest out;
  out.request_pem = Taken(bio);
  OMFS_ASSIGN_OR_RETURN(out.key_pem, KeyPem(key.get()));
  return out;
}

absl::StatusOr<std::string> SignNodeRequest(const std::string& dir, const std::string& request_pem,
                                            NodeId node) {
  if (!node.valid()) return InvalidArgument("node number 0");
  OMFS_ASSIGN_OR_RETURN(const Ca ca, LoadCa(dir));
  Request request(PEM_read_bio_X509_REQ(ReadBio(request_pem).get(), nullptr, nullptr, nullptr));
  EVP_PKEY* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return InvalidArgument("not a valid certificate request");
  }
  if (!IsAcceptedKey(key)) return InvalidArgument("the key in the request is not EC P-256 or Ed25519");
  Certificate c(X509_new());
  const std::string name = NodeDnsName(node);
  if (!c || !SetFrame(c.get(), kNodeLifetime) || !SetName(X509_get_subject_name(c.get()), name) ||
      X509_set_issuer_name(c.get(), X509_get_subject_name(ca.certificate.get())) != 1 ||
      X509_set_pubkey(c.get(), key) != 1 ||
      !AddExtension(c.get(), ca.certificate.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(c.get(), ca.certificate.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(c.get(), ca.certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !AddExtension(c.get(), ca.certificate.get(), NID_subject_alt_name, "DNS:" + name) ||
      !AddExtension(c.get(), ca.certificate.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(c.get(), ca.key.get(), EVP_sha256()) == 0) {
    return SslFailure("signing a certificate");
  }
  OMFS_ASSIGN_OR_RETURN(std::string pem, CertificatePem(c.get()));
  OMFS_RETURN_IF_ERROR(MakeDirectories(dir + "/issued", 0755));
  OMFS_RETURN_IF_ERROR(WriteFileAtomically(IssuedPath(dir, node), pem, 0644));
  return pem;
}

bool NodeWasIssued(const std::string& dir, NodeId node) { return FileExists(IssuedPath(dir, node)); }

absl::Status InstallNode(const std::string& dir, const std::string& key_pem,
                         const std::string& certificate_pem, const std::string& ca_pem) {
  OMFS_ASSIGN_OR_RETURN(const Key key, ParseKey(key_pem));
  OMFS_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  OMFS_ASSIGN_OR_RETURN(const Certificate ca, ParseCertificate(ca_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1 ||
      X509_verify(certificate.get(), X509_get0_pubkey(ca.get())) != 1) {
    ERR_clear_error();
    return InvalidArgument("the certificate is not for this key or not of this CA");
  }
  OMFS_RETURN_IF_ERROR(MakeDirectories(dir, 0755));
  OMFS_RETURN_IF_ERROR(WriteFileAtomically(dir + "/" + kNodeKey, key_pem, 0600));
  OMFS_RETURN_IF_ERROR(WriteFileAtomically(dir + "/" + kNodeCertificate, certificate_pem, 0644));
  return WriteFileAtomically(dir + "/" + kCaCertificate, ca_pem, 0644);
}

absl::StatusOr<std::string> Fingerprint(const std::string& certificate_pem) {
  OMFS_ASSIGN_OR_RETURN(const Certificate c, ParseCertificate(certificate_pem));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  unsigned size = sizeof digest;
  if (X509_digest(c.get(), EVP_sha256(), digest, &size) != 1) return SslFailure("fingerprint");
  return std::string(reinterpret_cast<const char*>(digest), size);
}

absl::StatusOr<std::string> TokenKey(const std::string& dir) {
  OMFS_ASSIGN_OR_RETURN(const Ca ca, LoadCa(dir));
  unsigned char* der = nullptr;
  const int size = i2d_PrivateKey(ca.key.get(), &der);
  if (size <= 0) return SslFailure("private key");
  std::string input = "oMFS join token\n";
  input.append(reinterpret_cast<const char*>(der), size);
  OPENSSL_clear_free(der, size);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest);
  OPENSSL_cleanse(input.data(), input.size());
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

}  // namespace omfs
