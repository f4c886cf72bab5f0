// How marshalling treats pointers, lengths and bytes from the other node. The rows themselves are
// in marshal_files_test.cc and marshal_calls_test.cc.

#include "migration/marshal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "migration/marshal_harness.h"

namespace omfs::migration {
namespace {

// Two pages of which the second is not there.
class Edge {
 public:
  Edge() {
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + 4096, 4096, PROT_NONE);
  }
  ~Edge() { munmap(base_, 8192); }
  uint8_t* end() { return base_ + 4096; }

 private:
  uint8_t* base_;
};

TEST_F(MarshalTest, ReadsAndWritesBuffers) {
  char out[8] = "-------";
  EXPECT_EQ(Forward(SYS_write, Args(fd_.get(), "hello", 5)), 5);
  EXPECT_EQ(Forward(SYS_lseek, Args(fd_.get(), 0, SEEK_SET)), 0);
  EXPECT_EQ(Forward(SYS_read, Args(fd_.get(), out, 5)), 5);
  EXPECT_STREQ(out, "hello--");
  EXPECT_EQ(Forward(SYS_pwrite64, Args(fd_.get(), "abc", 3, 10)), 3);
  EXPECT_EQ(Forward(SYS_pread64, Args(fd_.get(), out, 3, 10)), 3);
  EXPECT_STREQ(out, "abclo--");
  EXPECT_EQ(Forward(SYS_read, Args(fd_.get(), out, 0)), 0);
  EXPECT_EQ(Forward(SYS_pread64, Args(fd_.get(), out, 5, 200000)), 0);  // end of file: untouched
  EXPECT_STREQ(out, "abclo--");
}

TEST_F(MarshalTest, ReadsAndWritesVectors) {
  char a[] = "one", b[] = "twotwo", c[] = "";
  iovec in[] = {{a, 3}, {c, 0}, {b, 6}};
  EXPECT_EQ(Forward(SYS_writev, Args(fd_.get(), in, 3)), 9);
  char x[4] = {}, y[11] = "..........";
  iovec out[] = {{x, 2}, {nullptr, 0}, {y, 10}};
  EXPECT_EQ(Forward(SYS_preadv, Args(fd_.get(), out, 3, 0, 0)), 12);
  EXPECT_STREQ(x, "on");
  EXPECT_STREQ(y, "etwotwoxxx");
  EXPECT_EQ(Forward(SYS_pwritev, Args(fd_.get(), in, 3, 100, 0)), 9);
  EXPECT_EQ(Forward(SYS_pwritev2, Args(fd_.get(), in, 3, 200, 0, 0)), 9);
  EXPECT_EQ(Forward(SYS_preadv2, Args(fd_.get(), out, 3, 200, 0, 0)), 12);
  EXPECT_EQ(Forward(SYS_lseek, Args(fd_.get(), 100000, SEEK_SET)), 100000);
  std::strcpy(y, "..........");
  EXPECT_EQ(Forward(SYS_readv, Args(fd_.get(), out, 3)), 3);  // short: only "end" is left
  EXPECT_STREQ(x, "en");
  EXPECT_STREQ(y, "d.........");
  EXPECT_EQ(Forward(SYS_readv, Args(fd_.get(), out, 1025)), -EINVAL);
  iovec negative[] = {{x, static_cast<size_t>(-1)}};
  EXPECT_EQ(Forward(SYS_readv, Args(fd_.get(), negative, 1)), -EINVAL);
  EXPECT_EQ(Forward(SYS_readv, Args(-1, negative, 1)), -EBADF);
}

TEST_F(MarshalTest, GivesTheKernelsErrorForBadPointers) {
  const uint64_t nowhere = 16;
  EXPECT_EQ(Forward(SYS_read, Args(fd_.get(), nowhere, 10)), -EFAULT);
  EXPECT_EQ(Forward(SYS_read, Args(-1, nowhere, 10)), -EBADF);
  EXPECT_EQ(Forward(SYS_write, Args(fd_.get(), nowhere, 10)), -EFAULT);
  EXPECT_EQ(Forward(SYS_write, Args(fd_.get(), nullptr, 10)), -EFAULT);
  EXPECT_EQ(Forward(SYS_read, Args(fd_.get(), nowhere, uint64_t{1} << 63)), -EFAULT);
  EXPECT_EQ(Forward(SYS_writev, Args(fd_.get(), nowhere, 2)), -EFAULT);
  EXPECT_EQ(Forward(SYS_open, Args(nowhere, O_RDONLY, 0)), -EFAULT);
  EXPECT_EQ(Forward(SYS_stat, Args(file_.c_str(), nowhere)), -EFAULT);
  EXPECT_EQ(Forward(SYS_stat, Args("/nonexistent", nowhere)), -ENOENT);
  EXPECT_EQ(Forward(SYS_fstat, Args(fd_.get(), nullptr)), -EFAULT);
  EXPECT_EQ(Forward(SYS_poll, Args(nowhere, 1, 0)), -EFAULT);
  // Memory that can be read but not written is only noticed at the end.
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_EQ(Forward(SYS_fstat, Args(fd_.get(), page)), -EFAULT);
  munmap(page, 4096);
}

TEST_F(MarshalTest, TransfersWhatLiesBeforeTheEdge) {
  Edge edge;
  std::memcpy(edge.end() - 4, "edge", 4);
  EXPECT_EQ(Forward(SYS_write, Args(fd_.get(), edge.end() - 4, 100)), 4);
  iovec v[] = {{edge.end() - 2, 2}, {edge.end() - 3, 10}};
  EXPECT_EQ(Forward(SYS_writev, Args(fd_.get(), v, 2)), 5);
  EXPECT_EQ(Forward(SYS_pread64, Args(fd_.get(), edge.end() - 7, 100, 0)), 7);
  EXPECT_EQ(std::memcmp(edge.end() - 7, "edgegedge", 7), 0);
  // A path may end right before it.
  std::memcpy(edge.end() - 5, "/tmp", 5);
  Same<struct stat>(SYS_stat, [&](struct stat* st) { return Args(edge.end() - 5, st); });
}

TEST_F(MarshalTest, CutsAndContinuesLongTransfers) {
  const size_t size = 2 * kMaxTransfer + 12345;
  std::vector<uint8_t> data(size), back(size);
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 7 + i / 251);
  auto run = [&](uint64_t nr, const SyscallArgs& args, bool fills) {
    uint64_t skip = 0, done = 0;
    for (;;) {
      Gathered g;
      const int64_t n = Forward(nr, args, skip, &g);
      EXPECT_GT(n, 0);
      done = skip + n;
      const auto next = NextSkip(g, skip, n, fills);
      if (!next) return done;
      skip = *next;
    }
  };
  EXPECT_EQ(run(SYS_pwrite64, Args(fd_.get(), data.data(), size, 0), false), size);
  EXPECT_EQ(run(SYS_pread64, Args(fd_.get(), back.data(), size, 0), true), size);
  EXPECT_EQ(data, back);
  EXPECT_EQ(run(SYS_pread64, Args(fd_.get(), back.data(), size, 0), false), kMaxTransfer);

