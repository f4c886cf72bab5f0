// The client core against a real server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "omfs/client/node_client.h"
#include "omfs/client/testing/flaky_proxy.h"
#include "omfs/client/testing/test_node.h"
#include "omfs/client/withdrawal.h"
#include "omfs/wire/attr.h"

namespace omfs::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const Caller kRoot;

std::span<const std::byte> Bytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: the server acts with its callers' ids";
    owner_ = std::make_unique<TestNode>(NodeId(2), ca_.path(), 3000);
    self_ = std::make_unique<TestNode>(NodeId(1), ca_.path());
    owner_->Start();
  }
  std::unique_ptr<NodeClient> NewClient(uint16_t port = 0) {
    return std::make_unique<NodeClient>(OptionsFor(*owner_, port), self_->tls());
  }
  static Fh RootOf(NodeClient& c) {
    ErrnoOr<Entry> root = c.Root();
    EXPECT_TRUE(root.ok());
    return root.ok() ? root->fh : Fh();
  }
  static std::string ReadAll(NodeClient& c, const RemoteOpenRef& open, size_t size) {
    std::string text(size, '\0');
    const auto n = c.Read(kRoot, open, 0, {reinterpret_cast<std::byte*>(text.data()), size});
    EXPECT_TRUE(n.ok()) << strerror(n.error().value);
    text.resize(n.ok() ? *n : 0);
    return text;
  }
  std::string Native(const std::string& name) {
    std::ifstream in(owner_->Path(name));
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  TempDir ca_;
  std::unique_ptr<TestNode> owner_, self_;
};

TEST_F(ClientTest, CreatesWritesReadsAndRemovesAFile) {
  auto c = NewClient();
  const Fh root = RootOf(*c);
  auto made = c->Create(kRoot, root, "f", O_RDWR | O_EXCL, 0640);
  ASSERT_TRUE(made.ok()) << strerror(made.error().value);
  auto written = c->Write(kRoot, made->open, 3, Bytes("hello"), 0);
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->bytes, 5u);
  EXPECT_EQ(ReadAll(*c, made->open, 100), std::string("\0\0\0hello", 8));
  EXPECT_EQ(Native("f"), std::string("\0\0\0hello", 8));
  auto found = c->Lookup(kRoot, root, "f");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->fh, made->entry.fh);
  EXPECT_EQ(StatFrom(found->attr).st_size, 8);
  EXPECT_EQ(StatFrom(found->attr).st_mode & 07777, 0640u);
  EXPECT_TRUE(c->Unlink(kRoot, root, "f", 0).ok());
  EXPECT_EQ(c->Lookup(kRoot, root, "f").error().value, ENOENT);
  auto attr = c->GetAttr(kRoot, made->entry.fh, made->open);
  ASSERT_TRUE(attr.ok()) << "an open file outlives its name";
  EXPECT_EQ(StatFrom(*attr).st_nlink, 0u);
  c->Close(kRoot, made->open, 0);
}

TEST_F(ClientTest, RefusesNamesThatAreNoneWithoutAsking) {
  auto c = NewClient();
  const Fh root = RootOf(*c);
  EXPECT_EQ(c->Lookup(kRoot, root, std::string(256, 'x')).error().value, ENAMETOOLONG);
  EXPECT_EQ(c->Lookup(kRoot, root, "a/b").error().value, EINVAL);
  EXPECT_EQ(c->Unlink(kRoot, root, "", 0).error().value, ENOENT);
}

TEST_F(ClientTest, ReadsADirectoryInPages) {
  for (int i = 0; i < 1000; ++i) std::ofstream(owner_->Path("entry" + std::to_string(i)));
  auto c = NewClient();
  auto dir = c->Open(kRoot, RootOf(*c), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir.ok());
  uint64_t cookie = 0, entries = 0;
  for (bool eof = false; !eof;) {
    auto page = c->ReadDir(kRoot, dir->open, cookie, 4096, false);
    ASSERT_TRUE(page.ok());
    MetaReader in(page->entries);
    for (uint32_t i = 0; i < page->count; ++i) {
      omfs_dirent d;
      ASSERT_TRUE(in.Pod(&d).ok());
      ASSERT_TRUE(in.Bytes(d.name_len, "name").ok());
      cookie = d.cookie;
      ++entries;
    }
    eof = page->eof;
  }
  EXPECT_EQ(entries, 1002u);
  c->Close(kRoot, dir->open, 0);
}

