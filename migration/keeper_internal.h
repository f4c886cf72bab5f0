// Internal to the keeper: the guest's memory as the marshalling sees it.
#pragma once

#include <sys/uio.h>

#include <cerrno>

#include "migration/keeper.h"
#include "migration/marshal.h"

namespace omfs::migration {

// The memory of the waiting guest, by process_vm_readv/writev: unlike /proc/PID/mem they respect the protection of the
// pages, so that a bad pointer is one here too.
class Keeper::ProcessMemory : public GuestMemory {
 public:
  explicit ProcessMemory(pid_t pid) : pid_(pid) {}
  Errno Read(uint64_t address, std::span<uint8_t> to) override {
    const iovec local{to.data(), to.size()}, remote{reinterpret_cast<void*>(address), to.size()};
    return Check(process_vm_readv(pid_, &local, 1, &remote, 1, 0), to.size());
  }
  Errno Write(uint64_t address, std::span<const uint8_t> from) override {
    const iovec local{const_cast<uint8_t*>(from.data()), from.size()},
        remote{reinterpret_cast<void*>(address), from.size()};
    return Check(process_vm_writev(pid_, &local, 1, &remote, 1, 0), from.size());
  }

 private:
  static Errno Check(ssize_t n, size_t want) {
    if (n == static_cast<ssize_t>(want)) return Errno();
    return n < 0 ? Errno::Last() : Errno(EFAULT);
  }
  pid_t pid_;
};

// Memory of the keeper's own, for calls it makes at home: addresses are offsets + kBase in one buffer.
class OwnMemory : public GuestMemory {
 public:
  static constexpr uint64_t kBase = 0x10000;
  explicit OwnMemory(size_t size) : bytes_(size) {}
  uint64_t Put(const std::string& s) {  // with its NUL
    const uint64_t at = used_;
    std::copy(s.begin(), s.end(), bytes_.begin() + at);
    bytes_[at + s.size()] = 0;
    used_ = (at + s.size() + 16) & ~15ULL;
    return kBase + at;
  }
  uint64_t Reserve(size_t size) {
    const uint64_t at = used_;
    used_ = (at + size + 15) & ~15ULL;
    return kBase + at;
  }
  const uint8_t* At(uint64_t address) const { return bytes_.data() + (address - kBase); }
  Errno Read(uint64_t address, std::span<uint8_t> to) override {
    if (address < kBase || address - kBase + to.size() > bytes_.size()) return Errno(EFAULT);
    std::copy_n(bytes_.begin() + (address - kBase), to.size(), to.begin());
    return Errno();
  }
  Errno Write(uint64_t address, std::span<const uint8_t> from) override {
    if (address < kBase || address - kBase + from.size() > bytes_.size()) return Errno(EFAULT);
    std::copy(from.begin(), from.end(), bytes_.begin() + (address - kBase));
    return Errno();
  }

 private:
  std::vector<uint8_t> bytes_;
  uint64_t used_ = 0;
};

}  // namespace omfs::migration
