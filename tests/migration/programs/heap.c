// Memory: a large heap with known contents, grown by brk and mmap before and after moves, shrunk, moved, given
// back in part; the stack; uninitialised and initialised data.
#include <stdlib.h>
#include <sys/mman.h>

#include "probe.h"

enum { kMegabyte = 1 << 20 };
static char zeroes[4 * kMegabyte];
static int initialised = 4711;

static void Fill(void* memory, size_t length, uint64_t seed) {
  uint64_t* words = memory;
  for (size_t i = 0; i < length / 8; ++i) words[i] = NextRandom(&seed);
}

static bool Filled(const void* memory, size_t length, uint64_t seed) {
  const uint64_t* words = memory;
  for (size_t i = 0; i < length / 8; ++i)
    if (words[i] != NextRandom(&seed)) return false;
  return true;
}

static bool Zero(const char* memory, size_t length) {
  for (size_t i = 0; i < length; ++i)
    if (memory[i] != 0) return false;
  return true;
}

static uint64_t Deep(int depth) {
  volatile char frame[2000];
  frame[0] = (char)depth;
  if (depth == 0) {
    MovePoint();
    return 1;
  }
  const uint64_t below = Deep(depth - 1);
  return below * 31 + (uint64_t)frame[0];
}

void Program(void) {
  char* mapped = mmap(NULL, 48 * kMegabyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapped != MAP_FAILED);
  Fill(mapped, 48 * kMegabyte, 1);
  void* pieces[1000];
  for (int i = 0; i < 1000; ++i) {
    pieces[i] = malloc(1000 + 16 * (size_t)i);
    Fill(pieces[i], 1000, (uint64_t)i + 1);
  }
  char* end = sbrk(kMegabyte);
  REQUIRE(end != (void*)-1);
  Fill(end, kMegabyte, 99);
  zeroes[kMegabyte] = 1;
  ++initialised;
  MovePoint();
  Say("mapped %d", Filled(mapped, 48 * kMegabyte, 1));
  Say("break %d", Filled(end, kMegabyte, 99));
  bool all = true;
  for (int i = 0; i < 1000; ++i) all &= Filled(pieces[i], 1000, (uint64_t)i + 1);
  Say("pieces %d", all);
  Say("data %d", initialised);
  Say("zeroes %d %d", zeroes[kMegabyte], Zero(zeroes + kMegabyte + 1, 2 * kMegabyte));
  SHOW(madvise(mapped, 16 * kMegabyte, MADV_DONTNEED));
  SHOW(munmap(mapped + 20 * kMegabyte, 4 * kMegabyte));
  SHOW(mprotect(mapped + 30 * kMegabyte, kMegabyte, PROT_READ));
  char* moved = mremap(mapped + 40 * kMegabyte, 8 * kMegabyte, 12 * kMegabyte, MREMAP_MAYMOVE);
  REQUIRE(moved != MAP_FAILED);
  char* more = sbrk(kMegabyte);
  Fill(more, kMegabyte, 98);
  char* late = mmap(NULL, 8 * kMegabyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(late != MAP_FAILED);
  Fill(late, 8 * kMegabyte, 3);
  MovePoint();
  Say("given back %d", Zero(mapped, 16 * kMegabyte));
  Say("break again %d, continuous %d", Filled(more, kMegabyte, 98), more == end + kMegabyte);
  Say("late %d", Filled(late, 8 * kMegabyte, 3));
  Say("grown part %d", Zero(moved + 8 * kMegabyte, 4 * kMegabyte));
  Say("kept %016lx", (unsigned long)(Checksum(mapped + 24 * kMegabyte, 16 * kMegabyte) ^ Checksum(moved, 8 * kMegabyte)));
  unsigned char resident[1];
  SHOW(mincore(mapped + 20 * kMegabyte, 4096, resident));
  Say("depth %016lx", (unsigned long)Deep(1500));
  for (int i = 0; i < 1000; ++i) free(pieces[i]);
  initialised = 4711;
  memset(zeroes, 0, sizeof zeroes);
  SHOW(munmap(mapped, 40 * kMegabyte));
  SHOW(munmap(moved, 12 * kMegabyte));
  SHOW(munmap(late, 8 * kMegabyte));
}