TEST_F(ClientTest, ADirectoryReadFromItsEndCanBeReadFromItsBeginning) {
  for (int i = 0; i < 50; ++i) std::ofstream(owner_->Path("entry" + std::to_string(i)));
  auto c = NewClient();
  auto all = c->Open(kRoot, RootOf(*c), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(all.ok());
  auto page = c->ReadDir(kRoot, all->open, 0, 65536, false);
  ASSERT_TRUE(page.ok() && page->eof);
  ASSERT_EQ(page->count, 52u);
  uint64_t last = 0;
  MetaReader in(page->entries);
  for (uint32_t i = 0; i < page->count; ++i) {
    omfs_dirent d;
    ASSERT_TRUE(in.Pod(&d).ok());
    ASSERT_TRUE(in.Bytes(d.name_len, "name").ok());
    last = d.cookie;
  }
  auto dir = c->Open(kRoot, RootOf(*c), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir.ok());
  auto rest = c->ReadDir(kRoot, dir->open, last, 65536, false);
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->count, 0u);
  auto again = c->ReadDir(kRoot, dir->open, 0, 65536, false);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->count, 52u);
  c->Close(kRoot, dir->open, 0);
  c->Close(kRoot, all->open, 0);
}

TEST_F(ClientTest, AnOwnerThatIsNotThereIsDownAtOnce) {
  owner_->Stop();
  auto c = NewClient();
  EXPECT_FALSE(c->Root().ok());
  const auto before = steady_clock::now();
  EXPECT_EQ(c->Root().error().value, EHOSTDOWN);
  EXPECT_EQ(c->Lookup(kRoot, Fh(), "x").error().value, EHOSTDOWN);
  EXPECT_LT(steady_clock::now() - before, milliseconds(500));
}

TEST_F(ClientTest, ManyThreadsShareOneConnection) {
  auto c = NewClient();
  const Fh root = RootOf(*c);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      const std::string name = "file" + std::to_string(t);
      auto made = c->Create(kRoot, root, name, O_RDWR, 0600);
      if (!made.ok()) return;
      const std::string mine(10000 + t, static_cast<char>('a' + t));
      for (int i = 0; i < 50; ++i) {
        if (!c->Write(kRoot, made->open, 0, Bytes(mine), 0).ok()) return;
        if (ReadAll(*c, made->open, 20000) != mine) return;
        if (!c->Lookup(kRoot, root, name).ok()) return;
      }
      c->Close(kRoot, made->open, 0);
      ++good;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 16);
}

TEST_F(ClientTest, MoreCallersThanSlotsWaitForOne) {
  LinkOptions options = OptionsFor(*owner_);
  options.slots = 3;
  NodeClient c(options, self_->tls());
  const Fh root = RootOf(c);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 30; ++i) {
        auto opened = c.Open(kRoot, root, O_RDONLY | O_DIRECTORY);
        if (!opened.ok()) return;
        c.Close(kRoot, opened->open, 0);
      }
      ++good;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, 12);
}

