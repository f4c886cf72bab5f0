// Orphans: objects without a name that clients have open (contract line C4), over the death of this daemon.
//
// Such an object lives only as long as somebody has a descriptor of it. This daemon has one for every open, and gives
// one more to the fd-keeper (omfs/fdkeeper/message.h), a process that outlives it:
//
//  - Before a name is taken away (Removal) the object that is about to lose its last one is handed over, if any client
//    has it open; should it have a name after all, it is taken back. So there is no moment at which the object depends
//    on this process alone. What is opened without a name (O_TMPFILE, or the unlink won a race) is handed over before
//    the open's reply. A first name (LINK) and the last close end it.
//  - What a native process removes is noticed within about a second (Tick); until then it depends on this process.
//
// After a restart the kernel still knows a nameless object's handle, since the keeper holds the inode: handles are
// opened as ever (Export::Resolve), on this daemon's own mount, and generation numbers tell it from a later object of
// the same inode number. For file systems that do not find such objects by handle, the keeper's descriptor itself is
// used; linkat from it fails with EXDEV, being of the earlier daemon's mount.
//
// The clients' opens are gone then; clients make them again unasked and say RECLAIMED. Until all that the store knows
// have done so, or the grace period is over, everything that was kept stays, opened again or not; and what loses its
// last name meanwhile stays too, as a client that has it open may not have come back yet. Then what nobody has opened
// again is let go.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "omfs/fdkeeper/fd_keeper.h"
#include "omfs/server/export.h"
#include "omfs/server/inode_cache.h"

namespace omfs {

// Thread-safe. Does not change the thread's identity but where Removal says so.
class Orphans {
 public:
  using ClientId = std::array<uint8_t, 16>;
  struct Options {
    fdkeeper::Options keeper;  // without a program nothing outlives the daemon
    std::chrono::milliseconds grace{};
  };
  struct Stats {
    size_t kept = 0;            // objects without a name
    bool keeper_runs = false;
  };

  // tree: outlives it.
  explicit Orphans(Export* tree);
  ~Orphans() { Stop(); }

  // Takes what an earlier daemon has left. known: the clients that may have it open. Before clients are served; with
  // the daemon's identity. That there is no keeper is logged, and tried again.
  void Start(const Options& options, const std::vector<ClientId>& known);
  // From now on nothing is taken back from the keeper: the next daemon will want it. Idempotent.
  void Stop();

  // Stands for one open of an object, from before it is answered until its last use.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), handle_(other.handle_) {}
    Hold& operator=(Hold&& other) noexcept {
      Hold old(std::move(*this));
      owner_ = std::exchange(other.owner_, nullptr);
      handle_ = other.handle_;
      return *this;
    }
    ~Hold() {
      if (owner_ != nullptr) owner_->Closed(handle_);
    }

   private:
    friend class Orphans;
    Hold(Orphans* owner, const omfs_fh& handle) : owner_(owner), handle_(handle) {}
    Orphans* owner_ = nullptr;
    omfs_fh handle_{};
  };
  Hold Opened(const InodeRef& inode);

  // Stands around a system call that may take a name of the object away. An error as the handle: there is no object.
  // Made before the operation takes on its caller's identity: it may switch to the daemon's.
  class Removal {
   public:
    Removal(Orphans* owner, const ErrnoOr<omfs_fh>& object);
    Removal(const Removal&) = delete;
    Removal& operator=(const Removal&) = delete;
    ~Removal();

   private:
    Orphans* owner_;  // null: nobody has it open
    omfs_fh handle_{};
  };

  // The object's number of names has changed, or it has just been opened and had none.
  void Settle(const omfs_fh& handle);

  // The client has made its opens again.
  void Reclaimed(const ClientId& client);
  // The client's session has ended; it has no opens.
  void Gone(const ClientId& client) { Reclaimed(client); }

  // Called every second or so.
  void Tick();
  Stats stats() const;

 private:
  struct Entry {
    InodeRef inode;         // null: only the descriptor that an earlier daemon has left
    ScopedFd left;
    uint32_t opens = 0;
    uint32_t removals = 0;  // system calls under way that may take its last name
    bool awaited = false;   // until all clients have reclaimed, somebody may have it open
    bool kept = false;      // the keeper has it, or is to have it once there is one

    int fd() const { return inode != nullptr ? inode->fd() : left.get(); }
  };
  using Map = std::unordered_map<omfs_fh, Entry, HandleHash, HandleEqual>;
  // Descriptors to be closed without the mutex.
  using Closing = std::vector<Entry>;

  void Closed(const omfs_fh& handle);
  bool BeginRemoval(const omfs_fh& handle);
  void EndRemoval(const omfs_fh& handle);
  ScopedFd Find(const omfs_fh& handle);
  bool InGrace() const { return !awaiting_.empty(); }        // mutex_ held
  void Keep(const omfs_fh& handle, Entry* entry);            // mutex_ held
  void Release(const omfs_fh& handle, Entry* entry);         // mutex_ held
  void SettleLocked(Map::iterator it, Closing* closing);     // mutex_ held
  void EraseIfUnused(Map::iterator it, Closing* closing);    // mutex_ held
  void EndGrace(const char* why, Closing* closing);          // mutex_ held
  void Watch();
  // Gives a keeper what it is to have, and nothing else.
  void Refill(std::unique_ptr<fdkeeper::FdKeeper> keeper);
  void Poke();

  Export* const tree_;
  Options options_;
  ScopedFd wake_;  // of the watching thread
  std::thread watching_;

  mutable std::mutex mutex_;
  Map entries_;                                           // guarded by mutex_
  std::set<ClientId> awaiting_;                           // guarded by mutex_
  std::chrono::steady_clock::time_point grace_end_;       // guarded by mutex_
  std::shared_ptr<fdkeeper::FdKeeper> keeper_;            // guarded by mutex_; null: being replaced, or none
  bool stopping_ = false;                                 // guarded by mutex_
};

}  // namespace omfs
