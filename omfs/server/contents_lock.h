// The order between reads and changes of a file's bytes.
//
// POSIX wants a read that meets a write of the same bytes to see all of it or nothing, and the contract (C1: linearizable per
// file) needs it. Local file systems do not keep to that: ext4 copies into a page under the inode's lock, but a read copies
// out of the page without it, so that a read of one page now and then returns the first half of one write and the second
// half of another (natively seen: 118,777 of 3 million reads against a busy writer). Therefore reads and changes that
// overlap are put in order here. Changes among themselves are ordered by the file system; they take turns here all the same,
// as a change excludes everything that overlaps it.
//
// First come, first served: who waits keeps later ones that conflict from overtaking, so that a stream of reads does not
// starve a truncation. It is held for the system call alone, never while waiting for a client. What native processes
// do is not ordered.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "omfs/server/handle.h"

namespace omfs {

// Thread-safe.
class ContentsLock {
  struct Entry;
  struct Shard;
  using Queue = std::list<Entry>;

 public:
  static constexpr uint64_t kEnd = std::numeric_limits<uint64_t>::max();

  enum class Kind { kRead, kChange };
  // Bytes [first, end).
  struct Range {
    Kind kind;
    uint64_t first = 0;
    uint64_t end = kEnd;
  };
  static Range Read(uint64_t first, uint64_t size) { return {Kind::kRead, first, End(first, size)}; }
  static Range Change(uint64_t first, uint64_t size) { return {Kind::kChange, first, End(first, size)}; }
  static Range ChangeFrom(uint64_t first) { return {Kind::kChange, first, kEnd}; }

  // A range that is held; let go with the object, on any thread, before the ContentsLock ends.
  class Held {
   public:
    Held(Held&& other) noexcept : shard_(std::exchange(other.shard_, nullptr)), file_(other.file_), entry_(other.entry_) {}
    Held& operator=(Held&& other) noexcept {
      std::swap(shard_, other.shard_);
      std::swap(file_, other.file_);
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Held();

   private:
    friend class ContentsLock;
    Held(Shard* shard, const omfs_fh& file, Queue::iterator entry) : shard_(shard), file_(file), entry_(entry) {}
    Shard* shard_;  // null: moved from
    omfs_fh file_;
    Queue::iterator entry_;
  };

  ContentsLock();
  ~ContentsLock();
  // Waits for earlier ones that conflict, if it may; else nullopt when there are any. One thread holds ranges of one file at
  // a time; of several files in the order of Before.
  std::optional<Held> Take(const omfs_fh& file, Range range, bool may_wait);
  static bool Before(const omfs_fh& a, const omfs_fh& b);

 private:
  static uint64_t End(uint64_t first, uint64_t size) { return size > kEnd - first ? kEnd : first + size; }

  static constexpr size_t kShards = 64;
  std::array<std::unique_ptr<Shard>, kShards> shards_;
};

}  // namespace omfs
