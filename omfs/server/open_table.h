// The files a session holds open.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "omfs/base/errno_or.h"
#include "omfs/base/ids.h"
#include "omfs/server/inode_cache.h"
#include "omfs/server/orphans.h"

namespace omfs {

// One open(2) of a client: an open file description of its own on the owner. Thread-safe.
struct OpenFile {
  OpenId id;
  InodeRef inode;
  ScopedFd fd;
  uint32_t flags = 0;   // O_* as the client gave them
  std::mutex position;  // held where the description's offset is used: directories, appends
  Orphans::Hold hold;
  bool listed = false;  // a directory that entries have been read of; guarded by position

  bool readable() const;
  bool writable() const;
  // Writes wait for the disk.
  bool synchronous() const;
};
using OpenRef = std::shared_ptr<OpenFile>;

// Thread-safe.
class OpenTable {
 public:
  // Numbers opens; one for all sessions of a server. Opens of different epochs never have the same
  // number.
  class Numbers {
   public:
    explicit Numbers(uint64_t epoch) : next_((epoch << 40) + 1) {}
    OpenId Next() { return OpenId{next_.fetch_add(1)}; }

   private:
    std::atomic<uint64_t> next_;
  };

  explicit OpenTable(Numbers* numbers) : numbers_(numbers) {}

  // ENFILE: the session has too many. After Clear: ESTALE.
  ErrnoOr<OpenRef> Add(InodeRef inode, ScopedFd fd, uint32_t flags, Orphans::Hold hold);
  // nullptr: unknown, or of an older epoch.
  OpenRef Find(OpenId id) const;
  // Takes it out; the last user of the reference closes it. nullptr: unknown.
  OpenRef Remove(OpenId id);
  // Takes all out, and refuses new ones.
  std::vector<OpenRef> Clear();
  size_t size() const;

 private:
  Numbers* const numbers_;
  mutable std::mutex mutex_;
  std::unordered_map<OpenId, OpenRef> opens_;  // guarded by mutex_
  bool cleared_ = false;                       // guarded by mutex_
};

}  // namespace omfs
