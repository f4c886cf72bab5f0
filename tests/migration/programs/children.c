// Children: fork, pipes between parent and child, a shared offset, wait, exit statuses; vfork and execve by
// posix_spawn.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "probe.h"

extern char** environ;

void Program(void) {
  char buffer[64] = "";
  int ends[2], status = 0;
  WriteFile("file", "0123456789");
  const int fd = (int)SHOW(open("file", O_RDWR));
  SHOW(pipe(ends));
  SHOW(read(fd, buffer, 2));
  MovePoint();
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(ends[0]);
    if (read(fd, buffer, 3) != 3 || write(ends[1], buffer, 3) != 3) _exit(100);
    _exit(7);
  }
  SHOW(close(ends[1]));
  SHOW(waitpid(child, &status, 0) == child);
  Say("status %x", status);
  SHOW(read(ends[0], buffer, sizeof buffer));
  ShowBytes("from the child", buffer, 3);
  SHOW(close(ends[0]));
  SHOW(lseek(fd, 0, SEEK_CUR));  // one offset, two processes
  MovePoint();
  child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (;;) pause();
  }
  SHOW(kill(child, SIGTERM));
  SHOW(waitpid(child, &status, 0) == child);
  Say("status %x", status);
  char* const arguments[] = {"sh", "-c", "exec <file; read line; echo \"spawned: $line\"; exit 5", NULL};
  REQUIRE(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
  SHOW(waitpid(child, &status, 0) == child);
  Say("status %x", status);
  SHOW(waitpid(-1, &status, 0));
  SHOW(close(fd));
  SHOW(unlink("file"));
}
