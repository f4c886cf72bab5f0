// What the tests of marshalling share. Forward() takes a call the whole way: gathered from this
// process's memory, through bytes, placed, executed by this machine's kernel, collected, through
// bytes again, scattered. Same() makes the call directly beside it: the kernel is the oracle,
// result and memory must be the same.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "migration/marshal.h"
#include "omfs/base/scoped_fd.h"

namespace omfs::migration {

// This process's memory as the guest's: bad addresses give EFAULT, as with a real guest.
class OwnMemory : public GuestMemory {
 public:
  Errno Read(uint64_t address, std::span<uint8_t> to) override;
  Errno Write(uint64_t address, std::span<const uint8_t> from) override;
};

template <typename T>
uint64_t Word(T value) {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<uint64_t>(value);
  } else {
    return static_cast<uint64_t>(value);
  }
}

template <typename... T>
SyscallArgs Args(T... values) {
  SyscallArgs args{};
  size_t i = 0;
  ((args[i++] = Word(values)), ...);
  return args;
}

// rax as the kernel gives it.
inline int64_t RawSyscall(uint64_t nr, const SyscallArgs& words) {
  int64_t rax;
  register uint64_t r10 asm("r10") = words[3];
  register uint64_t r8 asm("r8") = words[4];
  register uint64_t r9 asm("r9") = words[5];
  asm volatile("syscall"
               : "=a"(rax)
               : "a"(nr), "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return rax;
}

// The call by way of marshalling; anything but a forwarded call fails the test.
int64_t Forward(uint64_t nr, const SyscallArgs& args, uint64_t skip = 0, Gathered* keep = nullptr);

// Why the call is not forwarded; empty when it is.
std::string RecallReason(uint64_t nr, const SyscallArgs& args);

template <typename T>
void Same(uint64_t nr, const std::function<SyscallArgs(T*)>& args, const T& before = T()) {
  T native = before, forwarded = before;
  const int64_t expected = RawSyscall(nr, args(&native));
  EXPECT_EQ(Forward(nr, args(&forwarded)), expected) << kSyscallTable[nr].name;
  EXPECT_EQ(std::memcmp(&native, &forwarded, sizeof(T)), 0) << kSyscallTable[nr].name;
}

inline void SameResult(uint64_t nr, const SyscallArgs& args) {
  const int64_t expected = RawSyscall(nr, args);
  EXPECT_EQ(Forward(nr, args), expected) << kSyscallTable[nr].name;
}

// Bytes that show where a call has not written.
template <size_t N>
struct Filled {
  uint8_t bytes[N];
  Filled() { std::memset(bytes, 0x5a, N); }
};

// A directory with one file of 100,000 'x' and "end", both open.
class MarshalTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  std::string Path(const std::string& name) const { return dir_ + "/" + name; }

  std::string dir_, file_;
  ScopedFd fd_, dirfd_;
};

}  // namespace omfs::migration
