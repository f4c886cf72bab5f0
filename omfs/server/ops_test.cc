// Each operation's main cases against the owner's own file system, as root and as an ordinary user.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "omfs/server/testing/server_fixture.h"

namespace omfs::testing {
namespace {

#define ASSERT_STATUS(reply, error) ASSERT_EQ((reply).status(), static_cast<uint32_t>(error))
#define EXPECT_STATUS(reply, error) EXPECT_EQ((reply).status(), static_cast<uint32_t>(error))

uint64_t OpenIdOf(const RawReply& reply) { return Le64(reply.As<omfs_open_rep>().open_id); }

struct stat NativeStat(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
  return st;
}

class OpsTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (IsSkipped()) return;
    c = NewClient(1);
    u = NewUserClient(2);
  }

  RawReply GetAttr(RawClient& client, const omfs_fh& fh) {
    omfs_getattr_req r{};
    r.fh = fh;
    return client.Call(OMFS_OP_GETATTR, r);
  }
  RawReply LookupIn(RawClient& client, const omfs_fh& dir, const std::string& name) {
    omfs_lookup_req r{};
    r.dir = dir;
    return client.Call(OMFS_OP_LOOKUP, r, name);
  }
  RawReply MkNod(RawClient& client, const std::string& name, uint32_t mode, dev_t device = 0) {
    omfs_mknod_req r{};
    r.dir = client.root;
    r.mode = Le32(mode);
    r.rdev_major = Le32(major(device));
    r.rdev_minor = Le32(minor(device));
    return client.Call(OMFS_OP_MKNOD, r, name);
  }
  RawReply Unlink(RawClient& client, const std::string& name, uint32_t flags = 0) {
    omfs_unlink_req r{};
    r.dir = client.root;
    r.flags = Le32(flags);
    return client.Call(OMFS_OP_UNLINK, r, name);
  }
  RawReply Rename(RawClient& client, const std::string& from, const std::string& to,
                  uint32_t flags = 0) {
    omfs_rename_req r{};
    r.dir = r.new_dir = client.root;
    r.flags = Le32(flags);
    return client.Call(OMFS_OP_RENAME, r, from, to);
  }
  RawReply SetAttr(RawClient& client, const omfs_fh& fh, uint32_t valid, uint64_t value,
                   uint64_t open_id = 0) {
    omfs_setattr_req r{};
    r.fh = fh;
    r.open_id = Le64(open_id);
    r.valid = Le32(valid);
    r.mode = r.uid = r.gid = Le32(static_cast<uint32_t>(value));
    r.size = Le64(value);
    r.atime.sec = r.mtime.sec = Le64(value);
    return client.Call(OMFS_OP_SETATTR, r);
  }
  RawReply Xattr(RawClient& client, uint16_t op, const omfs_fh& fh, const std::string& name,
                 uint32_t size, const std::string& value = "", uint32_t flags = 0) {
    omfs_xattr_req r{};
    r.fh = fh;
    r.size = Le32(size);
    r.flags = Le32(flags);
    return client.Call(op, r, name, {}, value);
  }
  RawReply Access(RawClient& client, const omfs_fh& fh, uint32_t mask) {
    omfs_access_req r{};
    r.fh = fh;
    r.mask = Le32(mask);
    return client.Call(OMFS_OP_ACCESS, r);
  }

  std::unique_ptr<RawClient> c;  // root
  std::unique_ptr<RawClient> u;  // an ordinary user
};

TEST_F(OpsTest, LookupFindsEntriesAndAttributesAreTheOwners) {
  WriteFile("f", "hello");
  symlink("nowhere", Path("l").c_str());
  const auto f = c->Lookup(c->root, "f");
  const struct stat st = NativeStat(Path("f"));
  EXPECT_EQ(Le64(f.attr.ino), st.st_ino);
  EXPECT_EQ(Le64(f.attr.size), 5U);
  EXPECT_EQ(Le32(f.attr.mode), st.st_mode);
  EXPECT_EQ(Le64(f.attr.ctime.sec), static_cast<uint64_t>(st.st_ctim.tv_sec));
  EXPECT_EQ(Le32(f.attr.ctime.nsec), static_cast<uint32_t>(st.st_ctim.tv_nsec));
  EXPECT_TRUE(S_ISLNK(Le32(c->Lookup(c->root, "l").attr.mode)));
  EXPECT_STATUS(LookupIn(*c, c->root, "none"), ENOENT);
  EXPECT_STATUS(LookupIn(*c, f.fh, "x"), ENOTDIR);
}

TEST_F(OpsTest, LookupNeedsSearchPermissionOnTheDirectory) {
  mkdir(Path("d").c_str(), 0700);
  WriteFile("d/f", "");
  const auto d = u->Lookup(u->root, "d");
  EXPECT_STATUS(LookupIn(*u, d.fh, "f"), EACCES);
  EXPECT_STATUS(LookupIn(*c, d.fh, "f"), 0);
}

TEST_F(OpsTest, ForgedAndOldHandlesAreStale) {
  WriteFile("f", "");
  auto f = c->Lookup(c->root, "f");
  omfs_fh forged = f.fh;
  forged.data[0] ^= 1;
  EXPECT_STATUS(GetAttr(*c, forged), ESTALE);
  forged = f.fh;
  forged.mac[0] ^= 1;
  EXPECT_STATUS(GetAttr(*c, forged), ESTALE);
  EXPECT_STATUS(Unlink(*c, "f"), 0);
  EXPECT_STATUS(GetAttr(*c, f.fh), ESTALE);
  EXPECT_EQ(TakeWarnings().size(), 1U);  // only the first forgery is logged
}

TEST_F(OpsTest, OtherMountsAreNotVisible) {
  mkdir(Path("m").c_str(), 0755);
  const std::string command =
      "mount -t tmpfs none " + Path("m") + " && touch " + Path("m") + "/inside";
  if (system(command.c_str()) != 0) GTEST_SKIP() << "cannot mount";
  EXPECT_STATUS(LookupIn(*c, c->Lookup(c->root, "m").fh, "inside"), ENOENT);
  ASSERT_EQ(system(("umount " + Path("m")).c_str()), 0);
}

