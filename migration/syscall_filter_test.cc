// The filter is run twice: by a small interpreter for every number and many arguments, and by the
// kernel.

#include "migration/syscall_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "migration/marshal_harness.h"
#include "omfs/base/scoped_fd.h"

// The stub: makes the call number given, as the runtime's does.
asm(R"(
  .text
  .globl omfs_test_stub
  .type omfs_test_stub, @function
omfs_test_stub:
  mov %rdi, %rax
  syscall
  ret
  .globl omfs_test_stub_end
omfs_test_stub_end:
)");
extern "C" int64_t omfs_test_stub(uint64_t nr);
extern "C" const char omfs_test_stub_end[];

namespace omfs::migration {
namespace {

// Classic BPF as far as the filter uses it; anything else, and a jump out of the program, fails the
// test.
uint32_t Interpret(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& i = program[pc];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const uint8_t*>(&data) + i.k, sizeof a);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        pc += a >= i.k ? i.jt : i.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        pc += a > i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        ADD_FAILURE() << "instruction " << i.code;
        return 0;
    }
  }
  ADD_FAILURE() << "ran off the end";
  return 0;
}

seccomp_data Data(uint64_t nr, const SyscallArgs& args = {}, uint64_t ip = 0x7f0000000000) {
  seccomp_data data{};
  data.nr = static_cast<int>(nr);
  data.arch = AUDIT_ARCH_X86_64;
  data.instruction_pointer = ip;
  std::copy(args.begin(), args.end(), data.args);
  return data;
}

TEST(SyscallFilter, AllowsExactlyWhatTheTableCallsLocal) {
  const auto program = BuildFilter({});
  ASSERT_TRUE(program.ok());
  const uint64_t interesting[] = {0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  7,
                                  8,
                                  9,
                                  10,
                                  11,
                                  15,
                                  16,
                                  18,
                                  20,
                                  23,
                                  25,
                                  0x22,
                                  0x32,
                                  0x122,
                                  0x1001,
                                  0x1002,
                                  0x1003,
                                  0x1004,
                                  0x1005,
                                  0x1012,
                                  0x40022,
                                  0x53564d41,
                                  1 << 20,
                                  ~uint64_t{0},
                                  uint64_t{1} << 32};
  for (uint64_t nr = 0; nr < 600; ++nr) {
    for (uint64_t word : interesting) {
      const SyscallArgs args{word, word, word, word, word, word};
      const bool local = Decide(nr, args).cls == SyscallClass::kLocal && FindSyscall(nr) != nullptr;
      // prctl's local options are the filter's too, and Decide() knows no others.
      EXPECT_EQ(Interpret(*program, Data(nr, args)),
                local ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF)
          << nr << " with " << word;
    }
  }
}

