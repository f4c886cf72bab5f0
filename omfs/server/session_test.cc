// Connections, sessions and exactly-once, over real TLS on loopback.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "omfs/base/status.h"
#include "omfs/server/siphash.h"
#include "omfs/server/testing/server_fixture.h"
#include "omfs/server/testing/test_pki.h"

namespace omfs::testing {
namespace {

using ::testing::Test;

omfs_rename_req RenameIn(const omfs_fh& dir) {
  omfs_rename_req r{};
  r.dir = r.new_dir = dir;
  return r;
}

TEST_F(ServerTest, HelloGivesTheRootAndASession) {
  auto c = NewClient();
  EXPECT_NE(c->session, 0U);
  EXPECT_FALSE(c->resumed);
  omfs_getattr_req r{};
  r.fh = c->root;
  const RawReply reply = c->Call(OMFS_OP_GETATTR, r);
  ASSERT_EQ(reply.status(), 0U);
  struct stat st;
  ASSERT_EQ(stat(export_.c_str(), &st), 0);
  EXPECT_EQ(Le64(reply.As<omfs_attr_rep>().attr.ino), st.st_ino);
  EXPECT_EQ(server_->stats().sessions, 1U);
}

TEST_F(ServerTest, StrangersAreRefusedWithOneLine) {
  MakeNodeCertificate(dir_ + "/strange-ca", dir_ + "/strange", NodeId(2));
  // Trusts the real CA, but is not known to it.
  std::filesystem::copy_file(dir_ + "/ca/ca.crt", dir_ + "/strange/ca.crt",
                             std::filesystem::copy_options::overwrite_existing);
  auto tls = TlsContext::Load(dir_ + "/strange");
  ASSERT_TRUE(tls.ok()) << tls.status();
  RawClient stranger(*tls, server_->port(), 9);
  // In TLS 1.3 a client learns only after its own handshake that the server does not want it.
  const bool served = stranger.Connect().ok() && stranger.Hello().has_value();
  EXPECT_FALSE(served);
  const auto lines = WaitForWarnings(1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("connection refused: 127.0.0.1:"), std::string::npos) << lines[0];
  NewClient();
}

TEST_F(ServerTest, ANodeThatClaimsAnothersNumberIsRefused) {
  RawClient c(client_tls_, server_->port(), 1);
  c.node = 7;
  ASSERT_TRUE(c.Connect().ok());
  const auto reply = c.Hello();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status(), static_cast<uint32_t>(EPERM));
  EXPECT_FALSE(c.Receive().has_value());
  EXPECT_EQ(WaitForWarnings(1).size(), 1U);
}

TEST_F(ServerTest, GarbageClosesTheConnectionWithOneLineAndTheServerLives) {
  RawClient c(client_tls_, server_->port(), 1);
  ASSERT_TRUE(c.Connect().ok());
  const std::vector<std::byte> garbage(1000, std::byte{0x5a});
  ASSERT_TRUE(c.Send(garbage).ok());
  EXPECT_FALSE(c.Receive().has_value());
  const auto lines = WaitForWarnings(1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("magic"), std::string::npos) << lines[0];
  NewClient();
}

TEST_F(ServerTest, ATruncatedFrameIsReportedWithOneLine) {
  auto c = NewClient();
  omfs_getattr_req r{};
  r.fh = c->root;
  const auto bytes = c->Encode(OMFS_OP_GETATTR, r);
  ASSERT_TRUE(c->Send(std::span(bytes).first(bytes.size() - 5)).ok());
  c->Disconnect();
  const auto lines = WaitForWarnings(1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("truncated"), std::string::npos) << lines[0];
}

TEST_F(ServerTest, VersionsOfTheFutureAreToldSoAndClosed) {
  RawClient c(client_tls_, server_->port(), 1);
  ASSERT_TRUE(c.Connect().ok());
  auto reply = c.Hello(OMFS_VERSION + 1, OMFS_VERSION + 3);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status(), static_cast<uint32_t>(EPROTONOSUPPORT));
  EXPECT_FALSE(c.Receive().has_value());
  EXPECT_EQ(WaitForWarnings(1).size(), 1U);