TEST_F(OpsTest, CreateMakesFilesWithTheCallersIdsModeAndUmask) {
  u->creds.umask = 027;
  ASSERT_STATUS(u->Create(u->root, "f", O_CREAT | O_WRONLY, 0666), 0);
  const struct stat st = NativeStat(Path("f"));
  EXPECT_EQ(st.st_mode & 07777, 0640U);
  EXPECT_EQ(st.st_uid, kUser);
  EXPECT_EQ(st.st_gid, kUser);
}

TEST_F(OpsTest, CreateOfAnExistingNameOpensItOrFailsAsOpenDoes) {
  WriteFile("f", "old");
  symlink("f", Path("l").c_str());
  mkdir(Path("d").c_str(), 0755);
  mkfifo(Path("p").c_str(), 0666);
  EXPECT_STATUS(c->Create(c->root, "f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
  EXPECT_STATUS(c->Create(c->root, "l", O_CREAT | O_RDWR, 0644), ELOOP);
  EXPECT_STATUS(c->Create(c->root, "d", O_CREAT | O_RDWR, 0644), EISDIR);
  EXPECT_STATUS(c->Create(c->root, "p", O_CREAT | O_RDWR, 0644), EOPNOTSUPP);
  EXPECT_STATUS(u->Create(u->root, "f", O_CREAT | O_RDWR, 0644), EACCES);
  ASSERT_STATUS(c->Create(c->root, "f", O_CREAT | O_RDWR | O_TRUNC, 0644), 0);
  EXPECT_EQ(ReadFile("f"), "");
}

TEST_F(OpsTest, CreateNeedsWritePermissionOnTheDirectory) {
  mkdir(Path("d").c_str(), 0755);
  const auto d = u->Lookup(u->root, "d");
  EXPECT_STATUS(u->Create(d.fh, "f", O_CREAT | O_RDWR, 0644), EACCES);
  EXPECT_STATUS(c->Create(d.fh, "f", O_CREAT | O_RDWR, 0644), 0);
}

TEST_F(OpsTest, AFileOfModeZeroIsWritableThroughItsCreatingOpen) {
  const RawReply reply = u->Create(u->root, "f", O_CREAT | O_RDWR, 0);
  ASSERT_STATUS(reply, 0);
  EXPECT_STATUS(u->Write(OpenIdOf(reply), 0, "x"), 0);
  EXPECT_STATUS(u->Open(reply.As<omfs_open_rep>().fh, O_RDONLY), EACCES);
}

TEST_F(OpsTest, ANamelessFileGetsItsNameByLink) {
  const RawReply reply = u->Create(u->root, "", O_TMPFILE | O_RDWR, 0600);
  ASSERT_STATUS(reply, 0);
  const auto open = reply.As<omfs_open_rep>();
  EXPECT_EQ(Le32(open.attr.nlink), 0U);
  EXPECT_STATUS(u->Write(OpenIdOf(reply), 0, "text"), 0);
  omfs_link_req r{};
  r.fh = open.fh;
  r.dir = u->root;
  EXPECT_STATUS(u->Call(OMFS_OP_LINK, r, "named"), 0);
  EXPECT_EQ(ReadFile("named"), "text");
}

TEST_F(OpsTest, OpenGivesTheFirstBytesAndSaysWhetherThatIsAll) {
  WriteFile("small", "all of it");
  WriteFile("big", std::string(100000, 'x'));
  WriteFile("empty", "");
  RawReply reply = c->Open(c->Lookup(c->root, "small").fh, O_RDONLY, OMFS_INLINE_READ);
  EXPECT_EQ(reply.payload_text(), "all of it");
  EXPECT_EQ(Le32(reply.As<omfs_open_rep>().eof), 1U);
  reply = c->Open(c->Lookup(c->root, "big").fh, O_RDONLY, OMFS_INLINE_READ);
  EXPECT_EQ(reply.payload.size(), static_cast<size_t>(OMFS_INLINE_READ));
  EXPECT_EQ(Le32(reply.As<omfs_open_rep>().eof), 0U);
  reply = c->Open(c->Lookup(c->root, "empty").fh, O_RDONLY, OMFS_INLINE_READ);
  EXPECT_EQ(Le32(reply.As<omfs_open_rep>().eof), 1U);
  reply = c->Open(c->Lookup(c->root, "small").fh, O_WRONLY, OMFS_INLINE_READ);
  EXPECT_EQ(reply.payload.size(), 0U);
  EXPECT_EQ(Le32(reply.As<omfs_open_rep>().eof), 0U);
}

TEST_F(OpsTest, LookupOpenIsLookupAndOpen) {
  WriteFile("f", "text");
  omfs_lookup_open_req r{};
  r.dir = c->root;
  r.inline_bytes = Le32(100);
  const RawReply reply = c->Call(OMFS_OP_LOOKUP_OPEN, r, "f");
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(reply.payload_text(), "text");
  EXPECT_EQ(c->Read(OpenIdOf(reply), 1, 2).payload_text(), "ex");
  EXPECT_STATUS(c->Call(OMFS_OP_LOOKUP_OPEN, r, "none"), ENOENT);
}

TEST_F(OpsTest, SpecialFilesAreNeverOpened) {
  mkfifo(Path("p").c_str(), 0666);
  symlink("p", Path("l").c_str());
  ASSERT_STATUS(MkNod(*c, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_STATUS(MkNod(*c, "sock", S_IFSOCK | 0666), 0);
  EXPECT_STATUS(c->Open(c->Lookup(c->root, "p").fh, O_RDONLY), EOPNOTSUPP);
  EXPECT_STATUS(c->Open(c->Lookup(c->root, "l").fh, O_RDONLY), ELOOP);
  EXPECT_STATUS(c->Open(c->Lookup(c->root, "null").fh, O_RDWR), EOPNOTSUPP);
  EXPECT_STATUS(c->Open(c->Lookup(c->root, "sock").fh, O_RDWR), ENXIO);
}

TEST_F(OpsTest, AProgramThatCannotBeReadCanBeOpenedForExecution) {
  WriteFile("prog", "#!/bin/sh\n");
  chmod(Path("prog").c_str(), 0711);
  const auto prog = u->Lookup(u->root, "prog");
  EXPECT_STATUS(u->Open(prog.fh, O_RDONLY), EACCES);
  const RawReply reply = u->Open(prog.fh, O_RDONLY | 0x20);
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(u->Read(OpenIdOf(reply), 0, 2).payload_text(), "#!");
  chmod(Path("prog").c_str(), 0600);
  EXPECT_STATUS(u->Open(prog.fh, O_RDONLY | 0x20), EACCES);
}

TEST_F(OpsTest, ReadAndWriteMoveBytesOfAnySizeAndOffset) {
  const RawReply made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  const uint64_t id = OpenIdOf(made);
  std::string big(OMFS_MAX_PAYLOAD, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 >> 3);
  RawReply reply = c->Write(id, 12345, big);
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(Le64(reply.As<omfs_write_rep>().written), big.size());
  reply = c->Read(id, 12345, OMFS_MAX_PAYLOAD);
  EXPECT_EQ(reply.payload_text(), big);
  EXPECT_EQ(c->Read(id, 0, 100).payload_text(), std::string(100, '\0'));
  EXPECT_EQ(c->Read(id, 12345 + big.size() - 10, 100).payload.size(), 10U);
  EXPECT_EQ(c->Read(id, 1ULL << 40, 100).payload.size(), 0U);
  // 64-bit offsets.
  EXPECT_STATUS(c->Write(id, 5ULL << 32, "far"), 0);
  EXPECT_EQ(c->Read(id, 5ULL << 32, 10).payload_text(), "far");
  EXPECT_STATUS(c->Read(id, ~0ULL, 1), EINVAL);
}

TEST_F(OpsTest, AccessModesOfAnOpenHold) {
  WriteFile("f", "text");
  const auto f = c->Lookup(c->root, "f");
  EXPECT_STATUS(c->Write(OpenIdOf(c->Open(f.fh, O_RDONLY)), 0, "x"), EBADF);
  EXPECT_STATUS(c->Read(OpenIdOf(c->Open(f.fh, O_WRONLY)), 0, 1), EBADF);
  EXPECT_STATUS(c->Read(99, 0, 1), ESTALE);
}

TEST_F(OpsTest, AppendsGoToTheEndAndSayWhere) {
  const uint64_t a = OpenIdOf(c->Create(c->root, "f", O_CREAT | O_RDWR | O_APPEND, 0644));
  const uint64_t b = OpenIdOf(c->Open(c->Lookup(c->root, "f").fh, O_WRONLY | O_APPEND));
  EXPECT_EQ(Le64(c->Write(a, 0, "one", OMFS_WRITE_APPEND).As<omfs_write_rep>().offset), 0U);
  EXPECT_EQ(Le64(c->Write(b, 0, "two", OMFS_WRITE_APPEND).As<omfs_write_rep>().offset), 3U);
  const int native = open(Path("f").c_str(), O_WRONLY | O_APPEND);
  EXPECT_EQ(write(native, "!", 1), 1);
  close(native);
  EXPECT_EQ(Le64(c->Write(a, 0, "three", OMFS_WRITE_APPEND).As<omfs_write_rep>().offset), 7U);
  // Without the flag the same open writes where it is told: its O_APPEND was taken back.
  EXPECT_STATUS(c->Write(a, 0, "O"), 0);
  EXPECT_EQ(ReadFile("f"), "Onetwo!three");
}

TEST_F(OpsTest, AWriteOfAnOrdinaryUserClearsSetIdBits) {
  const uint64_t id = OpenIdOf(u->Create(u->root, "f", O_CREAT | O_RDWR, 0755));
  chmod(Path("f").c_str(), 06755);
  EXPECT_STATUS(u->Write(id, 0, "x"), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_mode & 07777, 0755U);
}

TEST_F(OpsTest, AStoreThroughAMapIsNoWrite) {
  const uint64_t id = OpenIdOf(u->Create(u->root, "f", O_CREAT | O_RDWR, 0755));
  EXPECT_STATUS(u->Write(id, 0, std::string(10000, '.')), 0);
  chmod(Path("f").c_str(), 06755);
  const RawReply across = u->Write(id, 4090, "across pages", OMFS_WRITE_MAPPED);
  ASSERT_STATUS(across, 0);
  EXPECT_EQ(Le64(across.As<omfs_write_rep>().written), 12U);
  EXPECT_EQ(ReadFile("f").substr(4088, 16), "..across pages..");
  EXPECT_EQ(NativeStat(Path("f")).st_mode & 07777, 06755U);
  // The client's kernel may choose an open that only writes.
  chmod(Path("f").c_str(), 06777);
  const uint64_t writer = OpenIdOf(u->Open(u->Lookup(u->root, "f").fh, O_WRONLY));
  EXPECT_STATUS(u->Write(writer, 0, "W", OMFS_WRITE_MAPPED), 0);
  EXPECT_EQ(ReadFile("f").substr(0, 2), "W.");
  EXPECT_EQ(NativeStat(Path("f")).st_mode & 07777, 06777U);
  const uint64_t reader = OpenIdOf(u->Open(u->Lookup(u->root, "f").fh, O_RDONLY));
  EXPECT_STATUS(u->Write(reader, 0, "R", OMFS_WRITE_MAPPED), EBADF);
}

TEST_F(OpsTest, AStoreThroughAMapEndsWhereTheFileEnds) {
  const uint64_t id = OpenIdOf(c->Create(c->root, "f", O_CREAT | O_RDWR, 0644));
  EXPECT_STATUS(c->Write(id, 0, std::string(8192, 'o')), 0);
  ASSERT_EQ(truncate(Path("f").c_str(), 5000), 0);
  const RawReply whole = c->Write(id, 0, std::string(8192, 'n'), OMFS_WRITE_MAPPED);
  ASSERT_STATUS(whole, 0);
  EXPECT_EQ(Le64(whole.As<omfs_write_rep>().written), 8192U);
  EXPECT_EQ(ReadFile("f"), std::string(5000, 'n'));
  EXPECT_STATUS(c->Write(id, 8192, "beyond", OMFS_WRITE_MAPPED), 0);
  ASSERT_EQ(truncate(Path("f").c_str(), 6000), 0);
  EXPECT_EQ(ReadFile("f"), std::string(5000, 'n') + std::string(1000, '\0'));
}

TEST_F(OpsTest, AnUnlinkedOpenFileStaysUsable) {
  const RawReply made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  const auto open = made.As<omfs_open_rep>();
  EXPECT_STATUS(c->Write(OpenIdOf(made), 0, "text"), 0);
  EXPECT_STATUS(Unlink(*c, "f"), 0);
  const RawReply attr = GetAttr(*c, open.fh);
  ASSERT_STATUS(attr, 0);
  EXPECT_EQ(Le32(attr.As<omfs_attr_rep>().attr.nlink), 0U);
  EXPECT_EQ(c->Read(OpenIdOf(made), 0, 10).payload_text(), "text");
  EXPECT_STATUS(c->Close(OpenIdOf(made)), 0);
  EXPECT_STATUS(GetAttr(*c, open.fh), ESTALE);
  EXPECT_STATUS(c->Close(OpenIdOf(made)), ESTALE);
}

TEST_F(OpsTest, MkNodMakesAllTypesAndOnlyRootDevices) {
  ASSERT_STATUS(MkNod(*u, "d", S_IFDIR | 0777), 0);
  EXPECT_EQ(NativeStat(Path("d")).st_mode, S_IFDIR | 0755U);
  ASSERT_STATUS(MkNod(*u, "p", S_IFIFO | 0666), 0);
  ASSERT_STATUS(MkNod(*u, "s", S_IFSOCK | 0666), 0);
  ASSERT_STATUS(MkNod(*u, "r", S_IFREG | 0666), 0);
  EXPECT_STATUS(MkNod(*u, "c", S_IFCHR | 0666, makedev(1, 3)), EPERM);
  ASSERT_STATUS(MkNod(*c, "c", S_IFCHR | 0666, makedev(1, 3)), 0);
  EXPECT_EQ(NativeStat(Path("c")).st_rdev, makedev(1, 3));
  EXPECT_STATUS(MkNod(*u, "d", S_IFDIR | 0777), EEXIST);
}

TEST_F(OpsTest, NewObjectsInASetGidDirectoryInheritItsGroup) {
  mkdir(Path("d").c_str(), 0777);
  ASSERT_EQ(chown(Path("d").c_str(), 0, 777), 0);
  ASSERT_EQ(chmod(Path("d").c_str(), 02777), 0);
  const auto d = u->Lookup(u->root, "d");
  ASSERT_STATUS(u->Create(d.fh, "f", O_CREAT | O_RDWR, 0644), 0);
  EXPECT_EQ(NativeStat(Path("d/f")).st_gid, 777U);
}

TEST_F(OpsTest, SupplementaryGroupsCount) {
  WriteFile("f", "secret");
  ASSERT_EQ(chown(Path("f").c_str(), 0, 888), 0);
  ASSERT_EQ(chmod(Path("f").c_str(), 0640), 0);
  const auto f = u->Lookup(u->root, "f");
  EXPECT_STATUS(u->Open(f.fh, O_RDONLY), EACCES);
  u->creds.groups = {5, 888};
  EXPECT_STATUS(u->Open(f.fh, O_RDONLY), 0);
  u->creds.groups = {5};
  EXPECT_STATUS(u->Open(f.fh, O_RDONLY), EACCES);
}

TEST_F(OpsTest, SymLinksCarryAnyTarget) {
  omfs_symlink_req r{};
  r.dir = u->root;
  const std::string target(4000, 't');
  ASSERT_STATUS(u->Call(OMFS_OP_SYMLINK, r, "l", target), 0);
  const RawReply reply = u->Call(OMFS_OP_READLINK, omfs_fh_req{u->Lookup(u->root, "l").fh});
  ASSERT_STATUS(reply, 0);
  const size_t size = Le32(reply.As<omfs_bytes_rep>().len);
  EXPECT_EQ(size, target.size());
  EXPECT_EQ(reply.meta.size(), sizeof(omfs_bytes_rep) + size);
  EXPECT_STATUS(u->Call(OMFS_OP_READLINK, omfs_fh_req{u->root}), EINVAL);
}

TEST_F(OpsTest, LinkMakesAnotherName) {
  WriteFile("f", "");
  symlink("x", Path("l").c_str());
  const auto f = c->Lookup(c->root, "f");
  omfs_link_req r{};
  r.fh = f.fh;
  r.dir = c->root;
  const RawReply reply = c->Call(OMFS_OP_LINK, r, "g");
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(Le32(reply.As<omfs_entry_rep>().attr.nlink), 2U);
  EXPECT_STATUS(c->Call(OMFS_OP_LINK, r, "g"), EEXIST);
  r.fh = c->Lookup(c->root, "l").fh;
  ASSERT_STATUS(c->Call(OMFS_OP_LINK, r, "l2"), 0);
  EXPECT_TRUE(S_ISLNK(NativeStat(Path("l2")).st_mode));
  r.fh = c->root;
  EXPECT_STATUS(c->Call(OMFS_OP_LINK, r, "dir"), EPERM);
}

TEST_F(OpsTest, UnlinkAndRmdirFollowTheRulesOfStickyDirectories) {
  WriteFile("f", "");
  mkdir(Path("d").c_str(), 0755);
  WriteFile("d/x", "");
  EXPECT_STATUS(Unlink(*u, "f"), EPERM);
  EXPECT_STATUS(Unlink(*c, "d"), EISDIR);
  EXPECT_STATUS(Unlink(*c, "f", AT_REMOVEDIR), ENOTDIR);
  EXPECT_STATUS(Unlink(*c, "d", AT_REMOVEDIR), ENOTEMPTY);
  unlink(Path("d/x").c_str());
  EXPECT_STATUS(Unlink(*c, "d", AT_REMOVEDIR), 0);
  EXPECT_STATUS(Unlink(*c, "f"), 0);
  EXPECT_STATUS(Unlink(*c, "f"), ENOENT);
}

TEST_F(OpsTest, UnlinkFreesTheSpaceAtOnce) {
  const RawReply made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  c->Write(OpenIdOf(made), 0, std::string(1 << 20, 'x'));
  c->Close(OpenIdOf(made));
  GetAttr(*c, made.As<omfs_open_rep>().fh);
  EXPECT_STATUS(Unlink(*c, "f"), 0);
  EXPECT_STATUS(GetAttr(*c, made.As<omfs_open_rep>().fh), ESTALE);
}

TEST_F(OpsTest, RenameWithItsFlags) {
  WriteFile("a", "A");
  WriteFile("b", "B");
  EXPECT_STATUS(Rename(*c, "a", "b", RENAME_NOREPLACE), EEXIST);
  EXPECT_STATUS(Rename(*c, "a", "b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(ReadFile("a"), "B");
  EXPECT_STATUS(Rename(*c, "a", "b"), 0);
  EXPECT_EQ(ReadFile("b"), "B");
  EXPECT_FALSE(Exists("a"));
  EXPECT_STATUS(Rename(*u, "b", "c"), EPERM);
  EXPECT_STATUS(Rename(*c, "none", "c"), ENOENT);
}

TEST_F(OpsTest, WhatARenameReplacesCanStillBeOpened) {
  WriteFile("new", "new");
  WriteFile("name", "old");
  const auto found = c->Lookup(c->root, "name");
  EXPECT_STATUS(Rename(*c, "new", "name"), 0);
  const RawReply opened = c->Open(found.fh, O_RDONLY);
  ASSERT_STATUS(opened, 0);
  EXPECT_EQ(Le32(opened.As<omfs_open_rep>().attr.nlink), 0U);
  EXPECT_EQ(c->Read(OpenIdOf(opened), 0, 10).payload_text(), "old");
  EXPECT_STATUS(c->Close(OpenIdOf(opened)), 0);
  // Who asks for the free space sees that of replaced objects as free.
  omfs_fh_req statfs{};
  statfs.fh = c->root;
  EXPECT_STATUS(c->Call(OMFS_OP_STATFS, statfs), 0);
  EXPECT_STATUS(c->Open(found.fh, O_RDONLY), ESTALE);
}

TEST_F(OpsTest, SetAttrAsOwnerAndAsStranger) {
  const auto f = u->Create(u->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_MODE, 0600), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_mode & 07777, 0600U);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_UID, kOther), EPERM);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_SIZE, 1000), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_size, 1000);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_ATIME | OMFS_SET_MTIME, 12345), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_mtim.tv_sec, 12345);
  EXPECT_EQ(NativeStat(Path("f")).st_atim.tv_sec, 12345);
  u->creds.uid = kOther;
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_MODE, 0777), EPERM);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_SIZE, 0), EACCES);
  // Both times to now asks only for permission to write, one of them for ownership (utimensat(2)).
  const uint32_t now = OMFS_SET_ATIME | OMFS_SET_ATIME_NOW | OMFS_SET_MTIME | OMFS_SET_MTIME_NOW;
  EXPECT_STATUS(SetAttr(*u, f.fh, now, 0), EACCES);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_MTIME | OMFS_SET_MTIME_NOW, 0), EPERM);
  EXPECT_STATUS(SetAttr(*c, f.fh, OMFS_SET_UID | OMFS_SET_GID, kOther), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_uid, kOther);
}

