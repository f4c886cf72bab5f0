#include "omfs/server/testing/test_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace omfs::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Cert = std::unique_ptr<X509, decltype(&X509_free)>;

void Check(bool ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "test certificates: %s failed\n", what);
  abort();
}

Key NewKey() {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
  Check(key != nullptr, "keygen");
  return key;
}

void AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* ext = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  Check(ext != nullptr && X509_add_ext(cert, ext, -1) == 1, "extension");
  X509_EXTENSION_free(ext);
}

Cert NewCert(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, bool ca,
             const std::string& dns) {
  static long serial = 1;
  Cert cert(X509_new(), X509_free);
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86400);
  X509_set_pubkey(cert.get(), key);
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* by = issuer != nullptr ? issuer : cert.get();
  X509_set_issuer_name(cert.get(), X509_get_subject_name(by));
  AddExtension(cert.get(), by, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!dns.empty()) AddExtension(cert.get(), by, NID_subject_alt_name, "DNS:" + dns);
  Check(X509_sign(cert.get(), issuer_key, EVP_sha256()) > 0, "sign");
  return cert;
}

void Write(const std::string& path, EVP_PKEY* key, X509* cert) {
  FILE* f = fopen(path.c_str(), "w");
  Check(f != nullptr, path.c_str());
  if (key != nullptr) {
    Check(PEM_write_PrivateKey(f, key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "write key");
  }
  if (cert != nullptr) Check(PEM_write_X509(f, cert) == 1, "write certificate");
  fclose(f);
}

}  // namespace

void MakeNodeCertificate(const std::string& ca_dir, const std::string& dir, NodeId node) {
  std::filesystem::create_directories(ca_dir);
  std::filesystem::create_directories(dir);
  const std::string ca_crt = ca_dir + "/ca.crt", ca_key = ca_dir + "/ca.key";
  if (!std::filesystem::exists(ca_key)) {
    Key key = NewKey();
    Cert cert = NewCert("test CA " + ca_dir, key.get(), nullptr, key.get(), true, "");
    Write(ca_key, key.get(), nullptr);
    Write(ca_crt, nullptr, cert.get());
  }
  FILE* f = fopen(ca_key.c_str(), "r");
  Key issuer_key(PEM_read_PrivateKey(f, nullptr, nullptr, nullptr), EVP_PKEY_free);
  fclose(f);
  f = fopen(ca_crt.c_str(), "r");
  Cert issuer(PEM_read_X509(f, nullptr, nullptr, nullptr), X509_free);
  fclose(f);
  Check(issuer_key != nullptr && issuer != nullptr, "read CA");
  Key key = NewKey();
  const std::string name = "node-" + std::to_string(node.value) + ".omfs";
  Cert cert = NewCert(name, key.get(), issuer.get(), issuer_key.get(), false, name);
  Write(dir + "/node.key", key.get(), nullptr);
  Write(dir + "/node.crt", nullptr, cert.get());
  if (dir != ca_dir) {
    std::filesystem::copy_file(ca_crt, dir + "/ca.crt",
                               std::filesystem::copy_options::overwrite_existing);
  }
}

}  // namespace omfs::testing
