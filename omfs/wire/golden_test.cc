// The bytes of the protocol's messages. A failure here means that nodes of different builds no
// longer understand each other: make a new version of the protocol instead of changing these.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "omfs/wire/attr.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {
namespace {

// The sizes every peer relies on.
static_assert(sizeof(omfs_hdr) == 64);
static_assert(sizeof(omfs_fh) == 64);
static_assert(sizeof(omfs_time) == 16);
static_assert(sizeof(omfs_attr) == 128);
static_assert(sizeof(omfs_creds) == 16);
static_assert(sizeof(omfs_hello_req) == 40);
static_assert(sizeof(omfs_hello_rep) == 232);
static_assert(sizeof(omfs_lookup_req) == 72);
static_assert(sizeof(omfs_entry_rep) == 192);
static_assert(sizeof(omfs_getattr_req) == 72);
static_assert(sizeof(omfs_setattr_req) == 128);
static_assert(sizeof(omfs_access_req) == 72);
static_assert(sizeof(omfs_statfs_rep) == 64);
static_assert(sizeof(omfs_mknod_req) == 80);
static_assert(sizeof(omfs_symlink_req) == 72);
static_assert(sizeof(omfs_link_req) == 136);
static_assert(sizeof(omfs_unlink_req) == 72);
static_assert(sizeof(omfs_rename_req) == 144);
static_assert(sizeof(omfs_open_req) == 72);
static_assert(sizeof(omfs_open_rep) == 208);
static_assert(sizeof(omfs_create_req) == 80);
static_assert(sizeof(omfs_lookup_open_req) == 80);
static_assert(sizeof(omfs_close_req) == 16);
static_assert(sizeof(omfs_read_req) == 24);
static_assert(sizeof(omfs_write_req) == 24);
static_assert(sizeof(omfs_write_rep) == 16);
static_assert(sizeof(omfs_fsync_req) == 16);
static_assert(sizeof(omfs_fallocate_req) == 32);
static_assert(sizeof(omfs_lseek_req) == 24);
static_assert(sizeof(omfs_copy_range_req) == 48);
static_assert(sizeof(omfs_readdir_req) == 24);
static_assert(sizeof(omfs_dirent) == 24);
static_assert(sizeof(omfs_xattr_req) == 80);
static_assert(sizeof(omfs_lock) == 24);
static_assert(sizeof(omfs_lock_req) == 48);
static_assert(sizeof(omfs_cancel_req) == 8);
static_assert(sizeof(omfs_flags_req) == 72);
static_assert(sizeof(omfs_reclaimed_req) == 8);

std::string Hex(std::span<const std::byte> bytes) {
  std::string out;
  char two[3];
  for (std::byte b : bytes) {
    snprintf(two, sizeof two, "%02x", std::to_integer<unsigned>(b));
    out += two;
  }
  return out;
}

template <typename T>
std::string HexOf(const T& pod) {
  return Hex({reinterpret_cast<const std::byte*>(&pod), sizeof pod});
}

omfs_fh Handle() {
  omfs_fh fh{};
  fh.len = 8;
  fh.version = 1;
  fh.export_id = Le16(0x0102);
  fh.type = Le32(0x81);
  for (int i = 0; i < 8; ++i) fh.mac[i] = static_cast<__u8>(0xa0 + i);
  for (int i = 0; i < 8; ++i) fh.data[i] = static_cast<__u8>(0x10 + i);
  return fh;
}

const std::string kHandleHex =
    "0801020181000000a0a1a2a3a4a5a6a7"
    "1011121314151617" +
    std::string(80, '0');

TEST(Golden, Header) {
  Header h;
  h.op = OMFS_OP_RENAME;
  h.flags = OMFS_F_CACHE | OMFS_F_REPLAY;
  h.session = 0x1122334455667788;
  h.slot = 5;
  h.credits = 64;
  h.sequence = 0x01020304;
  h.meta_len = 0x100;
  h.payload_len = 0x2000;
  h.hlc = 0x0a0b0c0d0e0f0102;
  h.crc = 0xdeadbeef;
  std::byte b[OMFS_HDR_SIZE];
  h.Pack(b);
  EXPECT_EQ(Hex(b),
            "6f4d4653"  // "oMFS"
            "0100"
            "1800"              // version, op
            "06000000"          // flags
            "00000000"          // status
            "8877665544332211"  // session
            "0500"
            "4000"              // slot, credits
            "04030201"          // sequence
            "00010000"          // meta_len
            "00200000"          // payload_len
            "02010f0e0d0c0b0a"  // hlc
            "efbeadde"          // crc
            "00000000"
            "0000000000000000");
}

TEST(Golden, HandleAndAttributes) {
  EXPECT_EQ(HexOf(Handle()), kHandleHex);
  struct statx stx {};
  stx.stx_ino = 0x0102030405060708;
  stx.stx_size = 0x1000;
  stx.stx_blocks = 8;
  stx.stx_mode = 0100644;
  stx.stx_nlink = 2;
  stx.stx_uid = 1000;
  stx.stx_gid = 100;
  stx.stx_rdev_major = 8;
  stx.stx_rdev_minor = 1;
  stx.stx_blksize = 4096;
  stx.stx_attributes = 0x10;
  stx.stx_atime = {1, 2, 0};
  stx.stx_mtime = {-1, 3, 0};
  stx.stx_ctime = {4, 5, 0};
  stx.stx_btime = {6, 7, 0};
  EXPECT_EQ(HexOf(ToWire(stx, 0x99)),
            "0807060504030201"
            "0010000000000000"
            "0800000000000000"  // ino, size, blocks
            "a4810000"
            "02000000"
            "e8030000"
            "64000000"  // mode, nlink, uid, gid
            "08000000"
            "01000000"
            "00100000"
            "10000000"  // rdev, blksize, flags
            "0100000000000000"
            "02000000"
            "00000000"  // atime
            "ffffffffffffffff"
            "03000000"
            "00000000"  // mtime
            "0400000000000000"
            "05000000"
            "00000000"  // ctime
            "0600000000000000"
            "07000000"
            "00000000"            // btime
            "9900000000000000");  // change
}

const std::string kCredsHex =
    "e8030000"
    "64000000"
    "12000000"
    "02000000"  // uid, gid, umask, ngroups
    "04000000"
    "18000000";  // groups
const Credentials kCreds{1000, 100, 022, {4, 24}};

TEST(Golden, Hello) {
  omfs_hello_req r{};
  for (int i = 0; i < 16; ++i) r.client_id[i] = static_cast<__u8>(i);
  r.boot = Le64(0x0102030405060708);
  r.version_min = Le16(1);
  r.version_max = Le16(2);
  r.features = Le32(OMFS_FEATURE_CRC);
  r.slots = Le32(64);
  r.node = Le16(3);
  MetaWriter meta;
  EncodeRequest(OMFS_OP_HELLO, {}, r, &meta, "/x");
  EXPECT_EQ(Hex(meta.bytes()),
            "000102030405060708090a0b0c0d0e0f"
            "0807060504030201"
            "0100"
            "0200"
            "01000000"
            "40000000"
            "0300"
            "0200"
            "2f78");
}

TEST(Golden, Lookup) {
  MetaWriter meta;
  omfs_lookup_req r{};
  r.dir = Handle();
  EncodeRequest(OMFS_OP_LOOKUP, kCreds, r, &meta, "abc");
  EXPECT_EQ(Hex(meta.bytes()), kCredsHex + kHandleHex +
                                   "03000000"
                                   "00000000"
                                   "616263");
}

TEST(Golden, Rename) {
  MetaWriter meta;
  omfs_rename_req r{};
  r.dir = Handle();
  r.new_dir = Handle();
  r.flags = Le32(1);
  EncodeRequest(OMFS_OP_RENAME, kCreds, r, &meta, "a", "bc");
  EXPECT_EQ(Hex(meta.bytes()), kCredsHex + kHandleHex + kHandleHex +
                                   "01000000"
                                   "01000000"
                                   "02000000"
                                   "00000000"
                                   "61"
                                   "6263");
}

TEST(Golden, CreateAndOpenReply) {
  MetaWriter meta;
  omfs_create_req r{};
  r.dir = Handle();
  r.flags = Le32(0101);
  r.mode = Le32(0644);
  r.inline_bytes = Le32(0x10000);
  EncodeRequest(OMFS_OP_CREATE, kCreds, r, &meta, "f");
  EXPECT_EQ(Hex(meta.bytes()), kCredsHex + kHandleHex +
                                   "41000000"
                                   "a4010000"
                                   "00000100"
                                   "01000000"
                                   "66");
  omfs_open_rep rep{};
  rep.open_id = Le64(7);
  rep.eof = Le32(1);
  rep.fh = Handle();
  EXPECT_EQ(HexOf(rep),
            "0700000000000000"
            "00000000"
            "01000000" +
                kHandleHex + std::string(256, '0'));
}

TEST(Golden, Write) {
  MetaWriter meta;
  omfs_write_req r{};
  r.open_id = Le64(7);
  r.offset = Le64(0x100000000);
  r.flags = Le32(OMFS_WRITE_APPEND);
  EncodeRequest(OMFS_OP_WRITE, kCreds, r, &meta);
  EXPECT_EQ(Hex(meta.bytes()), kCredsHex +
                                   "0700000000000000"
                                   "0000000001000000"
                                   "01000000"
                                   "00000000");
}

TEST(Golden, Lock) {
  MetaWriter meta;
  omfs_lock_req r{};
  r.open_id = Le64(7);
  r.owner = Le64(9);
  r.flags = Le32(OMFS_LOCK_WAIT);
  r.lock.start = Le64(1);
  r.lock.end = Le64(~0ULL);
  r.lock.type = Le32(1);
  r.lock.pid = Le32(42);
  EncodeRequest(OMFS_OP_SETLK, kCreds, r, &meta);
  EXPECT_EQ(Hex(meta.bytes()), kCredsHex +
                                   "0700000000000000"
                                   "0900000000000000"
                                   "02000000"
                                   "00000000"
                                   "0100000000000000"
                                   "ffffffffffffffff"
                                   "01000000"
                                   "2a000000");
}

TEST(Golden, Reclaimed) {
  EXPECT_EQ(OMFS_OP_RECLAIMED, 72);
  EXPECT_EQ(OMFS_FEATURE_RECLAIM, 8U);
  MetaWriter meta;
  omfs_reclaimed_req r{};
  r.epoch = Le64(0x0102030405060708);
  EncodeRequest(OMFS_OP_RECLAIMED, kCreds, r, &meta);
  EXPECT_EQ(Hex(meta.bytes()), "0807060504030201");
}

TEST(Golden, DirectoryEntry) {
  omfs_dirent d{};
  d.ino = Le64(5);
  d.cookie = Le64(6);
  d.type = Le32(8);
  d.flags = Le16(OMFS_DIRENT_ENTRY);
  d.name_len = Le16(3);
  EXPECT_EQ(HexOf(d),
            "0500000000000000"
            "0600000000000000"
            "08000000"
            "0100"
            "0300");
}

}  // namespace
}  // namespace omfs
