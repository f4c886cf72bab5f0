// The fast path, natively: without a filter a replaced site must do what the instruction did.
#include "migration/guest_stub.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "omfs/base/scoped_fd.h"

namespace omfs::migration {
namespace {

// A wrapper with the C library's eight bytes: mov nr, %eax; syscall; cmp $-4096, %rax; ret
struct Wrapper {
  explicit Wrapper(uint32_t nr) {
    page = static_cast<unsigned char*>(
        mmap(nullptr, 3 * kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const unsigned char code[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0xc3};
    memcpy(page, code, sizeof code);
    memcpy(page + 1, &nr, 4);
    const uint64_t site = reinterpret_cast<uint64_t>(page) + 5, base = reinterpret_cast<uint64_t>(page) + kPageSize;
    EXPECT_TRUE(GuestStub::Patchable(std::as_bytes(std::span(page + 5, 8))));
    EXPECT_TRUE(GuestStub::Reaches(base, site));
    const auto stub = GuestStub::Code(base, std::span(&site, 1));
    memcpy(page + kPageSize, stub.data(), stub.size());
    const auto jump = GuestStub::SiteJump(base, 0, site);
    memcpy(page + 5, jump.data(), jump.size());
  }
  ~Wrapper() { munmap(page, 3 * kPageSize); }
  long operator()(long a, long b = 0, long c = 0, long d = 0) const {
    return reinterpret_cast<long (*)(long, long, long, long)>(page)(a, b, c, d);
  }
  unsigned char* page;
};

TEST(GuestStub, AReplacedSiteReadsAndWrites) {
  const ScopedFd fd(memfd_create("x", 0));
  const Wrapper write_call(SYS_write), read_call(SYS_read), seek_call(SYS_lseek);
  EXPECT_EQ(write_call(fd.get(), reinterpret_cast<long>("hello"), 5), 5);
  EXPECT_EQ(seek_call(fd.get(), 1, SEEK_SET), 1);
  char buffer[8] = {};
  EXPECT_EQ(read_call(fd.get(), reinterpret_cast<long>(buffer), 8), 4);
  EXPECT_STREQ(buffer, "ello");
}

TEST(GuestStub, ErrorsComeThrough) {
  const Wrapper read_call(SYS_read), close_call(SYS_close);
  EXPECT_EQ(read_call(-1), -EBADF);
  EXPECT_EQ(close_call(-1), -EBADF);
  const ScopedFd fd(memfd_create("x", 0));
  EXPECT_EQ(read_call(fd.get(), 8, 8), 0);
  EXPECT_EQ(write(fd.get(), "x", 1), 1);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(read_call(fd.get(), 8, 8), -EFAULT);
}

TEST(GuestStub, CloseClosesAFileAndFindsAPlaceholder) {
  const Wrapper close_call(SYS_close);
  const int fd = memfd_create("x", 0);
  EXPECT_EQ(close_call(fd), 0);
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
  // Without a filter the second, trapping call simply closes the placeholder too.
  const int placeholder = open("/", O_PATH);
  EXPECT_EQ(close_call(placeholder), 0);
  EXPECT_EQ(fcntl(placeholder, F_GETFD), -1);
}

TEST(GuestStub, OtherCallsPassThroughTheTrap) {
  const Wrapper getpid_call(SYS_getpid), dup_call(SYS_dup);
  EXPECT_EQ(getpid_call(0), getpid());
  const int copy = static_cast<int>(dup_call(2));
  EXPECT_GT(copy, 2);
  close(copy);
}

}  // namespace
}  // namespace omfs::migration
