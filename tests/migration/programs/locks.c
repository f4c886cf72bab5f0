// Locks: flock and the two kinds of record locks, held across moves.
#include <fcntl.h>
#include <sys/file.h>

#include "probe.h"

static int Lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  const int result = fcntl(fd, command, &lock);
  if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK))
    Say("the lock in the way: %s", lock.l_type == F_UNLCK ? "none" : lock.l_type == F_WRLCK ? "write" : "read");
  return result;
}

void Program(void) {
  WriteFile("file", "some text to lock");
  const int a = (int)SHOW(open("file", O_RDWR));
  const int b = (int)SHOW(open("file", O_RDWR));
  SHOW(flock(a, LOCK_EX));
  MovePoint();
  SHOW(flock(b, LOCK_EX | LOCK_NB));
  SHOW(flock(a, LOCK_SH));
  SHOW(flock(b, LOCK_SH | LOCK_NB));
  MovePoint();
  SHOW(flock(a, LOCK_EX | LOCK_NB));
  SHOW(flock(b, LOCK_UN));
  SHOW(flock(a, LOCK_EX | LOCK_NB));
  SHOW(flock(a, LOCK_UN));

  SHOW(Lock(a, F_SETLK, F_WRLCK, 0, 5));
  SHOW(Lock(b, F_GETLK, F_WRLCK, 0, 5));  // one's own locks are never in the way
  SHOW(Lock(a, F_SETLK, F_UNLCK, 0, 0));
  SHOW(Lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
  MovePoint();
  SHOW(Lock(b, F_OFD_SETLK, F_WRLCK, 3, 5));
  SHOW(Lock(b, F_OFD_GETLK, F_RDLCK, 4, 1));
  SHOW(Lock(b, F_OFD_SETLK, F_WRLCK, 5, 5));
  SHOW(close(a));
  // Waits, because FUSE tells of the end of an open file (RELEASE) without making close wait for it.
  SHOW(Lock(b, F_OFD_SETLKW, F_WRLCK, 3, 5));
  SHOW(close(b));
  SHOW(unlink("file"));
}
