// Files mapped into memory, private and shared, from both sides.
#include <fcntl.h>
#include <sys/mman.h>

#include "probe.h"

void Program(void) {
  WriteFile("file", "0123456789");
  WriteFile(AtHome("file"), "abcdefghij");
  const int here = (int)SHOW(open("file", O_RDWR));
  const int there = (int)SHOW(open(AtHome("file"), O_RDWR));
  char* private_here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, here, 0);
  char* private_there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, there, 0);
  REQUIRE(private_here != MAP_FAILED && private_there != MAP_FAILED);
  private_here[0] = 'X';
  private_there[0] = 'Y';
  MovePoint();
  ShowBytes("private here", private_here, 11);
  ShowBytes("private there", private_there, 11);
  ShowFile("file");
  ShowFile(AtHome("file"));
  char* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, here, 0);
  REQUIRE(shared != MAP_FAILED);
  shared[1] = 'S';
  SHOW(msync(shared, 4096, MS_SYNC));
  ShowFile("file");
  SHOW(pwrite(here, "W", 1, 2));
  MovePoint();
  ShowBytes("shared", shared, 11);
  shared[3] = 'T';
  SHOW(munmap(shared, 4096));
  ShowFile("file");
  SHOW(munmap(private_here, 4096));
  SHOW(munmap(private_there, 4096));
  SHOW_OK((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0));
  SHOW(close(here));
  SHOW(close(there));
  SHOW(unlink("file"));
  SHOW(unlink(AtHome("file")));
}
