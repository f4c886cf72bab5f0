// Copies inside the kernel between files here, files at home and pipes.
#include <fcntl.h>
#include <sys/sendfile.h>

#include "probe.h"

void Program(void) {
  char buffer[64] = "";
  int ends[2];
  WriteFile("from", "0123456789abcdefghijklmnopqrstuvwxyz");
  WriteFile(AtHome("from"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  const int here = (int)SHOW(open("from", O_RDONLY));
  const int there = (int)SHOW(open(AtHome("from"), O_RDONLY));
  const int to = (int)SHOW(open("to", O_RDWR | O_CREAT | O_TRUNC, 0644));
  SHOW(pipe(ends));
  MovePoint();
  SHOW(sendfile(to, here, NULL, 10));
  SHOW(sendfile(to, there, NULL, 5));
  off_t offset = 20;
  SHOW(sendfile(to, here, &offset, 100));
  Say("offset %ld", (long)offset);
  SHOW(lseek(here, 0, SEEK_CUR));
  ShowFile("to");
  MovePoint();
  off_t in = 2, out = 40;
  SHOW(copy_file_range(here, &in, to, &out, 8, 0));
  Say("offsets %ld %ld", (long)in, (long)out);
  ShowFile("to");
  SHOW(splice(here, NULL, ends[1], NULL, 6, 0));
  MovePoint();
  SHOW(read(ends[0], buffer, sizeof buffer));
  ShowBytes("from the pipe", buffer, 6);
  SHOW(write(ends[1], "piped", 5));
  SHOW(splice(ends[0], NULL, to, NULL, 5, 0));
  ShowFile("to");
  for (int fd = here; fd <= ends[1]; ++fd) close(fd);
  SHOW(unlink("from"));
  SHOW(unlink("to"));
  SHOW(unlink(AtHome("from")));
}
