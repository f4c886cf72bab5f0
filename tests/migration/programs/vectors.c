// Scatter and gather: readv, writev, preadv, pwritev and the second versions, with empty, partial and bad parts.
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>

#include "probe.h"

void Program(void) {
  char a[4] = "", b[8] = "", c[64] = "";
  const int fd = (int)SHOW(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
  struct iovec out[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
  SHOW(writev(fd, out, 4));
  MovePoint();
  SHOW(writev(fd, out, 0));
  SHOW(pwritev(fd, out, 2, 20));
  SHOW(pwritev2(fd, out + 2, 2, -1, 0));
  SHOW(lseek(fd, 0, SEEK_CUR));
  ShowFile("file");

  SHOW(lseek(fd, 0, SEEK_SET));
  struct iovec in[] = {{a, sizeof a}, {b, sizeof b}, {c, sizeof c}};
  SHOW(readv(fd, in, 3));
  ShowBytes("a", a, sizeof a);
  ShowBytes("b", b, sizeof b);
  ShowBytes("c", c, sizeof c);
  MovePoint();
  memset(c, '.', sizeof c);
  SHOW(preadv(fd, in, 3, 19));
  ShowBytes("a", a, sizeof a);
  ShowBytes("c", c, sizeof c);
  SHOW(preadv2(fd, in, 2, 4, 0));
  ShowBytes("b", b, sizeof b);
  SHOW(preadv(fd, in, 3, 1000));
  SHOW(preadv(fd, in, 3, -5));
  volatile int strange_count = -1;
  SHOW(readv(fd, in, strange_count));
  strange_count = IOV_MAX + 1;
  SHOW(readv(fd, in, strange_count));

  struct iovec bad[] = {{c, 4}, {BadAddress(), 4}};
  SHOW(lseek(fd, 0, SEEK_SET));
  SHOW(readv(fd, bad + 1, 1));
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(writev(fd, bad + 1, 1));
  SHOW(readv(fd, BadAddress(), 1));
  static struct iovec many[IOV_MAX];
  static char bytes[IOV_MAX];
  for (int i = 0; i < IOV_MAX; ++i) {
    bytes[i] = (char)('a' + i % 26);
    many[i] = (struct iovec){bytes + i, 1};
  }
  MovePoint();
  SHOW(pwritev(fd, many, IOV_MAX, 0));
  memset(bytes, 0, sizeof bytes);
  SHOW(preadv(fd, many, IOV_MAX, 0));
  Say("checksum %016lx", (unsigned long)Checksum(bytes, sizeof bytes));
  SHOW(close(fd));
  SHOW(readv(fd, in, 1));
  SHOW(unlink("file"));
}
