#include "omfs/store/store.h"

#include <rocksdb/db.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cstring>
#include <mutex>
#include <set>

#include "omfs/base/status.h"
#include "omfs/wire/endian.h"

// Keys are a letter and a binary rest, values packed little-endian structures:
//   "m" name                     -> the store's own numbers: secret, epoch, next session
//   "c" client id                -> StoredClient
//   "s" session slot (big-endian, so that a session's slots lie together) -> StoredSlot + reply
//   metadata

namespace omfs {
namespace {

struct StoredClient {
  uint8_t client_id[16];
  uint64_t boot;
  uint64_t session;
  uint16_t node;
  uint8_t caching;
  uint8_t reserved[5];
};
static_assert(sizeof(StoredClient) == 40);

struct StoredSlot {
  uint64_t digest;
  uint64_t time_ns;
  uint32_t sequence;
  uint32_t status;
  uint16_t op;
  uint8_t state;
  uint8_t names;  // so many handles follow, then the request's metadata, if it is an intent; else the reply's
  uint32_t caps;
};
static_assert(sizeof(StoredSlot) == 32);

constexpr char kSecretKey[] = "msecret";
constexpr char kEpochKey[] = "mepoch";
constexpr char kSessionKey[] = "msession";
constexpr char kClockKey[] = "mclock";
constexpr char kFloorPrefix[] = "t";

std::string FloorKey(const omfs_fh& object) {
  return kFloorPrefix + std::string(reinterpret_cast<const char*>(&object), sizeof object);
}

std::string ClientKey(std::span<const uint8_t, 16> id) {
  return "c" + std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

std::string SlotPrefix(SessionId session) {
  std::string key = "s";
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(session.value >> shift);
  return key;
}

std::string SlotKey(SessionId session, uint16_t slot) {
  std::string key = SlotPrefix(session);
  key += static_cast<char>(slot >> 8);
  key += static_cast<char>(slot);
  return key;
}

std::string Packed(uint64_t v) {
  v = Le64(v);
  return std::string(reinterpret_cast<const char*>(&v), sizeof v);
}

std::string Packed(const ClientRecord& r) {
  StoredClient s{};
  memcpy(s.client_id, r.client_id.data(), sizeof s.client_id);
  s.boot = Le64(r.boot);
  s.session = Le64(r.session.value);
  s.node = Le16(r.node.value);
  s.caching = r.caching;
  return std::string(reinterpret_cast<const char*>(&s), sizeof s);
}

std::string Packed(const SlotRecord& r) {
  StoredSlot s{};
  s.digest = Le64(r.digest);
  s.time_ns = Le64(r.time_ns);
  s.sequence = Le32(r.sequence);
  s.status = Le32(r.status);
  s.op = Le16(r.op);
  s.state = static_cast<uint8_t>(r.state);
  s.names = static_cast<uint8_t>(r.names.size());
  s.caps = Le32(r.caps);
  std::string out(reinterpret_cast<const char*>(&s), sizeof s);
  out.append(reinterpret_cast<const char*>(r.names.data()), s.names * sizeof(omfs_fh));
  const auto& rest = r.state == SlotRecord::State::kIntent ? r.request : r.meta;
  out.append(reinterpret_cast<const char*>(rest.data()), rest.size());
  return out;
}

absl::StatusOr<ClientRecord> UnpackClient(const rocksdb::Slice& value) {
  StoredClient s;
  if (value.size() != sizeof s) return Internal("store: damaged client record");
  memcpy(&s, value.data(), sizeof s);
  ClientRecord r;
  memcpy(r.client_id.data(), s.client_id, sizeof s.client_id);
  r.boot = Le64(s.boot);
  r.session.value = Le64(s.session);
  r.node.value = Le16(s.node);
  r.caching = s.caching != 0;
  return r;
}

absl::StatusOr<SlotRecord> UnpackSlot(const rocksdb::Slice& value) {
  StoredSlot s;
  if (value.size() < sizeof s) return Internal("store: damaged slot record");
  memcpy(&s, value.data(), sizeof s);
  SlotRecord r;
  r.digest = Le64(s.digest);
  r.time_ns = Le64(s.time_ns);
  r.sequence = Le32(s.sequence);
  r.status = Le32(s.status);
  r.op = Le16(s.op);
  const size_t names_size = s.names * sizeof(omfs_fh);
  if (s.state > static_cast<uint8_t>(SlotRecord::State::kUndone) || value.size() < sizeof s + names_size) {
    return Internal("store: damaged slot record");
  }
  r.state = static_cast<SlotRecord::State>(s.state);
  r.caps = Le32(s.caps);
  r.names.resize(s.names);
  if (s.names > 0) memcpy(r.names.data(), value.data() + sizeof s, names_size);
  const auto* rest = reinterpret_cast<const std::byte*>(value.data()) + sizeof s + names_size;
  (r.state == SlotRecord::State::kIntent ? r.request : r.meta).assign(rest, rest + (value.size() - sizeof s - names_size));
  return r;
}

absl::Status FromRocks(const rocksdb::Status& s) {
  if (s.ok()) return absl::OkStatus();
  return Internal("store: {}", s.ToString());
}

rocksdb::Options DbOptions() {
  rocksdb::Options o;
  o.create_if_missing = true;
  // A few kilobytes per client: small buffers, no caches worth tuning, quiet.
  o.write_buffer_size = 4 << 20;
  o.max_total_wal_size = 16 << 20;
  o.max_background_jobs = 2;
  o.keep_log_file_num = 2;
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  o.info_log_level = rocksdb::WARN_LEVEL;
  return o;
}

}  // namespace

struct Store::Db {
  std::unique_ptr<rocksdb::DB> rocks;
  std::array<uint8_t, 16> secret{};
  uint64_t epoch = 0;
  std::mutex session_mutex;
  uint64_t next_session = 1;  // guarded by session_mutex

