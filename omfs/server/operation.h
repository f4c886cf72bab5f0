// One request under way, and what its execution gives. The dispatcher makes an Operation, the
// functions of ops/ execute it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/status.h"
#include "omfs/server/buffer.h"
#include "omfs/server/cap_table.h"
#include "omfs/server/contents_lock.h"
#include "omfs/server/export.h"
#include "omfs/server/open_table.h"
#include "omfs/server/stamps.h"
#include "omfs/store/store.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {

class LockTable;
class LockWaiters;
class NativeGuard;
class Orphans;
class Operation;
class Session;

// What operations work on; one per server. The members outlive every operation.
struct Services {
  Export& tree;
  LockTable& locks;
  LockWaiters& lock_waiters;
  CapTable& caps;
  NativeGuard& guard;
  ContentsLock& contents;
  Stamps& stamps;
  Orphans& orphans;
  bool root_squash;
  uint64_t epoch;  // of the server
  // Runs an operation again that waited for caps; on any of the server's threads.
  std::function<void(const std::shared_ptr<Operation>&)> resume;
  // Writes down the intent of an operation that is about to act, its claims standing; switches to the daemon's identity. False:
  // that failed, and the operation has been answered with that.
  std::function<bool(const std::shared_ptr<Operation>&, const std::vector<CapClaim>&)> record_intent;
};

struct Reply {
  std::vector<std::byte> meta;
  Buffer payload;
};

// Would have had to wait, and may not on this thread: nothing has been done; to be run again on a
// worker.
struct WouldBlock {};
// Waits for a lock: to be run again when one is released on the object.
struct Parked {
  InodeRef inode;
};
// Waits until others have answered recalls: nothing has been done; CapTable has it run again.
struct Recalling {};

// Errno(): success without metadata. absl::Status: the request does not parse, the connection is
// closed.
using OpResult = std::variant<Errno, Reply, WouldBlock, Parked, Recalling, absl::Status>;

// A success with a fixed structure as its metadata.
template <WirePod T>
Reply ReplyWith(const T& fixed, Buffer payload = {}) {
  const auto* p = reinterpret_cast<const std::byte*>(&fixed);
  return Reply{{p, p + sizeof fixed}, std::move(payload)};
}

// Used by one thread at a time. Once a claim has to wait, another thread may have it: the first one returns Recalling at
// once.
class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(Services& services, std::shared_ptr<Session> session, const Header& header,
            std::vector<std::byte> meta, Buffer payload);

  Services& services() { return services_; }
  Export& tree() { return services_.tree; }
  Session& session() { return *session_; }
  const std::shared_ptr<Session>& session_ref() const { return session_; }
  const Header& header() const { return header_; }
  std::span<const std::byte> meta() const { return meta_; }
  Buffer& payload() { return payload_; }

  // Whether the thread that runs it may wait for long: for the disk, for other processes.
  bool may_block() const { return may_block_; }
  void AllowBlocking() { may_block_ = true; }

  template <WirePod Fixed>
  absl::StatusOr<Request<Fixed>> Decode() const {
    return DecodeRequest<Fixed>(header_.op, meta_);
  }

  // Takes on the caller's identity (after root squash) for what follows on this thread. Everything
  // a client's handles stand for is resolved before, as that may need the daemon's.
  // creds: live until StopActing or the next run; granting caps comes back to them.
  Errno ActAs(const Credentials& creds) const;
  // What follows is not done in anybody's name yet.
  void StopActing() { acting_as_ = nullptr; }

  ErrnoOr<InodeRef> Resolve(const omfs_fh& handle) { return tree().Resolve(handle); }
  // ESTALE: the session has no such open - the owner restarted, or the session's lease passed.
  ErrnoOr<OpenRef> FindOpen(uint64_t wire_id) const;

  // Caps (cap_table.h). What the reply will say of them is collected here; the dispatcher puts it into the header.
  //
  // When the claims stand the intent is recorded (intent.h). False: return Recalling.
  bool Claim(std::vector<CapClaim> claims);
  // The change is made: others may cache again. Every fact that the client has of what changed is older than this.
  void Changed();
  // Before facts are read: gives the client what it asked for of the object, or of an entry of a directory.
  void GrantObject(const Inode& object);
  void GrantEntry(const Inode& dir, std::string_view entry);
  // The same for an object in a listing, numbered as the listing: whether A, L and F were granted.
  bool GrantListed(const Inode& object);
  // For data that a kernel keeps: F as soon as it can be had. False: return Recalling.
  bool AcquireData(const Inode& object);
  // Puts what it is about to do with the bytes in order with others. nullopt: return WouldBlock.
  std::optional<ContentsLock::Held> Hold(const omfs_fh& file, ContentsLock::Range range) {
    return services_.contents.Take(file, range, may_block_);
  }
  // Around the system call that changes these objects, their bytes being held (Hold). Attributes are read after it.
  Stamps::Change Changing(std::initializer_list<omfs_fh> objects) { return Stamps::Change(&services_.stamps, objects); }
  // After the system call of a change that holds the stamps of its objects: what of the object's times it has set.
  void Stamp(Stamps::Change& change, const omfs_fh& object, int fd, uint32_t what) {
    change.Set(object, fd, what);
    if (change.Corrects()) ComeBack();
  }
  // The dangling intent it repeats (intent.h).
  const std::optional<SlotRecord>& intent() const { return intent_; }
  void set_intent(std::optional<SlotRecord> intent) { intent_ = std::move(intent); }
  // It is run (again) from its beginning.
  void Restart() { granted_caps_ = 0, cap_seq_ = 0, acting_as_ = nullptr; }
  uint32_t granted_caps() const { return granted_caps_; }
  uint64_t cap_seq() const { return cap_seq_; }
  // Whether another session caches the object under one of these caps.
  bool OthersHold(const omfs_fh& object, uint32_t caps) const;
  // At the end, whatever became of it.
  void ReleaseClaims() { ticket_.reset(); }

 private:
  Services& services_;
  std::shared_ptr<Session> session_;
  Header header_;
  std::vector<std::byte> meta_;
  // Facts of one reply have one number, that of the first grant: the lowest.
  void Grant(const Inode& object, uint32_t wanted, std::string_view entry, int shift);
  std::function<void()> Resumption();
  void ComeBack() const;

  Buffer payload_;
  bool may_block_ = false;
  mutable const Credentials* acting_as_ = nullptr;  // of the run under way
  std::optional<SlotRecord> intent_;
  std::optional<std::vector<CapClaim>> recorded_;  // the claims under which the intent was written down
  std::unique_ptr<CapTable::Ticket> ticket_;
  uint32_t granted_caps_ = 0;
  uint64_t cap_seq_ = 0;
};

}  // namespace omfs

// Makes the claims, or leaves the function to be run again.
#define OMFS_CLAIM(op, ...) \
  if (!(op).Claim({__VA_ARGS__})) return Recalling()

// OMFS_TRY(auto x, Expr()): x = value of the ErrnoOr, or returns its errno.
#define OMFS_TRY(lhs, expr) OMFS_TRY_IMPL_(OMFS_CONCAT_(omfs_try_, __LINE__), lhs, expr)
#define OMFS_TRY_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                   \
  if (!tmp.ok()) return tmp.error();   \
  lhs = std::move(tmp).value()
// Returns from the function with the Errno when expr is not success.
#define OMFS_TRY_ERRNO(expr)                                         \
  do {                                                               \
    if (const Errno omfs_e_ = (expr); !omfs_e_.ok()) return omfs_e_; \
  } while (false)
