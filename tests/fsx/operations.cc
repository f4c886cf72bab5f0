#include "tests/fsx/operations.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace omfs::fsx {
namespace {

constexpr std::array kNames = {
    "read", "write",    "map-read",           "map-write", "truncate", "punch",
    "zero", "allocate", "allocate-keep-size", "copy",      "append",   "reopen",
    "sync", "size"};
static_assert(kNames.size() == static_cast<size_t>(Code::kCount));

// How often, of 100.
constexpr std::array<int, static_cast<size_t>(Code::kCount)> kWeights = {26, 20, 8, 7, 7, 5, 3,
                                                                         3,  1,  5, 5, 4, 2, 4};

Code ChooseCode(uint64_t* random) {
  int dice = static_cast<int>(NextRandom(random) % 100);
  for (size_t i = 0; i < kWeights.size(); ++i) {
    dice -= kWeights[i];
    if (dice < 0) return static_cast<Code>(i);
  }
  return Code::kRead;
}

// Mostly small, seldom large; now and then at page boundaries.
uint64_t ChooseLength(uint64_t* random, uint64_t limit) {
  const uint64_t r = NextRandom(random);
  const uint64_t most = (r & 7) == 0 ? kMaxLength : (r & 7) < 4 ? 8192 : 600;
  uint64_t length = 1 + (r >> 8) % most;
  if (((r >> 4) & 7) == 0) length = (length + 4095) & ~uint64_t{4095};
  return std::max<uint64_t>(1, std::min(length, limit));
}

uint64_t ChooseOffset(uint64_t* random, uint64_t limit) {
  const uint64_t r = NextRandom(random);
  const uint64_t offset = (r >> 8) % (limit + 1);
  return (r & 7) == 0 ? offset & ~uint64_t{4095} : offset;
}

}  // namespace

const char* Name(Code code) { return kNames[static_cast<size_t>(code)]; }

std::string Describe(const Command& c) {
  std::string text = std::string(Name(c.code)) + " at " + std::to_string(c.offset) + " length " +
                     std::to_string(c.length);
  if (c.code == Code::kCopy) text += " to " + std::to_string(c.target);
  return text;
}

uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void Fill(uint64_t seed, std::byte* to, size_t length) {
  uint64_t word = 0;
  for (size_t i = 0; i < length; ++i) {
    if (i % sizeof word == 0) word = NextRandom(&seed);
    // Never zero: a zero is a hole's.
    to[i] = static_cast<std::byte>(1 + ((word >> (i % sizeof word * 8)) & 0x7f));
  }
}

void Model::Grow(uint64_t size) {
  if (content_.size() < size) content_.resize(size);
}

Command Model::Choose(uint64_t* random) const {
  Command c{};
  c.code = ChooseCode(random);
  const uint64_t size = content_.size();
  // Of what is not there nothing can be mapped, copied or punched with a use.
  const bool needs_data = c.code == Code::kMapRead || c.code == Code::kMapWrite ||
                          c.code == Code::kCopy || c.code == Code::kPunch;
  if (needs_data && size == 0) c.code = Code::kWrite;
  if (c.code == Code::kAppend && size + 1 > kMaxFile) c.code = Code::kTruncate;
  switch (c.code) {
    case Code::kMapRead:
    case Code::kMapWrite:
    case Code::kPunch:
      c.offset = ChooseOffset(random, size - 1);
      c.length = ChooseLength(random, size - c.offset);
      break;
    case Code::kCopy:
      // Within one file the ranges must not overlap (EINVAL).
      c.offset = ChooseOffset(random, size - 1);
      c.length = ChooseLength(random, size - c.offset);
      c.target = ChooseOffset(random, kMaxFile - c.length);
      if (c.target < c.offset + c.length && c.offset < c.target + c.length)
        c.target = c.offset + c.length;
      if (c.target + c.length > kMaxFile) c.code = Code::kRead;
      break;
    case Code::kRead:
      c.offset = ChooseOffset(random, size + 5000);
      c.length = ChooseLength(random, kMaxLength);
      break;
    case Code::kAppend:
      c.length = ChooseLength(random, kMaxFile - size);
      break;
    case Code::kTruncate:
      c.offset = ChooseOffset(random, NextRandom(random) % 4 == 0 ? kMaxFile : size + 5000);
      break;
    default:
      c.offset = ChooseOffset(random, kMaxFile - 1);
      c.length = ChooseLength(random, kMaxFile - c.offset);
  }
  if (c.code == Code::kTruncate) c.offset = std::min(c.offset, kMaxFile);
  c.fill = NextRandom(random);
  return c;
}

Reply Model::Apply(const Command& c, std::vector<std::byte>* bytes) {
  bytes->clear();
  Reply reply;
  const uint64_t end = c.offset + c.length;
  switch (c.code) {
    case Code::kRead:
    case Code::kMapRead:
      if (c.offset < content_.size()) {
        bytes->assign(
            content_.begin() + static_cast<ptrdiff_t>(c.offset),
            content_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(end, content_.size())));
      }
      reply.number = reply.bytes = bytes->size();
      break;
    case Code::kWrite:
    case Code::kMapWrite:
      Grow(end);
      Fill(c.fill, content_.data() + c.offset, c.length);
      reply.number = c.length;
      break;
    case Code::kAppend: {
      const size_t at = content_.size();
      Grow(at + c.length);
      Fill(c.fill, content_.data() + at, c.length);
      reply.number = c.length;
      break;
    }
    case Code::kTruncate:
      content_.resize(c.offset);
      break;
    case Code::kZero:
      Grow(end);
      [[fallthrough]];
    case Code::kPunch:
      std::fill(
          content_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(c.offset, content_.size())),
          content_.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(end, content_.size())),
          std::byte{0});
      break;
    case Code::kAllocate:
      Grow(end);
      break;
    case Code::kCopy:
      Grow(c.target + c.length);
      memmove(content_.data() + c.target, content_.data() + c.offset, c.length);
      reply.number = c.length;
      break;
    case Code::kSize:
      reply.number = content_.size();
      break;
    default:
      break;
  }
  return reply;
}

}  // namespace omfs::fsx