  absl::Status Put(const std::string& key, const std::string& value) {
    return FromRocks(rocks->Put(rocksdb::WriteOptions(), key, value));
  }

  // nullopt: no such key.
  absl::StatusOr<std::optional<std::string>> Get(const std::string& key) const {
    std::string value;
    const rocksdb::Status s = rocks->Get(rocksdb::ReadOptions(), key, &value);
    if (s.IsNotFound()) return std::nullopt;
    OMFS_RETURN_IF_ERROR(FromRocks(s));
    return std::optional<std::string>(std::move(value));
  }

  absl::StatusOr<uint64_t> GetNumber(const std::string& key, uint64_t if_missing) const {
    OMFS_ASSIGN_OR_RETURN(const auto value, Get(key));
    if (!value) return if_missing;
    uint64_t v;
    if (value->size() != sizeof v) return Internal("store: damaged number {}", key);
    memcpy(&v, value->data(), sizeof v);
    return Le64(v);
  }

  absl::Status LoadSecret() {
    OMFS_ASSIGN_OR_RETURN(const auto value, Get(kSecretKey));
    if (value) {
      if (value->size() != secret.size()) return Internal("store: damaged secret");
      memcpy(secret.data(), value->data(), secret.size());
      return absl::OkStatus();
    }
    if (getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
      return ErrnoStatus(errno, "getrandom");
    }
    return Put(kSecretKey,
               std::string(reinterpret_cast<const char*>(secret.data()), secret.size()));
  }
};

Store::Store(std::unique_ptr<Db> db) : db_(std::move(db)) {}
Store::~Store() = default;

absl::StatusOr<std::shared_ptr<Store>> Store::Open(const std::string& state_dir) {
  const std::string dir = state_dir + "/store";
  for (const std::string& d : {state_dir, dir}) {
    if (mkdir(d.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, fmt::format("state directory {}", d));
    }
  }
  auto db = std::make_unique<Db>();
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(DbOptions(), dir, &raw);
  if (!s.ok()) {
    // RocksDB tells a held lock only in words: "IO error: lock ...: ...".
    if (s.IsIOError() && s.ToString().find("lock ") != std::string::npos) {
      return FailedPrecondition("state directory {} is in use by another omfsd", state_dir);
    }
    return FailedPrecondition("state directory {}: {}", dir, s.ToString());
  }
  db->rocks.reset(raw);
  OMFS_RETURN_IF_ERROR(db->LoadSecret());
  OMFS_ASSIGN_OR_RETURN(const uint64_t last_epoch, db->GetNumber(kEpochKey, 0));
  db->epoch = last_epoch + 1;
  OMFS_RETURN_IF_ERROR(db->Put(kEpochKey, Packed(db->epoch)));
  OMFS_ASSIGN_OR_RETURN(db->next_session, db->GetNumber(kSessionKey, 1));
  std::shared_ptr<Store> store(new Store(std::move(db)));
  OMFS_RETURN_IF_ERROR(store->ForgetOrphans());
  return store;
}

// An operation that ended after its session was forgotten has left a record behind.
absl::Status Store::ForgetOrphans() {
  std::set<std::string> known;
  OMFS_ASSIGN_OR_RETURN(const std::vector<ClientRecord> clients, Clients());
  for (const ClientRecord& c : clients) known.insert(SlotPrefix(c.session));
  rocksdb::WriteBatch batch;
  std::unique_ptr<rocksdb::Iterator> it(db_->rocks->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek("s"); it->Valid() && it->key().starts_with("s"); it->Next()) {
    const std::string key = it->key().ToString();
    if (!known.contains(key.substr(0, SlotPrefix(SessionId()).size()))) batch.Delete(key);
  }
  OMFS_RETURN_IF_ERROR(FromRocks(it->status()));
  return FromRocks(db_->rocks->Write(rocksdb::WriteOptions(), &batch));
}

const std::array<uint8_t, 16>& Store::handle_secret() const { return db_->secret; }
uint64_t Store::epoch() const { return db_->epoch; }

absl::StatusOr<SessionId> Store::NewSession() {
  std::lock_guard lock(db_->session_mutex);
  OMFS_RETURN_IF_ERROR(db_->Put(kSessionKey, Packed(db_->next_session + 1)));
  return SessionId{db_->next_session++};
}

absl::Status Store::PutClient(const ClientRecord& record) {
  return db_->Put(ClientKey(record.client_id), Packed(record));
}

absl::StatusOr<std::vector<ClientRecord>> Store::Clients() const {
  std::vector<ClientRecord> out;
  std::unique_ptr<rocksdb::Iterator> it(db_->rocks->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek("c"); it->Valid() && it->key().starts_with("c"); it->Next()) {
    OMFS_ASSIGN_OR_RETURN(ClientRecord r, UnpackClient(it->value()));
    out.push_back(r);
  }
  OMFS_RETURN_IF_ERROR(FromRocks(it->status()));
  return out;
}

absl::StatusOr<std::optional<ClientRecord>> Store::FindClient(
    std::span<const uint8_t, 16> client_id) const {
  OMFS_ASSIGN_OR_RETURN(const auto value, db_->Get(ClientKey(client_id)));
  if (!value) return std::nullopt;
  OMFS_ASSIGN_OR_RETURN(ClientRecord r, UnpackClient(*value));
  return std::optional<ClientRecord>(r);
}

absl::Status Store::ForgetClient(const ClientRecord& record) {
  rocksdb::WriteBatch batch;
  batch.DeleteRange(SlotPrefix(record.session), SlotPrefix(SessionId{record.session.value + 1}));
  // A newer instance with this id may have replaced the record: that one stays.
  OMFS_ASSIGN_OR_RETURN(const auto known, FindClient(record.client_id));
  if (known && known->session == record.session) batch.Delete(ClientKey(record.client_id));
  return FromRocks(db_->rocks->Write(rocksdb::WriteOptions(), &batch));
}

absl::Status Store::PutSlot(SessionId session, uint16_t slot, const SlotRecord& record) {
  return db_->Put(SlotKey(session, slot), Packed(record));
}

absl::StatusOr<std::vector<std::pair<uint16_t, SlotRecord>>> Store::Slots(SessionId session) const {
  std::vector<std::pair<uint16_t, SlotRecord>> out;
  const std::string prefix = SlotPrefix(session);
  std::unique_ptr<rocksdb::Iterator> it(db_->rocks->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    const rocksdb::Slice key = it->key();
    if (key.size() != prefix.size() + 2) return Internal("store: damaged slot key");
    const auto hi = static_cast<uint8_t>(key[prefix.size()]);
    const auto lo = static_cast<uint8_t>(key[prefix.size() + 1]);
    OMFS_ASSIGN_OR_RETURN(SlotRecord r, UnpackSlot(it->value()));
    out.emplace_back(static_cast<uint16_t>(hi << 8 | lo), std::move(r));
  }
  OMFS_RETURN_IF_ERROR(FromRocks(it->status()));
  return out;
}

absl::StatusOr<bool> Store::PutFloor(const omfs_fh& object, uint64_t ns) {
  OMFS_ASSIGN_OR_RETURN(const uint64_t before, Floor(object));
  OMFS_RETURN_IF_ERROR(db_->Put(FloorKey(object), Packed(ns)));
  return before == 0;
}

absl::StatusOr<uint64_t> Store::Floor(const omfs_fh& object) const { return db_->GetNumber(FloorKey(object), 0); }

absl::StatusOr<bool> Store::DropFloor(const omfs_fh& object) {
  OMFS_ASSIGN_OR_RETURN(const uint64_t before, Floor(object));
  if (before == 0) return false;
  OMFS_RETURN_IF_ERROR(FromRocks(db_->rocks->Delete(rocksdb::WriteOptions(), FloorKey(object))));
  return true;
}

absl::StatusOr<uint64_t> Store::CountFloors() const {
  uint64_t count = 0;
  std::unique_ptr<rocksdb::Iterator> it(db_->rocks->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek(kFloorPrefix); it->Valid() && it->key().starts_with(kFloorPrefix); it->Next()) ++count;
  OMFS_RETURN_IF_ERROR(FromRocks(it->status()));
  return count;
}

absl::Status Store::PutClockBound(uint64_t ns) { return db_->Put(kClockKey, Packed(ns)); }
absl::StatusOr<uint64_t> Store::ClockBound() const { return db_->GetNumber(kClockKey, 0); }

}  // namespace omfs
