// The descriptor table: lowest free numbers, shared and separate offsets, close-on-exec, duplicates across kinds
// (a descriptor of a file on /mfs replaced by one of a file at home, and the other way round).
#include <fcntl.h>

#include "probe.h"

static void ShowFlags(int fd) {
  Say("descriptor %d: cloexec %d, access %d, append %d", fd, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_ACCMODE,
      (fcntl(fd, F_GETFL) & O_APPEND) != 0);
}

void Program(void) {
  char buffer[16] = "";
  WriteFile("here", "0123456789abcdef");
  WriteFile(AtHome("there"), "ABCDEFGHIJKLMNOP");

  const int here = (int)SHOW(open("here", O_RDWR));
  const int there = (int)SHOW(open(AtHome("there"), O_RDWR | O_CLOEXEC));
  const int copy = (int)SHOW(dup(here));
  const int other = (int)SHOW(open("here", O_RDONLY | O_APPEND));
  SHOW(lseek(here, 4, SEEK_SET));
  MovePoint();
  SHOW(lseek(copy, 0, SEEK_CUR));
  SHOW(lseek(other, 0, SEEK_CUR));
  SHOW(read(copy, buffer, 3));
  ShowBytes("through the copy", buffer, 3);
  SHOW(lseek(here, 0, SEEK_CUR));
  SHOW(read(there, buffer, 5));
  ShowBytes("at home", buffer, 5);
  ShowFlags(here);
  ShowFlags(there);
  ShowFlags(other);

  SHOW(close(here));
  SHOW(fcntl(copy, F_DUPFD, 20));
  SHOW(fcntl(there, F_DUPFD_CLOEXEC, 20));
  SHOW(dup3(other, 30, O_CLOEXEC));
  SHOW(dup3(other, other, 0));
  SHOW(dup2(other, other));
  SHOW(dup2(99, 5));
  MovePoint();
  ShowFlags(20);
  ShowFlags(21);
  ShowFlags(30);
  SHOW(lseek(20, 0, SEEK_CUR));
  SHOW(open("here", O_RDONLY));  // the lowest free number is the one closed above

  // Across kinds.
  SHOW(dup2(there, copy));
  SHOW(read(copy, buffer, 4));
  ShowBytes("copy is now at home", buffer, 4);
  SHOW(dup2(30, there));
  MovePoint();
  SHOW(read(there, buffer, 4));
  ShowBytes("there is now here", buffer, 4);
  SHOW(lseek(30, 0, SEEK_CUR));
  SHOW(read(21, buffer, 4));
  ShowBytes("the duplicate at home goes on", buffer, 4);
  SHOW(fcntl(there, F_SETFD, FD_CLOEXEC));
  SHOW(fcntl(there, F_SETFL, O_RDONLY));
  ShowFlags(there);
  ShowFlags(30);
  SHOW(read(99, buffer, 1));
  SHOW(close(99));

  SHOW(close_range(3, ~0U, 0));
  SHOW(open(AtHome("there"), O_RDONLY));
  SHOW(open("here", O_RDONLY));
  MovePoint();
  SHOW(read(3, buffer, 2));
  ShowBytes("3", buffer, 2);
  SHOW(read(4, buffer, 2));
  ShowBytes("4", buffer, 2);
  close(3);
  close(4);
  SHOW(unlink("here"));
  SHOW(unlink(AtHome("there")));
}