TEST_F(OpsTest, FtruncateGoesThroughTheOpen) {
  const RawReply made = u->Create(u->root, "f", O_CREAT | O_RDWR, 0);
  const auto f = made.As<omfs_open_rep>();
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_SIZE, 10), EACCES);
  EXPECT_STATUS(SetAttr(*u, f.fh, OMFS_SET_SIZE, 10, OpenIdOf(made)), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_size, 10);
}

TEST_F(OpsTest, SymbolicLinksHaveOwnersAndTimesButNoMode) {
  symlink("target", Path("l").c_str());
  const auto l = c->Lookup(c->root, "l");
  EXPECT_STATUS(SetAttr(*c, l.fh, OMFS_SET_UID, kUser), 0);
  EXPECT_STATUS(SetAttr(*c, l.fh, OMFS_SET_MTIME, 777), 0);
  EXPECT_STATUS(SetAttr(*c, l.fh, OMFS_SET_MODE, 0600), EOPNOTSUPP);
  EXPECT_EQ(NativeStat(Path("l")).st_uid, kUser);
  EXPECT_EQ(NativeStat(Path("l")).st_mtim.tv_sec, 777);
}

TEST_F(OpsTest, TheChangeCounterChangesWithEveryChange) {
  const RawReply made = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  const auto f = made.As<omfs_open_rep>();
  uint64_t last = Le64(f.attr.change);
  for (int i = 0; i < 100; ++i) {
    c->Write(OpenIdOf(made), 0, "x");
    const uint64_t now = Le64(GetAttr(*c, f.fh).As<omfs_attr_rep>().attr.change);
    EXPECT_GT(now, last);
    last = now;
  }
  EXPECT_EQ(Le64(GetAttr(*c, f.fh).As<omfs_attr_rep>().attr.change), last);
}

