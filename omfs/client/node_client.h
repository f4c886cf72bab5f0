// NodeClient: the typed operations on one owner's export. Every call blocks until the owner has
// answered or cannot answer any more, and returns what the owner's file system said, or
//   EHOSTDOWN  the owner cannot be reached; nothing was done
//   ETIMEDOUT  the owner did not answer a question within the lease
//   EIO        the owner was lost while the call was under way; it may have been done (one line is logged)
//   EINTR      whoever wanted it has gone (WithdrawalScope); nothing was done
//   ESTALE     the open or object is gone
// Hard (LinkOptions) instead of the first two: waits.
#pragma once

#include <sys/statvfs.h>
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "omfs/base/errno_or.h"
#include "omfs/client/caps.h"
#include "omfs/client/link.h"
#include "omfs/client/reclaimer.h"
#include "omfs/client/remote_open.h"
#include "omfs/client/types.h"
#include "omfs/wire/request.h"

namespace omfs {

struct Opened {
  RemoteOpenRef open;
  Entry entry;
};

struct Written {
  uint64_t bytes = 0;
  uint64_t offset = 0;  // where they went
};

// One page of a directory: packed omfs_dirent entries (proto/omfs_wire.h).
struct DirPage {
  std::vector<std::byte> entries;
  uint32_t count = 0;
  bool eof = false;  // nothing follows the last entry
};

// Thread-safe. Buffers given as spans are used in place and must live until the call returns. Where there are CapTerms, they
// say which caps are wanted with the reply; null: none.
class NodeClient {
 public:
  NodeClient(LinkOptions options, std::shared_ptr<TlsContext> tls);
  ~NodeClient();

  NodeId node() const { return link_.node(); }
  bool connected() const { return link_.connected(); }
  const Link& link() const { return link_; }
  Link& link() { return link_; }

  // Names and attributes (node_client_names.cc).
  ErrnoOr<Entry> Root();
  ErrnoOr<Entry> Lookup(const Caller& caller, const Fh& dir, std::string_view name,
                        CapTerms* terms = nullptr);
  // open: an open of the object if there is one (finds it when it has no name any more), else null.
  ErrnoOr<omfs_attr> GetAttr(const Caller& caller, const Fh& fh, const RemoteOpenRef& open,
                             CapTerms* terms = nullptr);
  // open: the open that ftruncate came through, else null.
  ErrnoOr<omfs_attr> SetAttr(const Caller& caller, const Fh& fh, const RemoteOpenRef& open,
                             const AttrChange& change, CapTerms* terms = nullptr);
  ErrnoOr<std::string> ReadLink(const Caller& caller, const Fh& fh);
  Errno Access(const Caller& caller, const Fh& fh, int mask);
  ErrnoOr<struct statvfs> StatFs(const Caller& caller, const Fh& fh);
  ErrnoOr<Entry> MkNod(const Caller& caller, const Fh& dir, std::string_view name, mode_t mode,
                       dev_t rdev, CapTerms* terms = nullptr);
  ErrnoOr<Entry> Symlink(const Caller& caller, const Fh& dir, std::string_view name,
                         std::string_view target, CapTerms* terms = nullptr);
  ErrnoOr<Entry> HardLink(const Caller& caller, const Fh& fh, const Fh& dir, std::string_view name,
                          CapTerms* terms = nullptr);
  // flags: 0 or AT_REMOVEDIR. With terms that want caps on the directory: which object lost the name, if it is known.
  ErrnoOr<std::optional<Fh>> Unlink(const Caller& caller, const Fh& dir, std::string_view name, int flags,
                                    CapTerms* terms = nullptr);
  // The same: what was moved, and what was replaced or exchanged.
  struct Renamed {
    std::optional<Fh> moved, replaced;
  };
  ErrnoOr<Renamed> Rename(const Caller& caller, const Fh& dir, std::string_view name, const Fh& new_dir,
                          std::string_view new_name, uint32_t flags, CapTerms* terms = nullptr);

