// Caps as the client core passes them on: what a call wants, and what its reply allows. See "Caps"
// in proto/omfs_wire.h.
#pragma once

#include <compare>
#include <cstdint>

#include "proto/omfs_wire.h"

namespace omfs {

// When a fact was true at its owner. Facts of another generation (Link) than the present one are
// worthless.
struct CapStamp {
  uint64_t generation = 0;
  uint64_t seq = 0;
  friend auto operator<=>(const CapStamp&, const CapStamp&) = default;
};

// Given to a call of NodeClient that may bring caps with it; null where none are wanted.
struct CapTerms {
  // In: OMFS_CAPS(object, directory).
  uint32_t wanted = 0;
  // Out, also when the call ended with the owner's error. Without an answer of the owner: 0.
  uint32_t held = 0;  // the reply's facts about these may be cached, under `stamp`
  CapStamp stamp;

  bool object(uint32_t caps) const { return (held & caps) == caps; }
  bool directory(uint32_t caps) const { return (held >> 16 & caps) == caps; }
};

// Of a whole `struct stat`, as a kernel caches it.
inline constexpr uint32_t kAttributeCaps = OMFS_CAP_A | OMFS_CAP_L | OMFS_CAP_F;

}  // namespace omfs
