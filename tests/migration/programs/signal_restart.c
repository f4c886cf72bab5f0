// Signals that interrupt blocking calls: with SA_RESTART the call goes on, without it fails with EINTR; the calls
// that are never restarted; a move in the middle of a blocked call is not seen at all.
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "probe.h"

static int ends[2];
static volatile sig_atomic_t count;

static void Alarm(int number) {
  ++count;
  if (write(ends[1], "!", 1) != 1) _exit(122);
}

static void Arm(int flags, long microseconds) {
  struct sigaction action = {.sa_handler = Alarm, .sa_flags = flags};
  REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval timer = {{0, 0}, {0, microseconds}};
  REQUIRE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

void Program(void) {
  char byte[2] = "";
  count = 0;
  REQUIRE(pipe(ends) == 0);
  MovePoint();
  Arm(0, 100000);
  SHOW(read(ends[0], byte, 1));
  Say("handled %d", count);
  SHOW(read(ends[0], byte, 1));

  Arm(SA_RESTART, 100000);
  SHOW(read(ends[0], byte, 1));
  Say("handled %d, read \"%c\"", count, byte[0]);
  MovePoint();

  struct pollfd waited = {ends[0], POLLIN, 0};
  Arm(SA_RESTART, 100000);
  SHOW(poll(&waited, 1, 5000));  // never restarted
  SHOW(poll(&waited, 1, 5000));
  SHOW(read(ends[0], byte, 1));

  Arm(SA_RESTART, 100000);
  SHOW(pause());
  SHOW(read(ends[0], byte, 1));
  MovePoint();

  struct timespec rest = {0, 0};
  const struct timespec second = {1, 0};
  Arm(SA_RESTART, 100000);
  SHOW(nanosleep(&second, &rest));
  Say("rest is sensible: %d", rest.tv_sec == 0 && rest.tv_nsec > 0);
  SHOW(read(ends[0], byte, 1));
  Say("handled %d", count);

  // Not interrupted at all: ignored.
  signal(SIGALRM, SIG_IGN);
  const struct itimerval timer = {{0, 0}, {0, 50000}};
  REQUIRE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  const struct timespec tenth = {0, 200000000};
  SHOW(nanosleep(&tenth, NULL));
  SHOW(poll(&waited, 1, 10));
  signal(SIGALRM, SIG_DFL);
  REQUIRE(close(ends[0]) == 0 && close(ends[1]) == 0);
}
