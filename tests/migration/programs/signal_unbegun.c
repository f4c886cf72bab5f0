// Signals that come all the time never end a call that no signal can end: not at home, not away, not on the way.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "probe.h"

static volatile sig_atomic_t count;
static void Count(int number) { ++count; }

static int interrupted;
static long Check(long result) {
  if (result == -1 && errno == EINTR) ++interrupted;
  return result;
}

void Program(void) {
  struct sigaction action = {.sa_handler = Count};  // no SA_RESTART
  struct stat status;
  char byte;
  WriteFile("file", "some text");
  WriteFile(AtHome("file"), "other text");
  interrupted = count = 0;
  int wrong = 0;
  REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval often = {{0, 10000}, {0, 10000}}, off = {{0, 0}, {0, 0}};
  REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
  const int here = open("file", O_RDONLY), home = open(AtHome("file"), O_RDONLY);
  for (int i = 0; i < 200; ++i) {
    if (i % 100 == 50) MovePoint();
    wrong += Check(stat("file", &status)) != 0 || status.st_size != 9;
    wrong += Check(stat(AtHome("file"), &status)) != 0 || status.st_size != 10;
    wrong += Check(fstat(home, &status)) != 0 || status.st_size != 10;
    wrong += Check(pread(here, &byte, 1, 1)) != 1 || byte != 'o';
    wrong += Check(pread(home, &byte, 1, 1)) != 1 || byte != 't';
    wrong += Check(access("missing", F_OK)) != -1 || errno != ENOENT;
    wrong += Check(close(Check(dup(i % 2 ? here : home)))) != 0;
    wrong += Check(close(Check(open(i % 2 ? "file" : AtHome("file"), O_RDONLY)))) != 0;
  }
  while (count == 0) MovePoint();
  REQUIRE(setitimer(ITIMER_REAL, &off, NULL) == 0);
  signal(SIGALRM, SIG_DFL);
  Say("interrupted %d, wrong %d", interrupted, wrong);
  SHOW(close(here));
  SHOW(close(home));
  SHOW(unlink("file"));
  SHOW(unlink(AtHome("file")));
}