// Each appends distinct records through connections that break at random bytes. Exactly-once: every
// record that was reported written is in the file once, in order, and nothing else is.
TEST_F(ClientTest, EveryCallIsExecutedOnceWhenConnectionsAreCutAnywhere) {
  FlakyProxy proxy(owner_->port());
  proxy.CutAfter(60'000);
  auto c = NewClient(proxy.port());
  const Fh root = RootOf(*c);
  constexpr int kThreads = 4, kRecords = 150;
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto made = c->Create(kRoot, root, "log" + std::to_string(t), O_RDWR | O_EXCL, 0600);
      if (!made.ok()) {
        ++failed;
        return;
      }
      for (int i = 0; i < kRecords; ++i) {
        char record[257];
        snprintf(record, sizeof record, "%02d-%04d-%0248d", t, i, i);
        auto w = c->Write(kRoot, made->open, 0, Bytes(record), OMFS_WRITE_APPEND);
        if (!w.ok() || w->bytes != 256) ++failed;
        // Not idempotent: a second execution would fail.
        const std::string dir = "d" + std::to_string(t) + "-" + std::to_string(i);
        if (!c->MkNod(kRoot, root, dir, S_IFDIR | 0755, 0).ok()) ++failed;
        if (!c->Unlink(kRoot, root, dir, AT_REMOVEDIR).ok()) ++failed;
      }
      c->Close(kRoot, made->open, 0);
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(proxy.connections(), 3) << "nothing was cut";
  for (int t = 0; t < kThreads; ++t) {
    const std::string text = Native("log" + std::to_string(t));
    ASSERT_EQ(text.size(), kRecords * 256u);
    for (int i = 0; i < kRecords; ++i) {
      char start[9];
      snprintf(start, sizeof start, "%02d-%04d-", t, i);
      ASSERT_EQ(text.compare(i * 256, 8, start), 0) << "record " << i;
    }
  }
}

TEST_F(ClientTest, OpensAreMadeAgainAfterTheOwnersRestart) {
  LinkOptions options = OptionsFor(*owner_);
  options.patience = std::chrono::seconds(60);
  auto c = std::make_unique<NodeClient>(options, self_->tls());
  const Fh root = RootOf(*c);
  auto made = c->Create(kRoot, root, "f", O_RDWR, 0600);
  ASSERT_TRUE(made.ok());
  auto gone = c->Create(kRoot, root, "gone", O_RDWR, 0600);
  ASSERT_TRUE(gone.ok());
  ASSERT_TRUE(c->Write(kRoot, made->open, 0, Bytes("before"), 0).ok());
  owner_->Stop();
  unlink(owner_->Path("gone").c_str());
  std::thread restart([&] {
    std::this_thread::sleep_for(milliseconds(300));
    owner_->Start();
  });
  EXPECT_EQ(ReadAll(*c, made->open, 100), "before") << "the call waits for the owner";
  restart.join();
  EXPECT_TRUE(c->Write(kRoot, made->open, 0, Bytes("after!"), 0).ok());
  EXPECT_EQ(Native("f"), "after!");
  auto lost = c->Write(kRoot, gone->open, 0, Bytes("x"), 0);
  EXPECT_EQ(lost.error().value, ESTALE);
}

TEST_F(ClientTest, ASilentOwnerIsGivenUpWithinTheLease) {
  FlakyProxy proxy(owner_->port());
  auto c = NewClient(proxy.port());
  const Fh root = RootOf(*c);
  ASSERT_TRUE(c->Lookup(kRoot, root, "x").error().value == ENOENT);
  proxy.Stall(true);
  const auto before = steady_clock::now();
  EXPECT_EQ(c->Lookup(kRoot, root, "x").error().value, ETIMEDOUT);
  const auto waited = steady_clock::now() - before;
  EXPECT_LT(waited, milliseconds(3000 * 4));
  EXPECT_EQ(c->Lookup(kRoot, root, "x").error().value, EHOSTDOWN);
  proxy.Stall(false);
  for (int i = 0; i < 300 && !c->connected(); ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(c->Lookup(kRoot, root, "x").error().value, ENOENT) << "it comes back by itself";
}

// Waits until f() is true; the bound is a guard against hangs.
bool Soon(const std::function<bool()>& f) {
  for (int i = 0; i < 6000 && !f(); ++i) std::this_thread::sleep_for(milliseconds(10));
  return f();
}

TEST_F(ClientTest, AHardClientWaitsForASilentOwnerLongerThanTheLease) {
  FlakyProxy proxy(owner_->port());
  LinkOptions options = OptionsFor(*owner_, proxy.port());
  options.hard = true;
  NodeClient c(options, self_->tls());
  const Fh root = RootOf(c);
  proxy.Stall(true);
  std::atomic<bool> ended{false};
  int error = -1;
  std::thread asks([&] {
    error = c.Lookup(kRoot, root, "x").error().value;
    ended = true;
  });
  std::this_thread::sleep_for(milliseconds(3 * 3000));
  EXPECT_FALSE(ended);
  proxy.Stall(false);
  asks.join();
  EXPECT_EQ(error, ENOENT);
}

TEST_F(ClientTest, AbortEndsWhatWaitsAndWhatComesLaterUntilTheOwnerIsBack) {
  FlakyProxy proxy(owner_->port());
  LinkOptions options = OptionsFor(*owner_, proxy.port());
  options.hard = true;
  NodeClient c(options, self_->tls());
  const Fh root = RootOf(c);
  proxy.Stall(true);
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  std::vector<int> errors(100, -1);  // more than there are slots
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&, i] {
      errors[i] = i % 2 ? c.Lookup(kRoot, root, "x").error().value
                        : c.MkNod(kRoot, root, "made" + std::to_string(i), S_IFREG | 0600, 0).error().value;
      ++ended;
    });
  }
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(ended, 0);
  c.link().Abort();
  for (std::thread& t : threads) t.join();
  for (const int e : errors) EXPECT_TRUE(e == EIO || e == EHOSTDOWN) << strerror(e);
  EXPECT_TRUE(c.link().aborted());
  EXPECT_EQ(c.Lookup(kRoot, root, "x").error().value, EHOSTDOWN) << "at once, though hard";
  proxy.Stall(false);
  EXPECT_TRUE(Soon([&] { return c.connected(); }));
  EXPECT_FALSE(c.link().aborted());
  EXPECT_EQ(c.Lookup(kRoot, root, "x").error().value, ENOENT);
}

