// O_APPEND through several descriptors, set and cleared while moving.
#include <fcntl.h>

#include "probe.h"

void Program(void) {
  const int first = (int)SHOW(open("log", O_RDWR | O_CREAT | O_APPEND, 0644));
  const int second = (int)SHOW(open("log", O_WRONLY | O_APPEND));
  const int plain = (int)SHOW(open("log", O_RDWR));
  for (int i = 0; i < 3; ++i) {
    SHOW(write(first, "first ", 6));
    MovePoint();
    SHOW(write(second, "second ", 7));
    SHOW(lseek(first, 0, SEEK_CUR));
  }
  SHOW(lseek(first, 0, SEEK_SET));
  SHOW(write(first, "end", 3));
  SHOW(pwrite(first, "P", 1, 0));  // appends too: BUGS in pwrite(2)
  SHOW(write(plain, "PLAIN", 5));
  SHOW(fcntl(second, F_SETFL, 0));
  MovePoint();
  SHOW(lseek(second, 6, SEEK_SET));
  SHOW(write(second, "SECOND", 6));
  ShowFile("log");
  SHOW(close(first));
  SHOW(close(second));
  SHOW(close(plain));
  SHOW(unlink("log"));
}
