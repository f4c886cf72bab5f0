#include "cluster/pki.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "cluster/files.h"
#include "cluster/token.h"
#include "omfs/net/tls.h"

namespace omfs {
namespace {

class Pki : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/omfs-pki-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    ASSERT_TRUE(CreateCa(dir_ + "/ca").ok());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  absl::Status Join(const std::string& dir, NodeId node) {
    auto request = MakeNodeRequest(node);
    if (!request.ok()) return request.status();
    auto certificate = SignNodeRequest(dir_ + "/ca", request->request_pem, node);
    if (!certificate.ok()) return certificate.status();
    return InstallNode(dir, request->key_pem, *certificate, *ReadWholeFile(dir_ + "/ca/ca.crt"));
  }
  absl::StatusOr<JoinToken> Token(NodeId for_node, int64_t expires) {
    return MakeToken(dir_ + "/ca", NodeId(1), for_node, expires, "10.0.0.1", 4661);
  }

  std::string dir_;
};

TEST_F(Pki, AnInstalledNodeIsKnownByItsNumber) {
  ASSERT_TRUE(Join(dir_ + "/n7", NodeId(7)).ok());
  auto tls = TlsContext::Load(dir_ + "/n7");
  ASSERT_TRUE(tls.ok()) << tls.status();
  EXPECT_EQ((*tls)->node(), NodeId(7));
}

TEST_F(Pki, KeysAreForTheOwnerOnly) {
  ASSERT_TRUE(Join(dir_ + "/n7", NodeId(7)).ok());
  for (const char* file : {"/ca/ca.key", "/n7/node.key"}) {
    struct stat st {};
    ASSERT_EQ(stat((dir_ + file).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600u) << file;
  }
}

TEST_F(Pki, ASecondCaIsRefused) {
  EXPECT_EQ(CreateCa(dir_ + "/ca").code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(Pki, AForeignCertificateIsNotInstalled) {
  auto mine = MakeNodeRequest(NodeId(2));
  auto other = MakeNodeRequest(NodeId(2));
  auto certificate = SignNodeRequest(dir_ + "/ca", other->request_pem, NodeId(2));
  ASSERT_TRUE(certificate.ok());
  EXPECT_FALSE(
      InstallNode(dir_ + "/x", mine->key_pem, *certificate, *ReadWholeFile(dir_ + "/ca/ca.crt")).ok());
}

TEST_F(Pki, GarbageIsNoRequest) {
  EXPECT_FALSE(SignNodeRequest(dir_ + "/ca", "garbage", NodeId(2)).ok());
  EXPECT_FALSE(SignNodeRequest(dir_ + "/ca", "", NodeId(2)).ok());
}

TEST_F(Pki, ATokenSurvivesItsText) {
  auto token = Token(NodeId(), 1000);
  ASSERT_TRUE(token.ok()) << token.status();
  auto parsed = ParseToken(FormatToken(*token));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->fingerprint, *Fingerprint(*ReadWholeFile(dir_ + "/ca/ca.crt")));
  EXPECT_EQ(parsed->address, "10.0.0.1");
  EXPECT_EQ(parsed->port, 4661);
  EXPECT_EQ(parsed->ca_node, NodeId(1));
  EXPECT_TRUE(CheckToken(dir_ + "/ca", *parsed, NodeId(2), 999).ok());
}

TEST_F(Pki, ATokenExpires) {
  EXPECT_FALSE(CheckToken(dir_ + "/ca", *Token(NodeId(), 1000), NodeId(2), 1001).ok());
}

TEST_F(Pki, AChangedTokenIsRefused) {
  JoinToken token = *Token(NodeId(3), 1000);
  token.expires = 2000;
  EXPECT_FALSE(CheckToken(dir_ + "/ca", token, NodeId(3), 999).ok());
  token = *Token(NodeId(3), 1000);
  token.for_node = NodeId(4);
  EXPECT_FALSE(CheckToken(dir_ + "/ca", token, NodeId(4), 999).ok());
}

TEST_F(Pki, ANumberWithACertificateNeedsATokenOfItsOwn) {
  ASSERT_TRUE(Join(dir_ + "/n2", NodeId(2)).ok());
  EXPECT_FALSE(CheckToken(dir_ + "/ca", *Token(NodeId(), 1000), NodeId(2), 999).ok());
  EXPECT_FALSE(CheckToken(dir_ + "/ca", *Token(NodeId(3), 1000), NodeId(2), 999).ok());
  EXPECT_TRUE(CheckToken(dir_ + "/ca", *Token(NodeId(2), 1000), NodeId(2), 999).ok());
}

TEST_F(Pki, TextsThatAreNoTokens) {
  const std::string good = FormatToken(*Token(NodeId(), 1000));
  EXPECT_FALSE(ParseToken("").ok());
  EXPECT_FALSE(ParseToken("omfs1.").ok());
  EXPECT_FALSE(ParseToken(good + "x").ok());
  EXPECT_FALSE(ParseToken(good + "99999").ok());
  for (size_t n = 0; n + 4 < good.size(); ++n) EXPECT_FALSE(ParseToken(good.substr(0, n)).ok()) << n;
}

}  // namespace
}  // namespace omfs
