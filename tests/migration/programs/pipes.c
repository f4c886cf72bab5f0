// A filter: standard input and output are pipes at home; waiting with poll and select, and pipes of its own.
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#include "probe.h"

void Program(void) {
  static char buffer[65536];
  static bool drained;
  uint64_t total = 0, sum = 0;
  int moves = 0;
  while (!drained) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    REQUIRE(poll(&input, 1, -1) == 1);
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    REQUIRE(n >= 0);
    drained = n == 0;
    for (ssize_t i = 0; i < n; ++i) sum = sum * 31 + (unsigned char)buffer[i];
    total += (uint64_t)n;
    if (moves < 3 && total > 100000 * (uint64_t)moves) {
      ++moves;
      MovePoint();
    }
  }
  Say("input: %lu bytes, sum %016lx", (unsigned long)total, (unsigned long)sum);
  for (int i = 0; i < 2000; ++i) Say("%d bottles of beer on the wall, %d bottles of beer", i, i);

  int ends[2], available;
  SHOW(pipe2(ends, O_NONBLOCK));
  SHOW(read(ends[0], buffer, 1));
  SHOW(write(ends[1], "hello", 5));
  MovePoint();
  SHOW(ioctl(ends[0], FIONREAD, &available));
  Say("available %d", available);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  struct timeval wait = {1, 0};
  SHOW(select(ends[0] + 1, &set, NULL, NULL, &wait));
  SHOW(read(ends[0], buffer, 100));
  FD_SET(ends[0], &set);
  wait = (struct timeval){0, 10000};
  SHOW(select(ends[0] + 1, &set, NULL, NULL, &wait));
  SHOW(fcntl(ends[0], F_SETFL, 0));
  SHOW(close(ends[1]));
  SHOW(read(ends[0], buffer, 1));
  SHOW(close(ends[0]));

  const int event = (int)SHOW(eventfd(3, EFD_NONBLOCK));
  uint64_t value = 4;
  SHOW(write(event, &value, 8));
  MovePoint();
  SHOW(read(event, &value, 8));
  Say("event %lu", (unsigned long)value);
  SHOW(read(event, &value, 8));
  SHOW(close(event));
  // Two parts of a file polled: always ready.
  WriteFile("file", "x");
  struct pollfd files[2] = {{open("file", O_RDONLY), POLLIN, 0}, {-1, POLLIN, 0}};
  SHOW(poll(files, 2, 1000));
  SHOW(close(files[0].fd));
  SHOW(unlink("file"));
}