TEST_F(OpsTest, AccessAsksForTheCallersRights) {
  WriteFile("f", "");
  chmod(Path("f").c_str(), 0604);
  const auto f = u->Lookup(u->root, "f");
  EXPECT_STATUS(Access(*u, f.fh, R_OK), 0);
  EXPECT_STATUS(Access(*u, f.fh, W_OK), EACCES);
  EXPECT_STATUS(Access(*c, f.fh, R_OK | W_OK), 0);
  EXPECT_STATUS(Access(*c, f.fh, X_OK), EACCES);
}

TEST_F(OpsTest, StatFsIsTheOwners) {
  const RawReply reply = u->Call(OMFS_OP_STATFS, omfs_fh_req{u->root});
  ASSERT_STATUS(reply, 0);
  EXPECT_GT(Le64(reply.As<omfs_statfs_rep>().blocks), 0U);
  EXPECT_EQ(Le32(reply.As<omfs_statfs_rep>().namelen), 255U);
}

// name -> whether it came with attributes. Pages of the given size.
std::map<std::string, bool> List(RawClient& client, uint64_t open_id, uint32_t page,
                                 uint32_t flags) {
  std::map<std::string, bool> out;
  uint64_t cookie = 0;
  for (;;) {
    omfs_readdir_req r{};
    r.open_id = Le64(open_id);
    r.cookie = Le64(cookie);
    r.max_bytes = Le32(page);
    r.flags = Le32(flags);
    const RawReply reply = client.Call(OMFS_OP_READDIR, r);
    EXPECT_STATUS(reply, 0);
    EXPECT_LE(reply.payload.size(), page);
    MetaReader in(reply.payload);
    const auto rep = reply.As<omfs_readdir_rep>();
    for (uint32_t i = 0; i < Le32(rep.count); ++i) {
      omfs_dirent d;
      EXPECT_TRUE(in.Pod(&d).ok());
      const bool plus = (Le16(d.flags) & OMFS_DIRENT_ENTRY) != 0;
      omfs_entry_rep entry;
      if (plus) {
        EXPECT_TRUE(in.Pod(&entry).ok());
        EXPECT_EQ(entry.attr.ino, d.ino);
      }
      const std::string name(*in.Bytes(Le16(d.name_len), "name"));
      EXPECT_TRUE(out.emplace(name, plus).second) << name << " twice";
      cookie = Le64(d.cookie);
    }
    EXPECT_TRUE(in.End().ok());
    if (Le32(rep.eof) != 0 || reply.status() != 0) return out;
  }
}

