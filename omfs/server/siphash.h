// SipHash-2-4 (Aumasson, Bernstein, 2012): a keyed hash that cannot be forged without the key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace omfs {

uint64_t SipHash(const std::array<uint8_t, 16>& key, std::span<const std::byte> bytes);

}  // namespace omfs
