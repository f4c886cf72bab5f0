#include "migration/guest_stub.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "omfs/base/status.h"

extern "C" {
extern const char omfs_guest_stub_begin[], omfs_guest_stub_end[], omfs_guest_stub_fast[];
extern const char omfs_guest_trap_begin[], omfs_guest_trap_end[];
}

namespace omfs::migration {
namespace {

constexpr size_t kTrampolineSize = 32;
constexpr uint64_t kFirstTrampoline = kPageSize + 64;
constexpr uint64_t kReach = 1ULL << 31;

uint64_t Trampoline(uint64_t base, size_t index) { return base + kFirstTrampoline + index * kTrampolineSize; }

void Put(std::vector<std::byte>* out, std::initializer_list<int> bytes) {
  for (const int b : bytes) out->push_back(static_cast<std::byte>(b));
}

// The displacement of a jump or call whose displacement field is the next thing in `out`.
void PutRelative(std::vector<std::byte>* out, uint64_t at, uint64_t target) {
  const auto d = static_cast<uint32_t>(target - (at + out->size() + 4));
  for (int i = 0; i < 4; ++i) out->push_back(static_cast<std::byte>(d >> (8 * i)));
}

}  // namespace

bool GuestStub::Patchable(std::span<const std::byte> at_site) {
  static constexpr unsigned char kWanted[kSiteSize] = {0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
  return at_site.size() >= kSiteSize && memcmp(at_site.data(), kWanted, kSiteSize) == 0;
}

bool GuestStub::FastCall(uint64_t nr) {
  switch (nr) {
    case SYS_read:
    case SYS_write:
    case SYS_close:
    case SYS_lseek:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_readv:
    case SYS_writev:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<uint64_t> GuestStub::ChooseBase(const std::vector<const std::vector<Mapping>*>& lists) {
  // Libraries are mapped downwards from the program interpreter. Half a GiB below the lowest of them leaves room for what
  // is still to be mapped, and reaches them all.
  constexpr uint64_t kMargin = 512ULL << 20;
  uint64_t lowest = 0;
  for (const auto* maps : lists) {
    for (const Mapping& m : *maps) {
      if (m.start >= kLibraries && m.file() && (lowest == 0 || m.start < lowest)) lowest = m.start;
    }
    if (lowest != 0) break;
  }
  if (lowest == 0) return FindHole(lists, kSize);
  for (uint64_t base = PageDown(lowest - kMargin); base > lowest - 3 * kMargin; base -= kMargin / 16) {
    const bool taken = std::any_of(lists.begin(), lists.end(), [&](const auto* maps) {
      return std::any_of(maps->begin(), maps->end(),
                         [&](const Mapping& m) { return m.start < base + kSize && base < m.end; });
    });
    if (!taken) return base;
  }
  return FindHole(lists, kSize);
}

bool GuestStub::Reaches(uint64_t base, uint64_t site) {
  const uint64_t low = std::min(base, site), high = std::max(base + kSize, site);
  return high - low < kReach - kPageSize;
}

std::vector<std::byte> GuestStub::Code(uint64_t base, std::span<const uint64_t> sites) {
  std::vector<std::byte> code(kCodeSize, std::byte{0xcc});
  memcpy(code.data(), omfs_guest_stub_begin, omfs_guest_stub_end - omfs_guest_stub_begin);
  memcpy(code.data() + kPageSize, omfs_guest_trap_begin, omfs_guest_trap_end - omfs_guest_trap_begin);
  const uint64_t common = base + (omfs_guest_stub_fast - omfs_guest_stub_begin);
  for (size_t i = 0; i < sites.size() && i < kMaxSites; ++i) {
    const uint64_t at = Trampoline(base, i);
    std::vector<std::byte> t;
    Put(&t, {0x48, 0x8d, 0x64, 0x24, 0x80});                    // lea -128(%rsp), %rsp
    Put(&t, {0xe8});                                            // call common
    PutRelative(&t, at, common);
    Put(&t, {0x48, 0x8d, 0xa4, 0x24, 0x80, 0x00, 0x00, 0x00});  // lea 128(%rsp), %rsp
    Put(&t, {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff});              // cmp $-4096, %rax
    Put(&t, {0xe9});                                            // jmp site + 8
    PutRelative(&t, at, sites[i] + kSiteSize);
    memcpy(code.data() + (at - base), t.data(), t.size());
  }
  return code;
}

GuestStub::Found GuestStub::Find(TracedTask& task, const std::vector<Mapping>& maps) {
  Found found;
  std::vector<std::byte> code(kCodeSize);
  for (const Mapping& m : maps) {
    if (m.file() || m.special() || m.size() != kCodeSize || m.prot != (PROT_READ | PROT_EXEC)) continue;
    if (!task.Read(RemotePtr(m.start), code).ok()) continue;
    const size_t stub_size = omfs_guest_stub_end - omfs_guest_stub_begin;
    if (memcmp(code.data(), omfs_guest_stub_begin, stub_size) != 0) continue;
    found.base = m.start;
    for (size_t i = 0; i < kMaxSites; ++i) {
      // A trampoline ends in "jmp site + 8"; unused room holds breakpoints.
      const size_t jump = kFirstTrampoline + i * kTrampolineSize + 24;
      if (code[jump] != std::byte{0xe9}) break;
      int32_t displacement = 0;
      memcpy(&displacement, code.data() + jump + 1, 4);
      found.sites.push_back(m.start + jump + 5 + static_cast<int64_t>(displacement) - kSiteSize);
    }
    if (code == Code(found.base, found.sites)) return found;
    found = Found();
  }
  return found;
}

std::vector<std::byte> GuestStub::SiteJump(uint64_t base, size_t index, uint64_t site) {
  std::vector<std::byte> jump;
  Put(&jump, {0xe9});
  PutRelative(&jump, site, Trampoline(base, index));
  Put(&jump, {0x90, 0x90, 0x90});
  return jump;
}

}  // namespace omfs::migration
