// Positions and sizes: reading and writing at offsets, holes, truncation both ways, preallocation, 64-bit offsets,
// large transfers.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "probe.h"

static void ShowSize(int fd) {
  struct stat status;
  REQUIRE(fstat(fd, &status) == 0);
  Say("size %ld", (long)status.st_size);
}

void Program(void) {
  char buffer[64] = "";
  const int fd = (int)SHOW(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
  SHOW(write(fd, "hello world", 11));
  SHOW(pwrite(fd, "HELLO", 5, 100000));
  ShowSize(fd);
  MovePoint();
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(pread(fd, buffer, 5, 99998));
  ShowBytes("across the hole's end", buffer, 5);
  SHOW(pread(fd, buffer, 10, 100003));
  ShowBytes("at the end", buffer, 2);
  SHOW(pread(fd, buffer, 10, 200000));
  SHOW(lseek(fd, 0, SEEK_DATA));
  SHOW(lseek(fd, 50, SEEK_HOLE));
  SHOW(lseek(fd, 100000, SEEK_DATA));
  SHOW(lseek(fd, 100005, SEEK_DATA));
  SHOW(lseek(fd, -1, SEEK_SET));
  SHOW(lseek(fd, -5, SEEK_END));
  SHOW(read(fd, buffer, 10));
  SHOW(lseek(fd, 0, 77));

  SHOW(ftruncate(fd, 5));
  ShowSize(fd);
  MovePoint();
  SHOW(read(fd, buffer, 10));
  SHOW(ftruncate(fd, 8));
  SHOW(pread(fd, buffer, 10, 0));
  ShowBytes("grown", buffer, 8);
  SHOW(truncate("file", 3));
  ShowSize(fd);
  SHOW(truncate("missing", 3));
  SHOW(ftruncate(fd, -1));
  SHOW(fallocate(fd, 0, 0, 20000));
  ShowSize(fd);
  SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 20000, 20000));
  ShowSize(fd);
  SHOW(pwrite(fd, "0123456789", 10, 4094));
  MovePoint();
  SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
  SHOW(pread(fd, buffer, 10, 4094));
  ShowBytes("punched", buffer, 10);

  SHOW(pwrite(fd, "far", 3, 5000000000L));
  ShowSize(fd);
  SHOW(lseek(fd, 5000000000L, SEEK_SET));
  MovePoint();
  SHOW(read(fd, buffer, 10));
  SHOW(fsync(fd));
  SHOW(fdatasync(fd));
  SHOW(ftruncate(fd, 0));

  static char large[3 << 20];
  uint64_t state = 42;
  for (size_t i = 0; i < sizeof large; i += 8) {
    const uint64_t word = NextRandom(&state);
    memcpy(large + i, &word, 8);
  }
  SHOW(pwrite(fd, large, sizeof large, 1));
  const uint64_t sum = Checksum(large, sizeof large);
  memset(large, 0, sizeof large);
  MovePoint();
  SHOW(pread(fd, large, sizeof large, 1));
  Say("the same: %d", Checksum(large, sizeof large) == sum);
  SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
  SHOW(readahead(fd, 0, 4096));
  SHOW(close(fd));
  SHOW(unlink("file"));
}