TEST_F(ClientTest, AnAbortThatIsTakenBackLetsCallsWaitAgain) {
  FlakyProxy proxy(owner_->port());
  LinkOptions options = OptionsFor(*owner_, proxy.port());
  options.hard = true;
  NodeClient c(options, self_->tls());
  const Fh root = RootOf(c);
  proxy.Stall(true);
  c.link().Abort();
  c.link().Resurrect();
  int error = -1;
  std::thread asks([&] { error = c.Lookup(kRoot, root, "x").error().value; });
  proxy.Stall(false);
  asks.join();
  EXPECT_EQ(error, ENOENT);
}

TEST_F(ClientTest, WhatWasNotSentIsNotSentWhenItsCallerHasGone) {
  FlakyProxy proxy(owner_->port());
  LinkOptions options = OptionsFor(*owner_, proxy.port());
  options.hard = true;
  NodeClient c(options, self_->tls());
  const Fh root = RootOf(c);
  proxy.Stall(true);
  c.link().Abort();
  c.link().Resurrect();  // no connection, and calls wait for one
  std::atomic<bool> gone{false};
  int error = -1;
  std::thread asks([&] {
    const WithdrawalScope scope(&gone);
    error = c.MkNod(kRoot, root, "never", S_IFREG | 0600, 0).error().value;
  });
  std::this_thread::sleep_for(milliseconds(100));
  gone = true;
  asks.join();
  EXPECT_EQ(error, EINTR);
  proxy.Stall(false);
  EXPECT_EQ(c.Lookup(kRoot, root, "never").error().value, ENOENT);
}

FileLock WriteLock() {
  FileLock l;
  l.type = F_WRLCK;
  return l;
}

TEST_F(ClientTest, AWaitingLockIsGrantedWhenTheHolderUnlocks) {
  auto a = NewClient(), b = NewClient();
  auto fa = a->Create(kRoot, RootOf(*a), "f", O_RDWR, 0600);
  auto fb = b->Open(kRoot, fa->entry.fh, O_RDWR);
  ASSERT_TRUE(fa.ok() && fb.ok());
  ASSERT_TRUE(a->SetLock(kRoot, fa->open, 1, 0, WriteLock(), nullptr).ok());
  EXPECT_EQ(b->SetLock(kRoot, fb->open, 1, 0, WriteLock(), nullptr).value, EAGAIN);
  std::atomic<bool> granted{false};
  std::thread waiter([&] {
    EXPECT_TRUE(b->SetLock(kRoot, fb->open, 1, OMFS_LOCK_WAIT, WriteLock(), nullptr).ok());
    granted = true;
  });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(granted);
  EXPECT_TRUE(b->Lookup(kRoot, RootOf(*b), "f").ok()) << "others go on while one waits";
  FileLock unlock;
  unlock.type = F_UNLCK;
  ASSERT_TRUE(a->SetLock(kRoot, fa->open, 1, 0, unlock, nullptr).ok());
  waiter.join();
}