  // The same said by the header.
  ASSERT_TRUE(c.Connect().ok());
  Header h;
  h.version = OMFS_VERSION + 1;
  h.op = OMFS_OP_HELLO;
  std::array<std::byte, OMFS_HDR_SIZE> raw;
  h.Pack(raw);
  ASSERT_TRUE(c.Send(raw).ok());
  reply = c.Receive();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status(), static_cast<uint32_t>(EPROTONOSUPPORT));
  EXPECT_EQ(WaitForWarnings(1).size(), 1U);
}

TEST_F(ServerTest, ANewerClientThatAlsoSpeaksOurVersionIsServed) {
  RawClient c(client_tls_, server_->port(), 1);
  ASSERT_TRUE(c.Connect().ok());
  const auto reply = c.Hello(OMFS_VERSION, OMFS_VERSION + 3);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status(), 0U);
  EXPECT_EQ(Le16(reply->As<omfs_hello_rep>().version), OMFS_VERSION);
}

TEST_F(ServerTest, MetadataThatDoesNotParseClosesTheConnection) {
  auto c = NewClient();
  omfs_lookup_req r{};
  r.dir = c->root;
  EXPECT_EQ(c->Call(OMFS_OP_LOOKUP, r, "../up").status(), static_cast<uint32_t>(ECONNRESET));
  EXPECT_EQ(WaitForWarnings(1).size(), 1U);
}

TEST_F(ServerTest, UnknownOperationsAreENOSYSAndUndisturbing) {
  auto c = NewClient();
  Header h;
  h.op = 77;
  h.session = c->session;
  h.sequence = ++c->sequence[0];
  std::array<std::byte, OMFS_HDR_SIZE> raw;
  h.Pack(raw);
  EXPECT_EQ(c->Exchange(raw).status(), static_cast<uint32_t>(ENOSYS));
  EXPECT_EQ(c->Call(OMFS_OP_PING, NoFixedPart{}).status(), 0U);
}

TEST_F(ServerTest, AWrongSequenceClosesTheConnectionWithOneLine) {
  auto c = NewClient();
  c->sequence[0] += 5;
  EXPECT_EQ(c->Call(OMFS_OP_PING, NoFixedPart{}).status(), static_cast<uint32_t>(ECONNRESET));
  const auto lines = WaitForWarnings(1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("sequence"), std::string::npos) << lines[0];
}

TEST_F(ServerTest, ChecksumsAreVerifiedAndGivenWhenAsked) {
  auto c = NewClient();
  c->flags |= OMFS_F_CRC;
  // The raw client leaves the checksum 0.
  omfs_getattr_req r{};
  r.fh = c->root;
  EXPECT_EQ(c->Call(OMFS_OP_GETATTR, r).status(), static_cast<uint32_t>(ECONNRESET));
  EXPECT_EQ(WaitForWarnings(1).size(), 1U);
}

TEST_F(ServerTest, ASessionIsResumedWithItsOpens) {
  auto c = NewClient();
  const auto open = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  const uint64_t session = c->session;
  c->Disconnect();
  c->Start();
  EXPECT_TRUE(c->resumed);
  EXPECT_EQ(c->session, session);
  EXPECT_EQ(c->Write(Le64(open.open_id), 0, "data").status(), 0U);
  EXPECT_EQ(ReadFile("f"), "data");
}

TEST_F(ServerTest, ANewBootOfAClientEndsItsOldSession) {
  auto old = NewClient(1, 1);
  old->Create(old->root, "f", O_CREAT | O_RDWR, 0644);
  EXPECT_EQ(server_->stats().opens, 1U);
  auto fresh = NewClient(1, 2);
  EXPECT_FALSE(fresh->resumed);
  EXPECT_NE(fresh->session, old->session);
  EXPECT_EQ(server_->stats().sessions, 1U);
  EXPECT_EQ(server_->stats().opens, 0U);
  EXPECT_EQ(old->Call(OMFS_OP_PING, NoFixedPart{}).status(), static_cast<uint32_t>(ECONNRESET));
}

