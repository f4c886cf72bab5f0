// RemotePtr: an address in another process. It is a type of its own so that dereferencing it, or mixing it up with
// an address of this process, does not compile.
#pragma once

#include <compare>
#include <cstdint>

namespace omfs::migration {

struct RemotePtr {
  uint64_t value = 0;
  constexpr RemotePtr() = default;
  constexpr explicit RemotePtr(uint64_t v) : value(v) {}
  constexpr bool null() const { return value == 0; }
  friend constexpr RemotePtr operator+(RemotePtr p, uint64_t n) { return RemotePtr(p.value + n); }
  friend constexpr uint64_t operator-(RemotePtr a, RemotePtr b) { return a.value - b.value; }
  friend constexpr auto operator<=>(RemotePtr, RemotePtr) = default;
};

inline constexpr uint64_t kPageSize = 4096;
constexpr uint64_t PageDown(uint64_t v) { return v & ~(kPageSize - 1); }
constexpr uint64_t PageUp(uint64_t v) { return (v + kPageSize - 1) & ~(kPageSize - 1); }

}  // namespace omfs::migration
