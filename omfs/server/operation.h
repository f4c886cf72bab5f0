// One request under way, and what its execution gives. The dispatcher makes an Operation, the
// functions of ops/ execute it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "omfs/base/errno_or.h"
#include "omfs/base/status.h"
#include "omfs/server/buffer.h"
#include "omfs/server/export.h"
#include "omfs/server/open_table.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {

class LockTable;
class LockWaiters;
class Session;

// What operations work on; one per server. The members outlive every operation.
struct Services {
  Export& tree;
  LockTable& locks;
  LockWaiters& lock_waiters;
  bool root_squash;
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

// Errno(): success without metadata. absl::Status: the request does not parse, the connection is
// closed.
using OpResult = std::variant<Errno, Reply, WouldBlock, Parked, absl::Status>;

// A success with a fixed structure as its metadata.
template <WirePod T>
Reply ReplyWith(const T& fixed, Buffer payload = {}) {
  const auto* p = reinterpret_cast<const std::byte*>(&fixed);
  return Reply{{p, p + sizeof fixed}, std::move(payload)};
}

// Used by one thread at a time.
class Operation {
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
  Errno ActAs(const Credentials& creds) const;

  ErrnoOr<InodeRef> Resolve(const omfs_fh& handle) { return tree().Resolve(handle); }
  // ESTALE: the session has no such open - the owner restarted, or the session's lease passed.
  ErrnoOr<OpenRef> FindOpen(uint64_t wire_id) const;

 private:
  Services& services_;
  std::shared_ptr<Session> session_;
  Header header_;
  std::vector<std::byte> meta_;
  Buffer payload_;
  bool may_block_ = false;
};

}  // namespace omfs

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