  std::fill(back.begin(), back.end(), 0);
  iovec v[] = {{back.data(), 700000},
               {back.data() + 700000, 700001},
               {back.data() + 1400001, size - 1400001}};
  EXPECT_EQ(run(SYS_preadv, Args(fd_.get(), v, 3, 0, 0), true), size);
  EXPECT_EQ(data, back);
  v[0].iov_base = data.data(), v[1].iov_base = data.data() + 700000,
  v[2].iov_base = data.data() + 1400001;
  EXPECT_EQ(run(SYS_pwritev, Args(fd_.get(), v, 3, 5, 0), false), size);
  EXPECT_EQ(run(SYS_pread64, Args(fd_.get(), back.data(), size, 5), true), size);
  EXPECT_EQ(data, back);
}

TEST_F(MarshalTest, KeepsTheAlignmentOfDirectIo) {
  ScopedFd direct(open(file_.c_str(), O_RDWR | O_DIRECT));
  if (!direct) GTEST_SKIP() << "no O_DIRECT on /tmp";
  auto* buffer = static_cast<uint8_t*>(std::aligned_alloc(4096, 8192));
  EXPECT_EQ(Forward(SYS_pread64, Args(direct.get(), buffer, 8192, 4096)), 8192);
  iovec v[] = {{buffer, 4096}, {buffer + 4096, 4096}};
  EXPECT_EQ(Forward(SYS_preadv, Args(direct.get(), v, 2, 0, 0)), 8192);
  EXPECT_EQ(Forward(SYS_pwritev, Args(direct.get(), v, 2, 0, 0)), 8192);
  std::free(buffer);
}

