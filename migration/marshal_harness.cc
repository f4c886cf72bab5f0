#include "migration/marshal_harness.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "migration/marshal_layout.h"

namespace omfs::migration {
namespace {

// The data area: in this process both sides see it at the same address.
class DataArea {
 public:
  std::span<uint8_t> span() { return {bytes_.get(), kDataAreaSize}; }
  uint64_t base() const { return reinterpret_cast<uint64_t>(bytes_.get()); }

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> bytes_{
      static_cast<uint8_t*>(std::aligned_alloc(4096, kDataAreaSize))};
};

// Numbers taken through Forward() in this process.
std::set<uint64_t>& Exercised() {
  static std::set<uint64_t> numbers;
  return numbers;
}

// When the whole program ran: every row with a pointer that may be forwarded went the whole way
// somewhere.
class Coverage : public ::testing::Environment {
 public:
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*") return;
    for (const SyscallSpec& spec : kSyscallTable) {
      const bool pointers = std::any_of(spec.args.begin(), spec.args.end(),
                                        [](const ArgSpec& a) { return IsPointer(a.kind); });
      if (spec.forwardable() && pointers) {
        EXPECT_TRUE(Exercised().contains(spec.nr)) << spec.name << " is not tested";
      }
    }
  }
};
[[maybe_unused]] const auto* const kCoverage = ::testing::AddGlobalTestEnvironment(new Coverage);

Errno Copy(uint8_t* mine, size_t size, uint64_t address, bool write) {
  if (size == 0) return Errno();
  iovec local{mine, size};
  iovec remote{reinterpret_cast<void*>(address), size};
  const ssize_t n = write ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0)
                          : process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  if (n == static_cast<ssize_t>(size)) return Errno();
  return n < 0 && errno != EFAULT ? Errno::Last() : Errno(EFAULT);
}

}  // namespace

Errno OwnMemory::Read(uint64_t address, std::span<uint8_t> to) {
  return Copy(to.data(), to.size(), address, false);
}

Errno OwnMemory::Write(uint64_t address, std::span<const uint8_t> from) {
  return Copy(const_cast<uint8_t*>(from.data()), from.size(), address, true);
}

int64_t Forward(uint64_t nr, const SyscallArgs& args, uint64_t skip, Gathered* keep) {
  static DataArea area;
  OwnMemory memory;
  const SyscallSpec& spec = kSyscallTable[nr];
  Exercised().insert(nr);
  auto gathered = Gather(spec, args, memory, skip);
  if (!gathered.ok()) {
    ADD_FAILURE() << spec.name << ": errno " << gathered.error().value;
    return 0;
  }
  if (std::holds_alternative<Recall>(*gathered)) {
    ADD_FAILURE() << spec.name << " recalled: " << std::get<Recall>(*gathered).reason;
    return 0;
  }
  const Gathered& guest = std::get<Gathered>(*gathered);
  auto call = ParseCall(Serialise(guest.call));
  if (!call.ok()) {
    ADD_FAILURE() << call.status();
    return 0;
  }
  std::fill_n(area.span().begin(), 65536, 0xa5);  // what an earlier call has left
  auto placed = Place(*call, area.base(), area.span());
  if (!placed.ok()) {
    ADD_FAILURE() << placed.status();
    return 0;
  }
  const int64_t rax = RawSyscall(placed->nr, placed->words);
  auto result = ParseResult(Serialise(Collect(*call, *placed, rax, area.span())));
  if (!result.ok()) {
    ADD_FAILURE() << result.status();
    return 0;
  }
  auto given = Scatter(guest, *result, memory);
  if (!given.ok()) {
    ADD_FAILURE() << spec.name << ": scatter errno " << given.error().value;
    return 0;
  }
  if (keep != nullptr) *keep = guest;
  return *given;
}

std::string RecallReason(uint64_t nr, const SyscallArgs& args) {
  OwnMemory memory;
  auto gathered = Gather(kSyscallTable[nr], args, memory);
  if (!gathered.ok() || !std::holds_alternative<Recall>(*gathered)) return "";
  return std::string(std::get<Recall>(*gathered).reason);
}

void MarshalTest::SetUp() {
  char name[] = "/tmp/omfs-marshal-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  dir_ = name;
  file_ = dir_ + "/file";
  std::ofstream(file_) << std::string(100000, 'x') << "end";
  fd_.reset(open(file_.c_str(), O_RDWR | O_CLOEXEC));
  dirfd_.reset(open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void MarshalTest::TearDown() { std::filesystem::remove_all(dir_); }

}  // namespace omfs::migration
