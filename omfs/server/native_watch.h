// Changes that native processes make to files which clients cache.
//
// A native process is any on this node but the daemon itself: programs outside /mfs, migrated
// guests that work on the native files. The contract (C8) is that what they do is noticed; how
// strictly is the kernel's to say. The server watches an object from before it grants the first cap
// on it until the last one is gone, and takes caps back when it hears of a native process:
//
//   server                         watch                          native process
//   Watch(object, kWriters)
//   Use(object): nobody writes
//   grants a read cap                                             open(object, O_WRONLY)
//                                  Listener::Opening  <---------    (waits)
//   recalls the cap; done()  --->  lets it go         --------->    open returns
//                                                                 write, close
//   recalls what there is    <---  DataChanged
//   Unwatch(object)
//
// The rungs of the ladder; the highest that the kernel has is taken.
//
// kDelegations (Linux 6.19, fcntl F_SETDELEG): the kernel itself makes every native operation that
//   conflicts wait for the recall. It is found out whether the kernel has it; using it is not
//   written yet, and Describe says so.
//
// kFanotify (Linux 5.17): what it guarantees follows from which events the kernel makes wait. Only
//   an open can wait; the rest is reported afterwards. "Strict" means that the native operation
//   returns only after the recall; "lag", that the report comes once it is done, within the pause
//   of the feed (2 ms) and what the machine's load adds.
//
//     native change                             | noticed by                         |
//     open for writing (also O_TRUNC, creat)    | OPEN_PERM                          | strict
//     open for reading, where somebody may have | OPEN_PERM (Guard::kOpeners)        | strict
//       written what is not here yet            |                                    |
//     write etc. by one who has it open         | no cap is granted: Use             | strict
//     stores to a shared mapping                | the same; CLOSE_WRITE when the     | strict
//                                               | mapping goes                       |
//     truncate(2) by path                       | MODIFY                             | lag
//     open(O_RDONLY | O_TRUNC)                  | MODIFY; the open counts as reading | lag
//     chmod, chown, utimes, xattr, ACL          | ATTRIB (MODIFY if only mtime)      | lag
//     link, unlink of a name, rename over it    | ATTRIB of the object               | lag
//     create, unlink, mkdir, rename ... in a    | CREATE, DELETE, MOVED_FROM,        | lag
//       watched directory                       |   MOVED_TO                         |
//     rename of the object itself               | MOVE_SELF                          | lag
//     rmdir                                     | DELETE in its parent, if that is   | lag
//                                               |   watched too; else DELETE_SELF,   |
//                                               |   once nobody has it open, nor the |
//                                               |   daemon (InodeCache: seconds)     |
//     only the access time (reading, touch -a)  | nothing                            | lease
//     inode flags (chattr)                      | nothing                            | lease
//
//   What a mapping dirties is in the owner's page cache, where all reads of the server see it:
//   nobody caches a file while a native process may write to it. FAN_ACCESS would report access
//   times, one event for each read; no client may rely on another's. FAN_PRE_ACCESS (Linux 6.14)
//   would make truncate(2) wait, and with it every read of everybody, the server's own too. A lease
//   (F_SETLEASE) is only taken for the instant it takes to ask who has the file open, see
//   native_use.h. Execution needs no mark of its own: execve is an open, and denies writing.
//
// kNone: without root, or without permission events in the kernel. Watch fails, so nothing may be
//   cached.
//
// The daemon's own doings: every own open of a watched file is a permission event too and waits for
// the watch's answer. That is given by a thread that waits for nothing, so the server may open
// files with any lock held. Own changes are not reported, but for the end of a directory.
//
// If the daemon dies, the kernel lets all who wait go on. An opener that waits can be killed, and
// waits for Options::patience at most: a client that does not give its caps back within the lease
// is fenced by then.
//
// Costs, as native_watch_test (WatchCosts) prints them; two virtual processors, Linux 6.18, medians
// of a loaded machine:
//
//     Watch, a file 13 us, again 0.1; Unwatch 7 us; Use without a native opener since 0.1 us
//     own open and close of a file                        2.3 us, watched 11
//     native open and close                               2.3 us, watched 16 if it goes on at once,
//                                                         36 if the listener lets it go at once
//     own creation of a file (tmpfs)                      5.3 us, in a watched directory 6.4
//     from a native change to its report                  below 3 ms, of which 2 are the pause
//     memory for a watched file: 184 bytes in the kernel - two marks and a connector - which keeps
//       the inode in memory too (ext4 1.1 KiB), and about 110 bytes here; no descriptor
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "omfs/server/export.h"
#include "omfs/server/native_use.h"