TEST_F(OpsTest, ReadDirGivesEveryEntryOnceInPagesOfAnySize) {
  for (int i = 0; i < 1000; ++i) WriteFile("entry-with-a-longer-name-" + std::to_string(i), "");
  const uint64_t id = OpenIdOf(c->Open(c->root, O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(List(*c, id, 512, 0).size(), 1002U);
  EXPECT_EQ(List(*c, id, 65536, 0).size(), 1002U);
  const auto plus = List(*c, id, 65536, OMFS_READDIR_PLUS);
  EXPECT_EQ(plus.size(), 1002U);
  for (const auto& [name, has] : plus) EXPECT_EQ(has, name != "." && name != "..") << name;
  // New entries are seen after a rewind.
  WriteFile("one-more", "");
  EXPECT_EQ(List(*c, id, 65536, 0).size(), 1003U);
  omfs_readdir_req r{};
  r.open_id = Le64(id);
  r.max_bytes = Le32(10);
  EXPECT_STATUS(c->Call(OMFS_OP_READDIR, r), EINVAL);
}

TEST_F(OpsTest, ReadDirPlusOfADirectoryThatCannotBeSearchedStillNamesItsEntries) {
  mkdir(Path("d").c_str(), 0744);
  WriteFile("d/f", "");
  const RawReply open = u->Open(u->Lookup(u->root, "d").fh, O_RDONLY | O_DIRECTORY);
  ASSERT_STATUS(open, 0);
  const auto entries = List(*u, OpenIdOf(open), 4096, OMFS_READDIR_PLUS);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_FALSE(entries.at("f"));
}

TEST_F(OpsTest, ExtendedAttributes) {
  WriteFile("f", "");
  ASSERT_EQ(chown(Path("f").c_str(), kUser, kUser), 0);
  const auto f = u->Lookup(u->root, "f");
  EXPECT_STATUS(Xattr(*u, OMFS_OP_SETXATTR, f.fh, "user.a", 0, "value"), 0);
  EXPECT_STATUS(Xattr(*u, OMFS_OP_SETXATTR, f.fh, "user.a", 0, "v", XATTR_CREATE), EEXIST);
  EXPECT_STATUS(Xattr(*u, OMFS_OP_SETXATTR, f.fh, "user.b", 0, "v", XATTR_REPLACE), ENODATA);
  EXPECT_EQ(Xattr(*u, OMFS_OP_GETXATTR, f.fh, "user.a", 100).payload_text(), "value");
  EXPECT_EQ(Le32(Xattr(*u, OMFS_OP_GETXATTR, f.fh, "user.a", 0).As<omfs_size_rep>().size), 5U);
  EXPECT_STATUS(Xattr(*u, OMFS_OP_GETXATTR, f.fh, "user.a", 3), ERANGE);
  EXPECT_EQ(Xattr(*u, OMFS_OP_LISTXATTR, f.fh, "", 100).payload_text(), std::string("user.a\0", 7));
  EXPECT_STATUS(Xattr(*u, OMFS_OP_SETXATTR, f.fh, "trusted.a", 0, "v"), EPERM);
  EXPECT_STATUS(Xattr(*c, OMFS_OP_SETXATTR, f.fh, "trusted.a", 0, "v"), 0);
  EXPECT_EQ(Xattr(*u, OMFS_OP_LISTXATTR, f.fh, "", 100).payload.size(), 7U);
  EXPECT_STATUS(Xattr(*u, OMFS_OP_REMOVEXATTR, f.fh, "user.a", 0), 0);
  EXPECT_STATUS(Xattr(*u, OMFS_OP_REMOVEXATTR, f.fh, "user.a", 0), ENODATA);
  symlink("f", Path("l").c_str());
  const auto l = c->Lookup(c->root, "l");
  EXPECT_STATUS(Xattr(*c, OMFS_OP_SETXATTR, l.fh, "user.a", 0, "v"), EPERM);
  EXPECT_STATUS(Xattr(*c, OMFS_OP_SETXATTR, l.fh, "trusted.l", 0, "v"), 0);
  EXPECT_EQ(lgetxattr(Path("l").c_str(), "trusted.l", nullptr, 0), 1);
}

TEST_F(OpsTest, FsyncFallocateSeekAndCopy) {
  const uint64_t id = OpenIdOf(c->Create(c->root, "f", O_CREAT | O_RDWR, 0644));
  c->Write(id, 1 << 20, "data");
  EXPECT_STATUS(c->Call(OMFS_OP_FSYNC, omfs_fsync_req{Le64(id), 0, 0}), 0);
  omfs_lseek_req seek{Le64(id), 0, Le32(SEEK_DATA), 0};
  RawReply reply = c->Call(OMFS_OP_LSEEK, seek);
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(Le64(reply.As<omfs_offset_rep>().offset), 1U << 20);
  seek.whence = Le32(SEEK_SET);
  EXPECT_STATUS(c->Call(OMFS_OP_LSEEK, seek), EINVAL);
  EXPECT_STATUS(c->Call(OMFS_OP_FALLOCATE, omfs_fallocate_req{Le64(id), 0, Le64(4096), 0, 0}), 0);
  EXPECT_STATUS(c->Call(OMFS_OP_FALLOCATE,
                        omfs_fallocate_req{Le64(id), Le64(1 << 20), Le64(4096),
                                           Le32(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), 0}),
                0);
  EXPECT_EQ(c->Read(id, 1 << 20, 4).payload_text(), std::string(4, '\0'));
  c->Write(id, 0, "copied");
  const uint64_t to = OpenIdOf(c->Create(c->root, "g", O_CREAT | O_RDWR, 0644));
  reply = c->Call(OMFS_OP_COPY_RANGE,
                  omfs_copy_range_req{Le64(id), 0, Le64(to), Le64(2), Le64(6), 0, 0});
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(Le64(reply.As<omfs_offset_rep>().offset), 6U);
  EXPECT_EQ(ReadFile("g"), std::string("\0\0copied", 8));
}

TEST_F(OpsTest, InodeFlags) {
  WriteFile("f", "");
  ASSERT_EQ(chown(Path("f").c_str(), kUser, kUser), 0);
  ASSERT_EQ(chmod(Path("f").c_str(), 0), 0);
  omfs_flags_req r{};
  r.fh = u->Lookup(u->root, "f").fh;
  RawReply reply = u->Call(OMFS_OP_FLAGS, r);
  if (reply.status() == ENOTTY || reply.status() == EOPNOTSUPP)
    GTEST_SKIP() << "no inode flags here";
  ASSERT_STATUS(reply, 0);
  const uint32_t before = Le32(reply.As<omfs_flags_rep>().flags);
  r.set = Le32(1);
  r.flags = Le32(before | FS_NODUMP_FL);
  EXPECT_STATUS(u->Call(OMFS_OP_FLAGS, r), 0);
  r.flags = Le32(before | FS_APPEND_FL);
  EXPECT_STATUS(u->Call(OMFS_OP_FLAGS, r), EPERM);
  // An append-only file can be opened for appending only.
  EXPECT_STATUS(c->Call(OMFS_OP_FLAGS, r), 0);
  EXPECT_STATUS(c->Open(r.fh, O_WRONLY), EPERM);
  const RawReply open = c->Open(r.fh, O_WRONLY | O_APPEND);
  ASSERT_STATUS(open, 0);
  EXPECT_STATUS(c->Write(OpenIdOf(open), 0, "x", OMFS_WRITE_APPEND), 0);
  r.flags = Le32(before);
  EXPECT_STATUS(c->Call(OMFS_OP_FLAGS, r), 0);
}

class LockTest : public OpsTest {
 protected:
  void SetUp() override {
    OpsTest::SetUp();
    if (IsSkipped()) return;
    WriteFile("f", "0123456789");
    fh = c->Lookup(c->root, "f").fh;
    id = OpenIdOf(c->Open(fh, O_RDWR));
    id2 = OpenIdOf(c->Open(fh, O_RDWR));
  }
  omfs_lock_req Request(uint64_t open_id, uint64_t owner, short type, uint64_t start, uint64_t end,
                        uint32_t flags = 0) {
    omfs_lock_req r{};
    r.open_id = Le64(open_id);
    r.owner = Le64(owner);
    r.flags = Le32(flags);
    r.lock = {Le64(start), Le64(end), Le32(static_cast<uint32_t>(type)), Le32(4242)};
    return r;
  }

  omfs_fh fh;
  uint64_t id = 0, id2 = 0;
};

TEST_F(LockTest, RangesOfDifferentOwnersConflict) {
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 4), 0);
  EXPECT_STATUS(c->Lock(id, 2, F_WRLCK, 4, 6), EAGAIN);
  EXPECT_STATUS(c->Lock(id, 2, F_WRLCK, 5, ~0ULL), 0);
  EXPECT_STATUS(c->Lock(id2, 1, F_RDLCK, 0, 4), 0);  // the owner may change its own
  EXPECT_STATUS(c->Lock(id, 2, F_RDLCK, 0, 4), 0);
  const RawReply reply = c->Call(OMFS_OP_GETLK, Request(id, 3, F_WRLCK, 0, 2));
  ASSERT_STATUS(reply, 0);
  EXPECT_EQ(Le32(reply.As<omfs_lock_rep>().lock.type), static_cast<uint32_t>(F_RDLCK));
  EXPECT_EQ(Le32(reply.As<omfs_lock_rep>().lock.pid), 4242U);
  EXPECT_STATUS(c->Lock(id, 1, F_UNLCK, 0, ~0ULL), 0);
  EXPECT_STATUS(c->Lock(id, 2, F_UNLCK, 0, ~0ULL), 0);
  EXPECT_STATUS(c->Lock(id, 3, F_WRLCK, 0, ~0ULL), 0);
}

