// The operations of the random I/O test, as its driver sends them to the servers on the nodes, and
// the model in memory that says what they must give.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace omfs::fsx {

enum class Code : uint32_t {
  kRead,
  kWrite,
  kMapRead,
  kMapWrite,
  kTruncate,
  kPunch,
  kZero,
  kAllocate,
  kAllocateKeepSize,
  kCopy,
  kAppend,
  kReopen,
  kSync,
  kSize,
  kCount
};

inline constexpr uint64_t kMaxFile = 256 * 1024;
inline constexpr uint64_t kMaxLength = 64 * 1024;

struct Command {
  Code code;
  uint32_t reserved = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t target = 0;  // of kCopy
  uint64_t fill = 0;    // seed of the bytes to write
};

struct Reply {
  int32_t error = 0;  // errno
  uint32_t reserved = 0;
  uint64_t number = 0;  // bytes done, or the size
  uint64_t bytes = 0;   // that follow
};

const char* Name(Code code);
std::string Describe(const Command& c);

// The bytes a write of this seed writes.
void Fill(uint64_t seed, std::byte* to, size_t length);

// splitmix64: the next of a sequence.
uint64_t NextRandom(uint64_t* state);

// What the file must be.
class Model {
 public:
  // A command that is possible in the present state.
  Command Choose(uint64_t* random) const;
  // Applies it; gives what the reply must be. `bytes` is what a read must give.
  Reply Apply(const Command& c, std::vector<std::byte>* bytes);
  const std::vector<std::byte>& content() const { return content_; }

 private:
  void Grow(uint64_t size);
  std::vector<std::byte> content_;
};

}  // namespace omfs::fsx