  // Opens and data (node_client_files.cc). flags: O_* as given to open(2).
  ErrnoOr<Opened> Open(const Caller& caller, const Fh& fh, int flags, CapTerms* terms = nullptr);
  // An open that the owner is told of when it is first used (or EnsureOpen): for objects of which caps are held.
  RemoteOpenRef OpenLater(const Caller& caller, const Fh& fh, int flags);
  Errno EnsureOpen(const RemoteOpenRef& open);
  // By what numbers the owner knows it now (LocalOwner).
  struct OpenKey {
    uint64_t session = 0;
    uint64_t open = 0;
  };
  ErrnoOr<OpenKey> KeyOf(const RemoteOpenRef& open);
  ErrnoOr<Opened> Create(const Caller& caller, const Fh& dir, std::string_view name, int flags,
                         mode_t mode, CapTerms* terms = nullptr);
  // lock_owner: whose flock lock goes with the open, 0 = nobody's. Does not wait for the owner if
  // it need not.
  void Close(const Caller& caller, const RemoteOpenRef& open, uint64_t lock_owner);
  ErrnoOr<size_t> Read(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                       std::span<std::byte> into, CapTerms* terms = nullptr);
  // flags: OMFS_WRITE_*.
  ErrnoOr<Written> Write(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                         std::span<const std::byte> data, uint32_t flags, CapTerms* terms = nullptr);
  Errno Fsync(const Caller& caller, const RemoteOpenRef& open, bool data_only);
  Errno Fallocate(const Caller& caller, const RemoteOpenRef& open, uint64_t offset, uint64_t len,
                  int mode, CapTerms* terms = nullptr);
  // whence: SEEK_DATA or SEEK_HOLE.
  ErrnoOr<uint64_t> Seek(const Caller& caller, const RemoteOpenRef& open, uint64_t offset,
                         int whence);
  // Both opens are of this node. May copy less than len.
  ErrnoOr<uint64_t> CopyRange(const Caller& caller, const RemoteOpenRef& in, uint64_t in_offset,
                              const RemoteOpenRef& out, uint64_t out_offset, uint64_t len,
                              uint32_t flags, CapTerms* terms = nullptr);
  // The entries after cookie (0 = from the start), at most max_bytes of them. plus: with handles
  // and attributes.
  ErrnoOr<DirPage> ReadDir(const Caller& caller, const RemoteOpenRef& dir, uint64_t cookie,
                           uint32_t max_bytes, bool plus, CapTerms* terms = nullptr);

  // Extended attributes, inode flags, locks (node_client_xattrs.cc).
  // Returns the value's size; into empty = only the size. ERANGE: does not fit.
  ErrnoOr<size_t> GetXattr(const Caller& caller, const Fh& fh, std::string_view name,
                           std::span<std::byte> into);
  Errno SetXattr(const Caller& caller, const Fh& fh, std::string_view name,
                 std::span<const std::byte> value, int flags, CapTerms* terms = nullptr);
  ErrnoOr<size_t> ListXattr(const Caller& caller, const Fh& fh, std::span<std::byte> into);
  Errno RemoveXattr(const Caller& caller, const Fh& fh, std::string_view name, CapTerms* terms = nullptr);
  // Gives back what was granted of an object up to the stamp. Does not wait for the owner.
  struct GivenBack {
    Fh fh;
    CapStamp stamp;
  };
  void Release(std::span<const GivenBack> objects);
  // FS_IOC_GETFLAGS; with set FS_IOC_SETFLAGS. Returns the flags as they are then.
  ErrnoOr<uint32_t> Flags(const Caller& caller, const Fh& fh, std::optional<uint32_t> set,
                          CapTerms* terms = nullptr);
  // owner: lock owner, unique in this client. flags: OMFS_LOCK_FLOCK.
  ErrnoOr<FileLock> GetLock(const Caller& caller, const RemoteOpenRef& open, uint64_t owner,
                            uint32_t flags, const FileLock& lock);
  // flags: also OMFS_LOCK_WAIT; then cancel (may be null) ends the wait with EINTR.
  Errno SetLock(const Caller& caller, const RemoteOpenRef& open, uint64_t owner, uint32_t flags,
                const FileLock& lock, CancelToken* cancel);

 private:
  // The opens a call names; the second only for CopyRange. Null = none.
  struct Opens {
    RemoteOpen* first = nullptr;
    RemoteOpen* second = nullptr;
  };
  struct OpenIds {
    uint64_t first = 0;
    uint64_t second = 0;
  };
  // Fills in one call; called again for each attempt.
  using Build = absl::FunctionRef<void(Call*, OpenIds)>;

  // Executes the call until it is answered. Returns the owner's errno, or why there is none.
  Errno Transact(Call* call, Opens opens, Build build, CapTerms* terms = nullptr, CancelToken* cancel = nullptr);
  // The open's identifier in this generation; opens the file again if it is from an earlier one.
  ErrnoOr<uint64_t> IdOf(RemoteOpen* open, uint64_t generation);
  Errno Reopen(RemoteOpen* open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(open->mu_);
  ErrnoOr<Opened> FinishOpen(const Caller& caller, int flags, const Call& call);
  // A call that names no open.
  template <WirePod Req>
  Errno Do(Call* call, uint16_t op, const Caller& caller, const Req& req,
           CapTerms* terms, std::string_view first = {}, std::string_view second = {});
  // The same, whose reply is one fixed structure.
  template <WirePod Rep, WirePod Req>
  ErrnoOr<Rep> Ask(uint16_t op, const Caller& caller, const Req& req, CapTerms* terms, std::string_view first = {},
                   std::string_view second = {});
  Errno PollForLock(const Caller& caller, const RemoteOpenRef& open, uint64_t owner, uint32_t flags,
                    const FileLock& lock, CancelToken* cancel);

  omfs::Link link_;
  Reclaimer reclaimer_;  // after link_, which it uses until its end
  std::atomic<size_t> waiting_locks_{0};
};

}  // namespace omfs
