#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "omfs/base/status.h"
#include "omfs/wire/attr.h"
#include "omfs/wire/crc32c.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

std::span<const std::byte> AsBytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

Header Sample() {
  Header h;
  h.op = OMFS_OP_WRITE;
  h.flags = OMFS_F_CACHE;
  h.session = 77;
  h.slot = 3;
  h.sequence = 9;
  h.meta_len = 40;
  h.payload_len = 4096;
  return h;
}

absl::Status UnpackOf(const Header& h, Header* out) {
  std::byte b[OMFS_HDR_SIZE];
  h.Pack(b);
  return Header::Unpack(b, out);
}

TEST(Header, SurvivesPackAndUnpack) {
  Header out;
  ASSERT_TRUE(UnpackOf(Sample(), &out).ok());
  EXPECT_EQ(out, Sample());
}

TEST(Header, RefusesForeignMagic) {
  std::byte b[OMFS_HDR_SIZE];
  Sample().Pack(b);
  b[0] = std::byte{'G'};
  Header out;
  const absl::Status s = Header::Unpack(b, &out);
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Text(s).find("magic"), std::string::npos);
}

TEST(Header, TellsVersionOfTheFutureFromGarbageAndFillsTheHeader) {
  Header h = Sample();
  h.version = OMFS_VERSION + 1;
  Header out;
  EXPECT_EQ(UnpackOf(h, &out).code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(out.sequence, 9U);
}

TEST(Header, RefusesLengthsSlotsAndStatusOutOfRange) {
  const auto refused = [](auto change) {
    Header h = Sample();
    change(&h);
    Header out;
    return UnpackOf(h, &out).code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](Header* h) { h->meta_len = OMFS_MAX_META + 1; }));
  EXPECT_TRUE(refused([](Header* h) { h->payload_len = OMFS_MAX_PAYLOAD + 1; }));
  EXPECT_TRUE(refused([](Header* h) { h->slot = OMFS_MAX_SLOTS; }));
  EXPECT_TRUE(refused([](Header* h) { h->flags = 0x8000; }));
  EXPECT_TRUE(refused([](Header* h) { h->status = 5; }));
  EXPECT_TRUE(refused([](Header* h) { h->flags = OMFS_F_REPLY, h->status = 5; }));
  EXPECT_TRUE(refused([](Header* h) {
    h->flags = OMFS_F_REPLY, h->status = 5000, h->meta_len = h->payload_len = 0;
  }));
}

TEST(Header, RefusesUnknownCaps) {
  std::byte b[OMFS_HDR_SIZE];
  Sample().Pack(b);
  b[offsetof(omfs_hdr, caps)] = std::byte{OMFS_CAP_ALL + 1};
  Header out;
  EXPECT_EQ(Header::Unpack(b, &out).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Names, OnlySingleComponentsAreValid) {
  for (const char* good : {"a", "...", ".a", "a b", "\xff\xfe"})
    EXPECT_TRUE(ValidName(good)) << good;
  for (const char* bad : {"", ".", "..", "a/b", "/"}) EXPECT_FALSE(ValidName(bad)) << bad;
  EXPECT_FALSE(ValidName(std::string_view("a\0b", 3)));
  EXPECT_TRUE(ValidName(std::string(255, 'x')));
  EXPECT_FALSE(ValidName(std::string(256, 'x')));
}

TEST(Request, RenameSurvivesEncodeAndDecode) {
  omfs_rename_req fixed{};
  fixed.flags = Le32(2);
  MetaWriter meta;
  const Credentials creds{1000, 100, 022, {7, 8}};
  EncodeRequest(OMFS_OP_RENAME, creds, fixed, &meta, "old", "newer");
  auto r = DecodeRequest<omfs_rename_req>(OMFS_OP_RENAME, meta.bytes());
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->creds, creds);
  EXPECT_EQ(Le32(r->fixed.flags), 2U);
  EXPECT_EQ(r->parts[0], "old");
  EXPECT_EQ(r->parts[1], "newer");
}

