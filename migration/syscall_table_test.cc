#include "migration/syscall_table.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <fstream>
#include <sstream>
#include <string>

#include "migration/syscall_table_requests.h"

namespace omfs::migration {
namespace {

using enum SyscallClass;

TEST(SyscallTable, HasEveryNumberOfThisMachinesHeaders) {
  std::ifstream header("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  if (!header) header.open("/usr/include/asm/unistd_64.h");
  if (!header) GTEST_SKIP() << "no <asm/unistd_64.h> on this machine";
  int seen = 0;
  for (std::string line; std::getline(header, line);) {
    std::istringstream words(line);
    std::string define, name;
    uint64_t nr;
    if (!(words >> define >> name >> nr) || define != "#define" || !name.starts_with("__NR_"))
      continue;
    ++seen;
    const SyscallSpec* spec = FindSyscall(nr);
    if (spec == nullptr) continue;  // of a later kernel than the table's: recalled
    EXPECT_EQ(spec->name, name.substr(5)) << nr;
  }
  EXPECT_GT(seen, 300);
}

TEST(SyscallTable, IsFoundByNumberAndName) {
  EXPECT_EQ(FindSyscall(SYS_openat)->name, "openat");
  EXPECT_EQ(FindSyscall("openat")->nr, SYS_openat);
  EXPECT_EQ(FindSyscall("no_such_call"), nullptr);
  EXPECT_EQ(FindSyscall(kSyscallCount), nullptr);
  EXPECT_EQ(FindSyscall(~uint64_t{0}), nullptr);
}

TEST(SyscallTable, RecallsWhatItDoesNotKnow) {
  for (uint64_t nr : {uint64_t{337}, uint64_t{400}, uint64_t{423}, uint64_t{470}, uint64_t{100000},
                      kX32Bit + 1, ~uint64_t{0}}) {
    const Decision d = Decide(nr, {});
    EXPECT_EQ(d.cls, kRecall) << nr;
    EXPECT_FALSE(d.reason.empty()) << nr;
  }
}

TEST(SyscallTable, EveryRecallHasAReason) {
  for (const SyscallSpec& spec : kSyscallTable) {
    for (uint64_t word : {uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
      const Decision d = Decide(spec.nr, {word, word, word, word, word, word});
      EXPECT_TRUE(d.cls != kRecall || !d.reason.empty()) << spec.name;
    }
  }
}

TEST(SyscallTable, JudgesByArguments) {
  auto cls = [](uint64_t nr, SyscallArgs args) { return Decide(nr, args).cls; };
  const uint64_t rw = PROT_READ | PROT_WRITE;
  EXPECT_EQ(cls(SYS_mmap, {0, 4096, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED}), kLocal);
  EXPECT_EQ(cls(SYS_mmap, {0, 4096, rw, MAP_PRIVATE, 3}), kBoth);
  EXPECT_EQ(cls(SYS_mmap, {0, 4096, rw, MAP_SHARED | MAP_ANONYMOUS}), kBoth);
  EXPECT_EQ(cls(SYS_mmap, {0, 4096, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB}), kBoth);
  EXPECT_EQ(cls(SYS_clock_gettime, {CLOCK_MONOTONIC}), kLocal);
  EXPECT_EQ(cls(SYS_clock_gettime, {CLOCK_BOOTTIME}), kLocal);
  EXPECT_EQ(cls(SYS_clock_gettime, {CLOCK_PROCESS_CPUTIME_ID}), kBoth);
  EXPECT_EQ(cls(SYS_clock_gettime, {static_cast<uint64_t>(-6)}), kBoth);
  EXPECT_EQ(cls(SYS_madvise, {0, 0, MADV_DONTNEED}), kLocal);
  EXPECT_EQ(cls(SYS_madvise, {0, 0, MADV_FREE}), kLocal);
  EXPECT_EQ(cls(SYS_madvise, {0, 0, MADV_WIPEONFORK}), kRecall);
  EXPECT_EQ(cls(SYS_madvise, {0, 0, MADV_REMOVE}), kRecall);
  EXPECT_EQ(cls(SYS_arch_prctl, {0x1002}), kLocal);
  EXPECT_EQ(cls(SYS_arch_prctl, {0x1012}), kRecall);
  EXPECT_EQ(cls(SYS_prctl, {PR_SET_NAME}), kBoth);
  EXPECT_EQ(cls(SYS_prctl, {PR_SET_VMA}), kLocal);
  EXPECT_EQ(cls(SYS_prctl, {PR_SET_SECCOMP}), kRecall);
  EXPECT_EQ(cls(SYS_ioctl, {0, TIOCGWINSZ}), kDfsa);
  EXPECT_EQ(cls(SYS_ioctl, {0, FIOCLEX}), kBoth);
  EXPECT_EQ(cls(SYS_ioctl, {0, 0xdeadbeef}), kRecall);
  EXPECT_EQ(cls(SYS_fcntl, {0, F_GETFL}), kDfsa);
  EXPECT_EQ(cls(SYS_fcntl, {0, F_DUPFD}), kBoth);
  EXPECT_EQ(cls(SYS_fcntl, {0, 777}), kRecall);
  EXPECT_EQ(cls(SYS_prlimit64, {0, 7, 0, 0x1000}), kDeputy);
  EXPECT_EQ(cls(SYS_prlimit64, {0, 7, 0x1000, 0}), kRecall);
  EXPECT_EQ(cls(SYS_personality, {0xffffffff}), kDeputy);
  EXPECT_EQ(cls(SYS_personality, {ADDR_NO_RANDOMIZE}), kRecall);
}

TEST(SyscallTable, FindsThePathsOfACall) {
  auto paths = [](std::string_view name, SyscallArgs args) {
    std::string text;
    for (const PathArg& p : PathsOf(*FindSyscall(name), args))
      text +=
          std::to_string(p.dirfd_arg) + ":" + std::to_string(p.path_arg) + (p.follow ? "f " : "n ");
    return text;
  };
  EXPECT_EQ(paths("read", {}), "");
  EXPECT_EQ(paths("stat", {}), "-1:0f ");
  EXPECT_EQ(paths("lstat", {}), "-1:0n ");
  EXPECT_EQ(paths("open", {0, O_NOFOLLOW}), "-1:0n ");
  EXPECT_EQ(paths("openat", {0, 0, O_CREAT}), "0:1f ");
  EXPECT_EQ(paths("openat", {0, 0, O_CREAT | O_EXCL}), "0:1n ");
  EXPECT_EQ(paths("renameat2", {}), "0:1n 2:3n ");
  EXPECT_EQ(paths("linkat", {0, 0, 0, 0, AT_SYMLINK_FOLLOW}), "0:1f 2:3n ");
  EXPECT_EQ(paths("link", {}), "-1:0n -1:1n ");
  EXPECT_EQ(paths("symlinkat", {}), "1:2n ");  // the target is text, not a path to walk
  EXPECT_EQ(paths("newfstatat", {0, 0, 0, AT_SYMLINK_NOFOLLOW}), "0:1n ");
  EXPECT_EQ(paths("newfstatat", {}), "0:1f ");
}

TEST(SyscallTable, KnowsWhichCallsMakeDescriptors) {
  auto makes = [](uint64_t nr, SyscallArgs args) { return ReturnsNewFd(kSyscallTable[nr], args); };
  EXPECT_TRUE(makes(SYS_openat, {}));
  EXPECT_FALSE(makes(SYS_read, {}));
  EXPECT_TRUE(makes(SYS_fcntl, {0, F_DUPFD_CLOEXEC}));
  EXPECT_FALSE(makes(SYS_fcntl, {0, F_GETFL}));
  EXPECT_TRUE(makes(SYS_ioctl, {0, TIOCGPTPEER}));
  EXPECT_FALSE(makes(SYS_ioctl, {0, FIONREAD}));
}

TEST(SyscallTable, RequestTablesAgreeWithTheEncodedSizes) {
  // Where a request number carries a size and direction, the listed layout is not larger, save for
  // the numbers that are known to say `long` for an int.
  for (const RequestSpec& r : IoctlRequests()) {
    const uint32_t size = _IOC_SIZE(r.request);
    if (size == 0 || r.kind == ArgKind::kFd || r.kind == ArgKind::kValue) continue;
    EXPECT_LE(r.size, size) << r.name;
  }
}

}  // namespace
}  // namespace omfs::migration
