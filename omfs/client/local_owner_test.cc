// LocalOwner and LocalFiles, over a server in this process. Needs root.
#include "omfs/client/local_owner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "omfs/client/testing/test_node.h"
#include "omfs/server/local_files.h"
#include "omfs/wire/local_files.h"

namespace omfs::testing {
namespace {

class LocalOwnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    node_.Start();
    std::ofstream(node_.Path("f")) << "content";
    std::ofstream(node_.Path("g")) << "other";
    client_ = std::make_unique<NodeClient>(OptionsFor(node_), node_.tls());
    Listen();
  }
  void Listen() {
    auto files = LocalFiles::Start(Socket(), [this](SessionId session, OpenId open, const omfs_fh& object) {
      return node_.server().Descriptor(session, open, object);
    });
    ASSERT_TRUE(files.ok()) << files.status();
    files_ = std::move(*files);
  }
  std::string Socket() const { return dir_.path() + "/files.sock"; }
  Opened Open(const std::string& name) {
    auto root = client_->Root();
    EXPECT_TRUE(root.ok());
    auto entry = client_->Lookup(Caller(), root->fh, name);
    EXPECT_TRUE(entry.ok());
    auto opened = client_->Open(Caller(), entry->fh, O_RDWR);
    EXPECT_TRUE(opened.ok());
    return *opened;
  }
  static bool Soon(const std::function<bool()>& f) {
    for (int i = 0; i < 10'000 && !f(); ++i) usleep(1000);
    return f();
  }

  TempDir ca_, dir_;
  TestNode node_{NodeId(1), ca_.path()};
  std::unique_ptr<NodeClient> client_;
  std::unique_ptr<LocalFiles> files_;
};

TEST_F(LocalOwnerTest, GivesAPathDescriptorOfWhatIsOpen) {
  LocalOwner owner(Socket());
  const Opened opened = Open("f");
  const auto key = client_->KeyOf(opened.open);
  ASSERT_TRUE(key.ok());
  const auto fd = owner.Descriptor(key->session, key->open, opened.open->fh());
  ASSERT_TRUE(fd.ok()) << strerror(fd.error().value);
  struct stat here, there;
  ASSERT_EQ(fstat(fd->get(), &here), 0);
  ASSERT_EQ(stat(node_.Path("f").c_str(), &there), 0);
  EXPECT_EQ(here.st_ino, there.st_ino);
  EXPECT_EQ(fcntl(fd->get(), F_GETFL) & O_PATH, O_PATH);
  char byte;
  EXPECT_EQ(read(fd->get(), &byte, 1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(LocalOwnerTest, RefusesWhatIsNotOpenOrIsAnotherFile) {
  LocalOwner owner(Socket());
  const Opened f = Open("f"), g = Open("g");
  const auto key = client_->KeyOf(f.open);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(owner.Descriptor(key->session, key->open, g.open->fh()).error().value, ESTALE);
  EXPECT_EQ(owner.Descriptor(key->session, key->open + 1000, f.open->fh()).error().value, ESTALE);
  EXPECT_EQ(owner.Descriptor(key->session + 1000, key->open, f.open->fh()).error().value, ESTALE);
  EXPECT_TRUE(owner.Descriptor(key->session, key->open, f.open->fh()).ok());
  client_->Close(Caller(), f.open, 0);
  EXPECT_TRUE(Soon([&] { return owner.Descriptor(key->session, key->open, f.open->fh()).error().value == ESTALE; }));
}

TEST_F(LocalOwnerTest, FindsTheNextDaemon) {
  LocalOwner owner(Socket());
  const Opened opened = Open("f");
  const auto key = client_->KeyOf(opened.open);
  ASSERT_TRUE(owner.Descriptor(key->session, key->open, opened.open->fh()).ok());
  files_.reset();
  EXPECT_FALSE(owner.Descriptor(key->session, key->open, opened.open->fh()).ok());
  Listen();
  EXPECT_TRUE(owner.Descriptor(key->session, key->open, opened.open->fh()).ok());
}

TEST_F(LocalOwnerTest, AMountIsKnownAsLongAsItsProgramLives) {
  {
    LocalOwner owner(Socket());
    owner.Announce("/mfs/1", false, "because");
    ASSERT_TRUE(Soon([&] { return !files_->Mounts().empty(); }));
    EXPECT_EQ(files_->Mounts()[0].path, "/mfs/1");
    EXPECT_FALSE(files_->Mounts()[0].passthrough);
    EXPECT_EQ(files_->Mounts()[0].detail, "because");
    files_.reset();
    Listen();
    EXPECT_TRUE(Soon([&] { return !files_->Mounts().empty(); })) << "the next daemon is told too";
  }
  EXPECT_TRUE(Soon([&] { return files_->Mounts().empty(); }));
}

}  // namespace
}  // namespace omfs::testing