TEST_F(LockTest, NativeProcessesTakePart) {
  const int fd = open(Path("f").c_str(), O_RDWR);
  struct flock l {};
  l.l_type = F_WRLCK;
  l.l_len = 5;
  ASSERT_EQ(fcntl(fd, F_OFD_SETLK, &l), 0);
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 0), EAGAIN);
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 5, 5), 0);
  l.l_start = 5;
  EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &l), -1);
  close(fd);
}

TEST_F(LockTest, TheAccessModeOfTheOpenLimitsTheType) {
  const uint64_t reader = OpenIdOf(c->Open(fh, O_RDONLY));
  EXPECT_STATUS(c->Lock(reader, 1, F_WRLCK, 0, 1), EBADF);
  EXPECT_STATUS(c->Lock(reader, 1, F_RDLCK, 0, 1), 0);
}

TEST_F(LockTest, AWaitingLockIsGrantedWhenItIsFree) {
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 9), 0);
  const auto wait =
      c->Encode(OMFS_OP_SETLK, Request(id, 2, F_WRLCK, 3, 3, OMFS_LOCK_WAIT), {}, {}, {}, 3);
  ASSERT_TRUE(c->Send(wait).ok());
  // Replies of other slots overtake it.
  EXPECT_STATUS(c->Call(OMFS_OP_PING, NoFixedPart{}), 0);
  const auto unlock = c->Encode(OMFS_OP_SETLK, Request(id, 1, F_UNLCK, 0, 9), {}, {}, {}, 0);
  ASSERT_TRUE(c->Send(unlock).ok());
  bool granted = false, unlocked = false;
  for (int i = 0; i < 2; ++i) {
    const auto reply = c->Receive();
    ASSERT_TRUE(reply.has_value());
    EXPECT_STATUS(*reply, 0);
    (reply->header.slot == 3 ? granted : unlocked) = true;
  }
  EXPECT_TRUE(granted && unlocked);
}