TEST(Request, EveryTruncationAndExtensionIsRefused) {
  MetaWriter meta;
  EncodeRequest(OMFS_OP_RENAME, {1, 1, 0, {5}}, omfs_rename_req{}, &meta, "old", "newer");
  for (size_t n = 0; n < meta.size(); ++n) {
    EXPECT_FALSE(CheckRequest(OMFS_OP_RENAME, meta.bytes().first(n), 0).ok()) << n;
  }
  EXPECT_TRUE(CheckRequest(OMFS_OP_RENAME, meta.bytes(), 0).ok());
  meta.Bytes("x");
  EXPECT_FALSE(CheckRequest(OMFS_OP_RENAME, meta.bytes(), 0).ok());
}

TEST(Request, BadNamesAndPayloadsAreRefused) {
  MetaWriter meta;
  EncodeRequest(OMFS_OP_LOOKUP, {}, omfs_lookup_req{}, &meta, "a/b");
  EXPECT_FALSE(CheckRequest(OMFS_OP_LOOKUP, meta.bytes(), 0).ok());
  meta.clear();
  EncodeRequest(OMFS_OP_LOOKUP, {}, omfs_lookup_req{}, &meta, "ab");
  EXPECT_TRUE(CheckRequest(OMFS_OP_LOOKUP, meta.bytes(), 0).ok());
  EXPECT_FALSE(CheckRequest(OMFS_OP_LOOKUP, meta.bytes(), 1).ok());
}

TEST(Request, UnknownOperationIsNotFound) {
  EXPECT_EQ(CheckRequest(77, {}, 0).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpName(77), "op 77");
  EXPECT_EQ(OpName(OMFS_OP_LOOKUP_OPEN), "LOOKUP_OPEN");
}

TEST(Request, GroupsBeyondTheMetadataAreRefused) {
  MetaWriter meta;
  omfs_creds c{};
  c.ngroups = Le32(0xffffffff);
  meta.Pod(c).Pod(omfs_fh_req{});
  EXPECT_FALSE(CheckRequest(OMFS_OP_READLINK, meta.bytes(), 0).ok());
}

TEST(Crc32c, MatchesTheStandardVectorsWholeAndInPieces) {
  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xe3069283U);
  EXPECT_EQ(Crc32c(AsBytes(std::string(32, '\0'))), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(AsBytes(std::string(32, '\xff'))), 0x62a8ab43U);
  EXPECT_EQ(Crc32c(AsBytes("6789"), Crc32c(AsBytes("12345"))), 0xe3069283U);
}

TEST(Attr, SurvivesTheWire) {
  struct statx stx {};
  stx.stx_ino = 1ULL << 40;
  stx.stx_size = 1ULL << 50;
  stx.stx_blocks = 8;
  stx.stx_mode = S_IFREG | 04755;
  stx.stx_nlink = 2;
  stx.stx_uid = 4000000000U;
  stx.stx_gid = 3;
  stx.stx_rdev_major = 259;
  stx.stx_rdev_minor = 300000;
  stx.stx_blksize = 4096;
  stx.stx_mtime.tv_sec = -5;
  stx.stx_mtime.tv_nsec = 999999999;
  const omfs_attr a = ToWire(stx, 17);
  const struct statx back = StatxFrom(a);
  EXPECT_EQ(back.stx_ino, stx.stx_ino);
  EXPECT_EQ(back.stx_uid, stx.stx_uid);
  EXPECT_EQ(back.stx_mtime.tv_sec, -5);
  const struct stat st = StatFrom(a);
  EXPECT_EQ(st.st_size, 1LL << 50);
  EXPECT_EQ(st.st_mode, static_cast<mode_t>(S_IFREG | 04755));
  EXPECT_EQ(st.st_mtim.tv_nsec, 999999999);
  EXPECT_EQ(Le64(a.change), 17U);
}

}  // namespace
}  // namespace omfs