TEST(SyscallFilter, NotifiesOtherNumberSpaces) {
  const auto program = BuildFilter({});
  for (uint64_t nr : {kX32Bit, kX32Bit + 39, uint64_t{0xffffffff}, uint64_t{0x7fffffff}}) {
    EXPECT_EQ(Interpret(*program, Data(nr)), SECCOMP_RET_USER_NOTIF);
    EXPECT_EQ(DecideNotified(Data(nr)).cls, SyscallClass::kRecall);
  }
  seccomp_data i386 = Data(SYS_getpid);
  i386.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(Interpret(*program, i386), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(DecideNotified(i386).reason, "32-bit system call");
}

TEST(SyscallFilter, AllowsTheStub) {
  const FilterOptions options{0x7fff12340000, 0x7fff12341000};
  const auto program = BuildFilter(options);
  ASSERT_TRUE(program.ok());
  auto verdict = [&](uint64_t ip) { return Interpret(*program, Data(SYS_read, {}, ip)); };
  EXPECT_EQ(verdict(options.stub_begin - 1), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(options.stub_begin), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(options.stub_end - 1), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(options.stub_end), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(0x12340000), SECCOMP_RET_USER_NOTIF);  // the same low half elsewhere
}

TEST(SyscallFilter, RefusesARangeItCannotTest) {
  EXPECT_FALSE(BuildFilter({0x2000, 0x1000}).ok());
  EXPECT_FALSE(BuildFilter({0xfffff000, 0x100001000}).ok());
  EXPECT_TRUE(BuildFilter({0xfffff000, 0x100000000}).ok());
}

// A thread under the filter and, beside it, the one that answers its notifications.
class FilteredThread {
 public:
  // Runs `body` in a thread under the filter. Gives the numbers notified meanwhile; they were
  // answered EPERM. Fails the test when the kernel refuses the filter.
  static std::vector<int> Run(const FilterOptions& options, const std::function<void()>& body) {
    const auto program = BuildFilter(options);
    EXPECT_TRUE(program.ok()) << program.status();
    std::atomic<int> listener{-2};
    std::atomic<bool> finished{false};
    std::thread guest([&] {
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      const sock_fprog prog{static_cast<unsigned short>(program->size()),
                            const_cast<sock_filter*>(program->data())};
      listener = static_cast<int>(
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
      if (listener >= 0) body();
      finished = true;
    });
    while (listener == -2) std::this_thread::yield();
    std::vector<int> notified;
    if (listener < 0) {
      ADD_FAILURE() << "the kernel refuses the filter";
      guest.join();
      return notified;
    }
    ScopedFd fd(listener);
    for (;;) {
      seccomp_notif request{};
      if (ioctl(fd.get(), SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) break;
      seccomp_notif_resp response{};
      response.id = request.id;
      if (finished) {
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      } else {
        notified.push_back(request.data.nr);
        response.error = -EPERM;
      }
      ioctl(fd.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
      if (finished && request.data.nr == SYS_exit) break;
    }
    guest.join();
    return notified;
  }
};

TEST(SyscallFilter, KernelNotifiesEveryNumberThatIsNotLocal) {
  std::vector<int> expected;
  for (uint64_t nr = 0; nr < kSyscallCount + 5; ++nr) {
    if (nr == 335 || nr == 336) continue;  // uretprobe, uprobe: the kernel filters them never
    if (Decide(nr, {}).cls != SyscallClass::kLocal) expected.push_back(static_cast<int>(nr));
  }
  expected.push_back(static_cast<int>(kX32Bit + SYS_getpid));
  const std::vector<int> notified = FilteredThread::Run({}, [&] {
    for (int nr : expected) RawSyscall(nr, {});
  });
  EXPECT_EQ(notified, expected);
}

TEST(SyscallFilter, KernelLetsLocalCallsPass) {
  int64_t pid = 0, clock = 0, cpu = 0;
  void* memory = nullptr;
  const std::vector<int> notified = FilteredThread::Run({}, [&] {
    timespec now;
    pid = RawSyscall(SYS_getpid, {});
    clock = RawSyscall(SYS_clock_gettime, Args(CLOCK_MONOTONIC, &now));
    cpu = RawSyscall(SYS_clock_gettime, Args(CLOCK_PROCESS_CPUTIME_ID, &now));
    memory = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(memory, 4096);
  });
  EXPECT_EQ(pid, getpid());
  EXPECT_EQ(clock, 0);
  EXPECT_NE(memory, MAP_FAILED);
  EXPECT_EQ(cpu, -EPERM);
  EXPECT_THAT(notified, ::testing::ElementsAre(SYS_clock_gettime));
}

TEST(SyscallFilter, KernelLetsTheStubPass) {
  int64_t direct = 0, from_stub = 0;
  const FilterOptions options{reinterpret_cast<uint64_t>(&omfs_test_stub),
                              reinterpret_cast<uint64_t>(omfs_test_stub_end)};
  const std::vector<int> notified = FilteredThread::Run(options, [&] {
    direct = RawSyscall(SYS_getppid, {});
    from_stub = omfs_test_stub(SYS_getppid);
  });
  EXPECT_EQ(direct, -EPERM);
  EXPECT_EQ(from_stub, getppid());
  EXPECT_THAT(notified, ::testing::ElementsAre(SYS_getppid));
}

}  // namespace
}  // namespace omfs::migration
