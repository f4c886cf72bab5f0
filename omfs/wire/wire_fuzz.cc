// Fuzz target: bytes are taken as a message from the network - a header, then metadata of the
// header's operation - and as the metadata of every operation in turn.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "omfs/wire/attr.h"
#include "omfs/wire/crc32c.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const std::byte> in(reinterpret_cast<const std::byte*>(data), size);
  omfs::Crc32c(in);
  if (in.size() < OMFS_HDR_SIZE) return 0;
  omfs::Header h;
  if (omfs::Header::Unpack(in.first<OMFS_HDR_SIZE>(), &h).ok()) {
    // Whatever is accepted must mean the same bytes again.
    std::byte again[OMFS_HDR_SIZE];
    h.Pack(again);
    omfs::Header h2;
    if (!omfs::Header::Unpack(again, &h2).ok() || !(h2 == h)) std::abort();
  }
  const auto meta = in.subspan(OMFS_HDR_SIZE);
  omfs::CheckRequest(h.op, meta, h.payload_len).IgnoreError();
  for (uint16_t op = 0; op < 80; ++op) omfs::CheckRequest(op, meta, 0).IgnoreError();

  omfs::MetaReader reader(meta);
  omfs_attr attr;
  if (reader.Pod(&attr).ok()) {
    (void)omfs::StatxFrom(attr);
    (void)omfs::StatFrom(attr);
  }
  return 0;
}
