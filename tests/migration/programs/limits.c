// RLIMIT_FSIZE counts away from home too: a write is cut, the next fails with EFBIG and SIGXFSZ.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "probe.h"

static volatile sig_atomic_t count;
static void Count(int number) { ++count; }

void Program(void) {
  static char block[4096];
  struct rlimit limit, old;
  count = 0;
  signal(SIGXFSZ, Count);
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const int fd = (int)SHOW(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
  limit = (struct rlimit){10000, old.rlim_max};
  SHOW(setrlimit(RLIMIT_FSIZE, &limit));
  MovePoint();
  SHOW(write(fd, block, 4096));
  SHOW(write(fd, block, 4096));
  SHOW(write(fd, block, 4096));
  SHOW(write(fd, block, 4096));
  Say("signals %d", count);
  SHOW(ftruncate(fd, 20000));
  Say("signals %d", count);
  MovePoint();
  SHOW(getrlimit(RLIMIT_FSIZE, &limit));
  Say("limit %ld", (long)limit.rlim_cur);
  SHOW(setrlimit(RLIMIT_FSIZE, &old));
  SHOW(write(fd, block, 4096));
  SHOW(lseek(fd, 0, SEEK_END));
  SHOW(close(fd));
  SHOW(unlink("file"));
  signal(SIGXFSZ, SIG_DFL);
}