TEST_F(LockTest, AWaitingLockIsGrantedWhenANativeProcessLetsGo) {
  const int fd = open(Path("f").c_str(), O_RDWR);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  ASSERT_TRUE(c->Send(c->Encode(OMFS_OP_SETLK,
                                Request(id, 1, F_WRLCK, 0, ~0ULL, OMFS_LOCK_WAIT | OMFS_LOCK_FLOCK),
                                {}, {}, {}, 3))
                  .ok());
  EXPECT_STATUS(c->Call(OMFS_OP_PING, NoFixedPart{}), 0);
  close(fd);
  const auto reply = c->Receive();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->header.slot, 3);
  EXPECT_STATUS(*reply, 0);
}

TEST_F(LockTest, CancelEndsTheWaiting) {
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 9), 0);
  ASSERT_TRUE(c->Send(c->Encode(OMFS_OP_SETLK, Request(id, 2, F_WRLCK, 3, 3, OMFS_LOCK_WAIT), {},
                                {}, {}, 3))
                  .ok());
  ASSERT_TRUE(
      c->Send(c->Encode(OMFS_OP_CANCEL, omfs_cancel_req{Le16(3), 0, Le32(c->sequence[3])})).ok());
  for (int i = 0; i < 2; ++i) {
    const auto reply = c->Receive();
    ASSERT_TRUE(reply.has_value());
    EXPECT_STATUS(*reply, reply->header.slot == 3 ? EINTR : 0);
  }
}

