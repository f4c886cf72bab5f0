// CRC32C (Castagnoli), the optional checksum of a message's metadata and payload (OMFS_F_CRC).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace omfs {

// The checksum of bytes; to go on over several pieces pass the result for the bytes before as
// `before`.
uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace omfs
