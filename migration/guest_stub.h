// The guest's stub and the fast path of file calls.
//
// A call that the filter notifies costs two switches to the keeper. For reading and writing an open file of this node that
// is most of the call's time. So a `syscall` instruction that is seen making such calls is replaced by a jump:
//
//   site:        jmp trampoline                   (was: syscall; cmp $-4096, %rax - eight bytes)
//   trampoline:  leave the red zone; call common part; come back; cmp $-4096, %rax; jmp site + 8
//   common part: make the call from the stub, where the filter lets it pass;
//                EBADF (for lseek ESPIPE) means that the descriptor may be no file of this node but a placeholder:
//                then make it again from the second page, where it is notified as before
//
// No table is consulted: the guest's own descriptor table tells the two kinds apart, so the two can never disagree.
// Only sites with exactly these eight bytes are taken - nearly every wrapper of the C library has them, and nothing jumps
// between a system call and the test of its result. A site is replaced while its thread stands in it (notified, then
// stopped) and then issues its call anew.
//
// The stub stays in the process when it goes home, at the same address, and the sites stay as they are: signal frames may
// hold addresses in it. Without a filter both kinds of call are simply made. The image carries the sites; the pages are made
// anew from them at every place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "migration/process_maps.h"
#include "migration/remote_ptr.h"
#include "migration/traced_task.h"

namespace omfs::migration {

class GuestStub {
 public:
  static constexpr uint64_t kCodeSize = 2 * kPageSize;   // allowed page, trapping page with the trampolines
  static constexpr uint64_t kSize = 8 * kPageSize;       // with room for the keeper's own use while away
  static constexpr size_t kMaxSites = 120;
  // Where x86-64 Linux maps libraries: above every program's own text.
  static constexpr uint64_t kLibraries = 0x7f0000000000;

  // What stands at a site before and after.
  static constexpr size_t kSiteSize = 8;
  static bool Patchable(std::span<const std::byte> at_site);
  // Calls of which sites are replaced.
  static bool FastCall(uint64_t nr);

  // An address for the stub, free in `maps` and within reach of the libraries there and of those still to come.
  static absl::StatusOr<uint64_t> ChooseBase(const std::vector<const std::vector<Mapping>*>& maps);

  // The stub that a process has from an earlier move. Base 0: none, or one of another build, which is then left alone: it
  // works as any code of the program's does.
  struct Found {
    uint64_t base = 0;
    std::vector<uint64_t> sites;
  };
  static Found Find(TracedTask& task, const std::vector<Mapping>& maps);

  // Whether a site at this address can jump to the stub.
  static bool Reaches(uint64_t base, uint64_t site);
  // The two code pages for these sites.
  static std::vector<std::byte> Code(uint64_t base, std::span<const uint64_t> sites);
  // The jump that replaces the site with this index.
  static std::vector<std::byte> SiteJump(uint64_t base, size_t index, uint64_t site);
};

}  // namespace omfs::migration