// Makes an open's use unnecessary: the owner itself says when the client has made its opens again.
TEST_F(ClientTest, OpensAreMadeAgainUnaskedAfterTheOwnersRestart) {
  auto c = NewClient();
  std::vector<RemoteOpenRef> opens;
  for (int i = 0; i < 20; ++i) {
    auto made = c->Create(kRoot, RootOf(*c), "f" + std::to_string(i), O_RDWR, 0600);
    ASSERT_TRUE(made.ok());
    opens.push_back(made->open);
  }
  c->Close(kRoot, opens[0], 0);
  opens.erase(opens.begin());
  opens.pop_back();  // nobody has it any more
  owner_->Stop();
  owner_->Start();
  for (int i = 0; i < 6000 && owner_->server().stats().opens != opens.size(); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(owner_->server().stats().opens, opens.size());
  for (const RemoteOpenRef& open : opens) EXPECT_TRUE(c->Write(kRoot, open, 0, Bytes("x"), 0).ok());
  EXPECT_EQ(owner_->server().stats().opens, opens.size());
  for (const RemoteOpenRef& open : opens) c->Close(kRoot, open, 0);
  ASSERT_TRUE(c->Lookup(kRoot, RootOf(*c), "f1").ok());
  for (int i = 0; i < 6000 && owner_->server().stats().opens != 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(owner_->server().stats().opens, 0U);
}

TEST_F(ClientTest, FilesWithoutANameOutliveTheOwnersServer) {
  owner_->Stop();
  owner_->UseFdKeeper(OMFS_FDKEEPER);
  owner_->Start();
  auto c = NewClient();
  auto file = c->Create(kRoot, RootOf(*c), "f", O_RDWR, 0600);
  auto temporary = c->Create(kRoot, RootOf(*c), "", O_RDWR | O_TMPFILE, 0600);
  auto unused = c->Create(kRoot, RootOf(*c), "unused", O_RDWR, 0600);
  ASSERT_TRUE(file.ok() && temporary.ok() && unused.ok());
  ASSERT_TRUE(c->Write(kRoot, file->open, 0, Bytes("file"), 0).ok());
  ASSERT_TRUE(c->Write(kRoot, temporary->open, 0, Bytes("temporary"), 0).ok());
  EXPECT_TRUE(c->Unlink(kRoot, RootOf(*c), "f", 0).ok());
  EXPECT_TRUE(c->Unlink(kRoot, RootOf(*c), "unused", 0).ok());
  EXPECT_EQ(owner_->server().stats().nameless, 3U);
  owner_->Stop();
  unused->open.reset();  // without CLOSE: the client has forgotten it
  owner_->Start();
  for (int i = 0; i < 6000 && owner_->server().stats().nameless != 2; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(owner_->server().stats().nameless, 2U);
  EXPECT_EQ(ReadAll(*c, file->open, 100), "file");
  EXPECT_EQ(ReadAll(*c, temporary->open, 100), "temporary");
  EXPECT_TRUE(c->HardLink(kRoot, temporary->entry.fh, RootOf(*c), "named").ok());
  EXPECT_EQ(Native("named"), "temporary");
  c->Close(kRoot, file->open, 0);
  ASSERT_TRUE(c->Lookup(kRoot, RootOf(*c), "named").ok());
  for (int i = 0; i < 6000 && owner_->server().stats().nameless != 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(owner_->server().stats().nameless, 0U);
}

TEST_F(ClientTest, AWaitingLockCanBeCancelled) {
  auto a = NewClient(), b = NewClient();
  auto fa = a->Create(kRoot, RootOf(*a), "f", O_RDWR, 0600);
  auto fb = b->Open(kRoot, fa->entry.fh, O_RDWR);
  ASSERT_TRUE(fa.ok() && fb.ok());
  ASSERT_TRUE(a->SetLock(kRoot, fa->open, 1, OMFS_LOCK_FLOCK, WriteLock(), nullptr).ok());
  CancelToken cancel;
  std::thread interrupter([&] {
    std::this_thread::sleep_for(milliseconds(50));
    cancel.Cancel();
  });
  EXPECT_EQ(
      b->SetLock(kRoot, fb->open, 1, OMFS_LOCK_FLOCK | OMFS_LOCK_WAIT, WriteLock(), &cancel).value,
      EINTR);
  interrupter.join();
}

}  // namespace
}  // namespace omfs::testing