TEST_F(ServerTest, ByeEndsTheSession) {
  auto c = NewClient();
  c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  EXPECT_EQ(c->Call(OMFS_OP_BYE, NoFixedPart{}).status(), 0U);
  EXPECT_FALSE(c->Receive().has_value());
  EXPECT_EQ(server_->stats().sessions, 0U);
  c->session = 0;
  c->Start();
  EXPECT_FALSE(c->resumed);
}

TEST_F(ServerTest, ASessionWhoseLeasePassesIsEnded) {
  StopServer();
  config_.lease_ms = 100;
  StartServer();
  auto c = NewClient();
  c->Create(c->root, "f", O_CREAT | O_RDWR, 0644);
  for (int i = 0; i < 1000 && server_->stats().sessions > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(server_->stats().sessions, 0U);
  EXPECT_FALSE(c->Receive().has_value());
}

TEST_F(ServerTest, TwoConnectionsServeOneSession) {
  auto a = NewClient();
  auto b = NewClient();
  EXPECT_EQ(a->session, b->session);
  EXPECT_TRUE(b->resumed);
  const auto open = a->Create(a->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  b->sequence[5] = 0;
  EXPECT_EQ(b->Read(Le64(open.open_id), 0, 10, 5).status(), 0U);
}

// Cuts the connection after every byte of a request, comes back, sends it again: it happens exactly
// once.
class CutTest : public ServerTest {
 protected:
  // message(): encodes the next request; undo(): takes back its effect natively.
  template <typename MakeMessage, typename Done>
  void CutEverywhere(RawClient& c, MakeMessage make, Done done) {
    for (size_t cut = 0;; ++cut) {
      const std::vector<std::byte> message = make(cut);
      if (cut > message.size()) break;
      ASSERT_TRUE(c.Send(std::span(message).first(cut)).ok());
      c.Disconnect();
      ASSERT_TRUE(c.Connect().ok());
      ASSERT_TRUE(c.Hello().has_value());
      ASSERT_TRUE(c.resumed);
      std::vector<std::byte> again = message;
      again[8] |= std::byte{OMFS_F_REPLAY};
      const RawReply reply = c.Exchange(again);
      ASSERT_EQ(reply.status(), 0U) << "cut at byte " << cut;
      done(cut, reply);
    }
  }
};

TEST_F(CutTest, CreateHappensExactlyOnce) {
  auto c = NewClient();
  CutEverywhere(
      *c,
      [&](size_t cut) {
        omfs_create_req r{};
        r.dir = c->root;
        // With O_EXCL a second execution would fail.
        r.flags = Le32(O_CREAT | O_EXCL | O_RDWR);
        r.mode = Le32(0644);
        return c->Encode(OMFS_OP_CREATE, r, "f" + std::to_string(cut));
      },
      [&](size_t cut, const RawReply& reply) {
        EXPECT_TRUE(Exists("f" + std::to_string(cut)));
        // The open it gave is a good one.
        EXPECT_EQ(c->Close(Le64(reply.As<omfs_open_rep>().open_id)).status(), 0U);
      });
  EXPECT_EQ(server_->stats().opens, 0U);
}

TEST_F(CutTest, RenameHappensExactlyOnce) {
  auto c = NewClient();
  CutEverywhere(
      *c,
      [&](size_t cut) {
        WriteFile("a", std::to_string(cut));
        return c->Encode(OMFS_OP_RENAME, RenameIn(c->root), "a", "b");
      },
      [&](size_t cut, const RawReply&) {
        EXPECT_FALSE(Exists("a"));
        EXPECT_EQ(ReadFile("b"), std::to_string(cut));
      });
}

TEST_F(CutTest, AppendHappensExactlyOnce) {
  auto c = NewClient();
  const auto open =
      c->Create(c->root, "log", O_CREAT | O_RDWR | O_APPEND, 0644).As<omfs_open_rep>();
  std::string expected;
  CutEverywhere(
      *c,
      [&](size_t cut) {
        omfs_write_req r{};
        r.open_id = open.open_id;
        r.flags = Le32(OMFS_WRITE_APPEND);
        return c->Encode(OMFS_OP_WRITE, r, {}, {}, std::to_string(cut % 10));
      },
      [&](size_t cut, const RawReply& reply) {
        EXPECT_EQ(Le64(reply.As<omfs_write_rep>().offset), expected.size());
        expected += std::to_string(cut % 10);
      });
  EXPECT_EQ(ReadFile("log"), expected);
}

TEST_F(ServerTest, ARepliedRequestIsAnsweredFromTheCacheOnlyForTheSameRequest) {
  auto c = NewClient();
  WriteFile("a", "");
  const auto message = c->Encode(OMFS_OP_RENAME, RenameIn(c->root), "a", "b");
  EXPECT_EQ(c->Exchange(message).status(), 0U);
  const RawReply again = c->Exchange(message);
  EXPECT_EQ(again.status(), 0U);
  EXPECT_NE(again.header.flags & OMFS_F_REPLAY, 0U);
  --c->sequence[0];
  EXPECT_EQ(c->Call(OMFS_OP_RENAME, RenameIn(c->root), "b", "c").status(),
            static_cast<uint32_t>(ECONNRESET));
  EXPECT_TRUE(Exists("b"));
}

TEST_F(ServerTest, AfterARestartRepliesAreKnownAndOpensAreGone) {
  auto c = NewClient();
  WriteFile("a", "");
  c->Lookup(c->root, "a");
  const auto open = c->Create(c->root, "f", O_CREAT | O_RDWR, 0644).As<omfs_open_rep>();
  const auto rename = c->Encode(OMFS_OP_RENAME, RenameIn(c->root), "a", "b");
  EXPECT_EQ(c->Exchange(rename).status(), 0U);
  const omfs_fh root = c->root;
  const uint64_t epoch = c->epoch;
  RestartServer();

  RawClient back(client_tls_, server_->port(), 1);
  back.session = c->session;
  back.sequence = c->sequence;
  back.Start();
  EXPECT_TRUE(back.resumed);
  EXPECT_NE(back.epoch, epoch);
  EXPECT_EQ(memcmp(&back.root, &root, sizeof root), 0);
  EXPECT_EQ(back.Exchange(rename).status(), 0U);
  EXPECT_EQ(back.Read(Le64(open.open_id), 0, 1).status(), static_cast<uint32_t>(ESTALE));
  // Handles of before go on working.
  omfs_getattr_req r{};
  r.fh = open.fh;
  EXPECT_EQ(back.Call(OMFS_OP_GETATTR, r).status(), 0U);
}

// The daemon dies between the intent and the reply: the store knows only the intent. What is in the file system is up to
// the test.
class DanglingIntentTest : public ServerTest {
 protected:
  // message: as its client encoded it. name: what the request's name meant when the intent was written (empty handle: nothing).
  struct Intent {
    std::vector<std::byte> message;
    omfs_fh name;
  };

  // Ends the server, leaves the intents of `client` in its store, and starts the next.
  void RestartWith(const RawClient& client, const std::vector<Intent>& intents) {
    StopServer();
    auto store = *Store::Open(config_.state_dir);
    for (size_t slot = 0; slot < intents.size(); ++slot) {
      const Intent& intent = intents[slot];
      omfs_hdr header;
      memcpy(&header, intent.message.data(), sizeof header);
      const auto meta = intent.message.begin() + sizeof header;
      SlotRecord record;
      record.sequence = Le32(header.sequence);
      record.op = Le16(header.op);
      record.time_ns = began_ns_;
      record.request.assign(meta, meta + Le32(header.meta_len));
      record.names = {intent.name};
      record.caps = Le32(header.caps);
      record.digest = SipHash(std::array<uint8_t, 16>{}, record.request) + Le32(header.payload_len);
      ASSERT_TRUE(store->PutSlot(SessionId{client.session}, static_cast<uint16_t>(slot), record).ok());
    }
    store.reset();
    StartServer();
  }
  std::unique_ptr<RawClient> ComeBack(const RawClient& client) {
    auto back = std::make_unique<RawClient>(client_tls_, server_->port(), 1);
    back->session = client.session;
    back->sequence = client.sequence;
    back->Start();
    return back;
  }
  static std::vector<std::byte> Unlink(RawClient& c, const char* name, uint16_t slot) {
    omfs_unlink_req r{};
    r.dir = c.root;
    return c.Encode(OMFS_OP_UNLINK, r, name, {}, {}, slot);
  }
  static std::vector<std::byte> CreateAlone(RawClient& c, const char* name, uint16_t slot) {
    omfs_create_req r{};
    r.dir = c.root;
    r.flags = Le32(O_CREAT | O_EXCL | O_RDWR);
    r.mode = Le32(0400);
    return c.Encode(OMFS_OP_CREATE, r, name, {}, {}, slot);
  }

  const uint64_t began_ns_ = std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
};

TEST_F(DanglingIntentTest, WhatHappenedIsNotDoneAgain) {
  auto c = NewClient();
  WriteFile("a", "text");
  const omfs_fh victim = c->Lookup(c->root, "a").fh;
  const std::vector<Intent> intents = {{Unlink(*c, "a", 0), victim}, {CreateAlone(*c, "new", 1), {}}};
  for (const auto& i : intents) ASSERT_EQ(c->Exchange(i.message).status(), 0U);
  RestartWith(*c, intents);
  // Others change the names again before the client comes back.
  WriteFile("a", "another");
  const auto back = ComeBack(*c);
  EXPECT_EQ(back->Exchange(intents[0].message).status(), 0U);
  EXPECT_TRUE(Exists("a"));
  const RawReply created = back->Exchange(intents[1].message);
  ASSERT_EQ(created.status(), 0U);
  // Open for writing, as it was made, whatever its mode says.
  const uint64_t open = Le64(created.As<omfs_open_rep>().open_id);
  EXPECT_EQ(back->Write(open, 0, "x").status(), 0U);
  EXPECT_EQ(back->Close(open).status(), 0U);
}

TEST_F(DanglingIntentTest, WhatDidNotHappenIsDoneNow) {
  auto c = NewClient();
  WriteFile("a", "text");
  WriteFile("b", "text");
  const omfs_fh a = c->Lookup(c->root, "a").fh, b = c->Lookup(c->root, "b").fh;
  const std::vector<Intent> intents = {{Unlink(*c, "a", 0), a}, {CreateAlone(*c, "b", 1), b}};
  RestartWith(*c, intents);
  const auto back = ComeBack(*c);
  EXPECT_TRUE(Exists("a"));
  EXPECT_EQ(back->Exchange(intents[0].message).status(), 0U);
  EXPECT_FALSE(Exists("a"));
  // It was there when the intent was written: not this request made it.
  EXPECT_EQ(back->Exchange(intents[1].message).status(), static_cast<uint32_t>(EEXIST));
}

// The daemon died before the file was made; then another makes it.
TEST_F(DanglingIntentTest, WhatAnotherMadeLaterIsNotTakenForOnesOwn) {
  auto c = NewClient();
  const Intent intent{CreateAlone(*c, "new", 0), {}};
  ASSERT_EQ(c->Exchange(intent.message).status(), 0U);
  std::filesystem::remove(export_ + "/new");
  RestartWith(*c, {intent});
  WriteFile("new", "another's");
  const auto back = ComeBack(*c);
  EXPECT_EQ(back->Exchange(intent.message).status(), static_cast<uint32_t>(EEXIST));
}

TEST(ServerStart, SaysWhatCannotBeUsed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  char name[] = "/tmp/omfs-server-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string dir = name;
  MakeNodeCertificate(dir, dir, NodeId(1));
  auto tls = *TlsContext::Load(dir);
  auto store = *Store::Open(dir + "/state");
  Config config;
  config.node = NodeId(1);
  config.listen = "127.0.0.1";
  config.data_port = 0;
  config.export_path = dir + "/none";
  auto server = DataServer::Start(config, tls, store);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(Text(server.status()).find(config.export_path), std::string::npos) << server.status();

  config.export_path = "/proc/self";  // no file handles there
  server = DataServer::Start(config, tls, store);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(Text(server.status()).find("file handles"), std::string::npos) << server.status();

  config.export_path = dir;
  auto first = DataServer::Start(config, tls, store);
  ASSERT_TRUE(first.ok()) << first.status();
  config.data_port = (*first)->port();
  server = DataServer::Start(config, tls, store);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(Text(server.status()).find("Address already in use"), std::string::npos);
  first->reset();
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace omfs::testing
