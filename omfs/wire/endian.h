// Integers of the wire are little-endian. Le16/32/64 convert in both directions: host order <->
// wire order.
#pragma once

#include <endian.h>

#include <cstdint>

namespace omfs {

inline uint16_t Le16(uint16_t v) { return htole16(v); }
inline uint32_t Le32(uint32_t v) { return htole32(v); }
inline uint64_t Le64(uint64_t v) { return htole64(v); }

}  // namespace omfs