TEST_F(LockTest, ACircleOfWaitingOwnersIsADeadlock) {
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 0), 0);
  EXPECT_STATUS(c->Lock(id, 2, F_WRLCK, 1, 1), 0);
  ASSERT_TRUE(c->Send(c->Encode(OMFS_OP_SETLK, Request(id, 1, F_WRLCK, 1, 1, OMFS_LOCK_WAIT), {},
                                {}, {}, 3))
                  .ok());
  EXPECT_STATUS(c->Lock(id, 2, F_WRLCK, 0, 0, OMFS_LOCK_WAIT), EDEADLK);
}

TEST_F(LockTest, LocksGoWithCloseAndWithTheSession) {
  EXPECT_STATUS(c->Lock(id, 1, F_WRLCK, 0, 9), 0);
  EXPECT_STATUS(c->Lock(id, 0, F_WRLCK, 0, ~0ULL, OMFS_LOCK_FLOCK), 0);
  EXPECT_STATUS(c->Lock(id2, 0, F_WRLCK, 0, ~0ULL, OMFS_LOCK_FLOCK), EAGAIN);
  EXPECT_STATUS(c->Close(id, 1), 0);
  EXPECT_STATUS(c->Lock(id2, 2, F_WRLCK, 0, 9), 0);
  EXPECT_STATUS(c->Lock(id2, 0, F_WRLCK, 0, ~0ULL, OMFS_LOCK_FLOCK), 0);
  EXPECT_STATUS(c->Call(OMFS_OP_BYE, NoFixedPart{}), 0);
  u->creds = {};
  const uint64_t other = OpenIdOf(u->Open(fh, O_RDWR));
  EXPECT_STATUS(u->Lock(other, 9, F_WRLCK, 0, 9), 0);
  EXPECT_STATUS(u->Lock(other, 0, F_WRLCK, 0, ~0ULL, OMFS_LOCK_FLOCK), 0);
}

TEST_F(OpsTest, RootIsSquashedWhereTheExportSaysSo) {
  StopServer();
  config_.root_squash = true;
  StartServer();
  c = NewClient(7);
  ASSERT_STATUS(c->Create(c->root, "f", O_CREAT | O_RDWR, 0644), 0);
  EXPECT_EQ(NativeStat(Path("f")).st_uid, 65534U);
  WriteFile("secret", "");
  chmod(Path("secret").c_str(), 0600);
  EXPECT_STATUS(c->Open(c->Lookup(c->root, "secret").fh, O_RDONLY), EACCES);
}

TEST_F(OpsTest, CallersOfDifferentIdsDoNotMixOnOneConnection) {
  mkdir(Path("d").c_str(), 0777);
  chmod(Path("d").c_str(), 0777);
  const auto d = c->Lookup(c->root, "d");
  for (uint32_t i = 0; i < 300; ++i) {
    const uint32_t uid = i % 3 == 0 ? 0 : kUser + i % 7;
    c->creds = {uid, uid, i % 2 == 0 ? 022U : 077U, {uid, 1}};
    const std::string name = "f" + std::to_string(i);
    const RawReply made = c->Create(d.fh, name, O_CREAT | O_RDWR, 0666);
    ASSERT_STATUS(made, 0);
    c->Close(OpenIdOf(made));
    const struct stat st = NativeStat(Path("d/" + name));
    EXPECT_EQ(st.st_uid, uid);
    EXPECT_EQ(st.st_gid, uid);
    EXPECT_EQ(st.st_mode & 0777, i % 2 == 0 ? 0644U : 0600U);
  }
}

}  // namespace
}  // namespace omfs::testing
