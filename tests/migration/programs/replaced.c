// Replaces itself by execve after it was moved: what must survive does, and what must not does not. Not repeated.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "probe.h"

static void Second(void) {
  char buffer[16] = "";
  struct sigaction action;
  sigset_t set;
  Say("replaced");
  SHOW(read(3, buffer, 4));
  ShowBytes("offset kept", buffer, 4);
  SHOW(read(4, buffer, 4));
  SHOW(sigaction(SIGUSR1, NULL, &action));
  Say("handler reset %d", action.sa_handler == SIG_DFL);
  SHOW(sigaction(SIGUSR2, NULL, &action));
  Say("ignored kept %d", action.sa_handler == SIG_IGN);
  SHOW(sigprocmask(SIG_BLOCK, NULL, &set));
  Say("mask kept %d", sigismember(&set, SIGHUP));
  Say("umask %03o", umask(022));
  ShowFile("file");
  MovePoint();
  ShowFile("file");
  SHOW(unlink("file"));
  exit(17);
}

static void Handler(int number) {}

void Program(void) {
  if (program_arguments[0] != NULL && strcmp(program_arguments[0], "second") == 0) Second();
  sigset_t set;
  WriteFile("file", "0123456789");
  SHOW(open("file", O_RDONLY));
  SHOW(open("file", O_RDONLY | O_CLOEXEC));
  SHOW(lseek(3, 3, SEEK_SET));
  signal(SIGUSR1, Handler);
  signal(SIGUSR2, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  SHOW(sigprocmask(SIG_BLOCK, &set, NULL));
  umask(077);
  MovePoint();
  unsetenv("MIGRATION_SYNC");  // its counter starts again, the runner's does not
  execl("/proc/self/exe", "replaced", work_dir, home_dir, "second", NULL);
  Say("execve: %s", strerrorname_np(errno));
}