namespace omfs {

// Thread-safe.
class NativeWatch {
 public:
  // Called on the watch's own threads, with no locks of it held; may call the watch. Opening and
  // the others come on different threads. Objects that have just been unwatched may still be named.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A native process is opening the file and waits until done is called: from any thread, at any
    // time, once. use: what natives do with it, this opener included. Calls come one after another:
    // recalls are to be started here, not waited for.
    virtual void Opening(const omfs_fh& object, NativeUse use, std::function<void()> done) = 0;
    // Contents, size, mtime.
    virtual void DataChanged(const omfs_fh& object) = 0;
    // Mode, owner, times, extended attributes, link count; a directory's "..".
    virtual void AttributesChanged(const omfs_fh& object) = 0;
    // An entry was made, removed, or is of another object; so the directory's attributes changed
    // too.
    virtual void EntryChanged(const omfs_fh& dir, std::string_view name) = 0;
    // The object's last name is gone; it may still be open. May be said twice. What keeps the
    // object for its own sake (InodeCache) should let it go, for its space to become free.
    virtual void Removed(const omfs_fh& object) = 0;
    // Reports were lost: everything that is watched may have changed.
    virtual void Overflow() = 0;
  };

  enum class Rung { kNone, kFanotify, kDelegations };

  // Which native openers of a file wait. All others go on at once.
  enum class Guard {
    kWriters,  // those who can change it, or read while a native process changes it: for read caps
    kOpeners,  // all: while a client may have written what is not here yet
  };

  struct Options {
    std::chrono::milliseconds patience{20'000};  // how long an opener waits at most
    std::chrono::milliseconds pause{2};          // see ChangeFeed
  };

  // e, listener: outlive the watch. The rung that there is, perhaps kNone.
  static absl::StatusOr<std::unique_ptr<NativeWatch>> Start(Export* e, Listener* listener,
                                                            const Options& options);
  // Lets all openers go. The listener is called no more afterwards; done may be.
  virtual ~NativeWatch() = default;

  virtual Rung rung() const = 0;
  // One line for people.
  virtual std::string Describe() const = 0;

  // From now on the object's changes are reported, and openers of a file wait as guard says; of an
  // object that is watched, the guard is changed. To be called before what is to be cached is read.
  // Not OK: nothing of the object may be cached.
  // Watch, Unwatch and Use switch to the daemon's identity, and are called on server threads
  // (FdPath), with any locks held but those that the listener's Opening waits for.
  virtual absl::Status Watch(const Inode& inode, Guard guard) = 0;
  // Not watched: nothing happens.
  virtual void Unwatch(const omfs_fh& object) = 0;

  // What native processes may be doing with a watched file: never less than they do. When more has
  // been seen since, Opening was or will be called. A reader that waits for nothing (kWriters) is
  // noticed here only.
  // The daemon's own descriptors cannot be told from those of others by the kernel's count; so when
  // a native process has opened the file, it is thought to use it until neither it nor the daemon
  // does. For exact answers a file must be watched from before the daemon's first open of it.
  virtual NativeUse Use(const Inode& inode) = 0;
};

}  // namespace omfs