TEST_F(MarshalTest, RefusesWhatRunsElsewhere) {
  EXPECT_NE(RecallReason(SYS_fork, Args()), "");
  EXPECT_NE(RecallReason(SYS_io_uring_setup, Args(8, 0)), "");
  EXPECT_NE(RecallReason(SYS_futex, Args()), "");  // Local: never gathered
  ForwardCall call;
  call.nr = SYS_fork;
  EXPECT_FALSE(ParseCall(Serialise(call)).ok());
  call.nr = 400;
  EXPECT_FALSE(ParseCall(Serialise(call)).ok());
  call.nr = 60000;
  EXPECT_FALSE(ParseCall(Serialise(call)).ok());
}

TEST_F(MarshalTest, ParsersRefuseWhatDoesNotFitTheRow) {
  OwnMemory memory;
  char buffer[100];
  auto gathered = Gather(kSyscallTable[SYS_read], Args(fd_.get(), buffer, 100), memory);
  const ForwardCall good = std::get<Gathered>(*gathered).call;
  EXPECT_TRUE(ParseCall(Serialise(good)).ok());
  auto refused = [&](const std::function<void(ForwardCall&)>& change) {
    ForwardCall bad = good;
    change(bad);
    return !ParseCall(Serialise(bad)).ok();
  };
  EXPECT_TRUE(refused([](auto& c) { c.words[2] = 101; }));  // longer than the room
  EXPECT_TRUE(refused([](auto& c) { c.parts[0].capacity = 99; }));
  EXPECT_TRUE(refused([](auto& c) { c.words[1] = 0x1000; }));  // a pointer of the sender's choice
  EXPECT_TRUE(refused([](auto& c) {
    c.parts.clear();
    c.words[1] = 0x1000;
  }));
  EXPECT_TRUE(refused([](auto& c) { c.parts[0].arg = 0; }));  // a descriptor is no pointer
  EXPECT_TRUE(refused([](auto& c) { c.parts[0].align_log2 = 20; }));
  EXPECT_TRUE(refused([](auto& c) { c.words[5] = 1; }));  // more arguments than the call has
  EXPECT_TRUE(refused([](auto& c) { c.data.push_back(0); }));
  EXPECT_TRUE(refused([](auto& c) { c.parts[0].shape = CallPart::Shape::kVector; }));
  std::vector<uint8_t> bytes = Serialise(good);
  bytes[0] = 2;
  EXPECT_FALSE(ParseCall(bytes).ok());  // a later version
  const std::vector<uint8_t> whole = Serialise(good);
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(ParseCall(std::span<const uint8_t>(whole).first(n)).ok());

  // A result that says less or more than the call gives is not written.
  const Gathered& g = std::get<Gathered>(*gathered);
  ForwardResult result;
  result.rax = 3;
  EXPECT_EQ(Scatter(g, result, memory).error(), Errno(EPROTO));
  result.parts = {{1, 0, 4}};
  result.data.resize(4);
  EXPECT_EQ(Scatter(g, result, memory).error(), Errno(EPROTO));
  result.parts = {{2, 0, 3}};
  EXPECT_EQ(Scatter(g, result, memory).error(), Errno(EPROTO));
  result.parts = {{1, 0, 3}};
  EXPECT_TRUE(Scatter(g, result, memory).ok());
}

}  // namespace
}  // namespace omfs::migration
