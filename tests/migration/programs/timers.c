// Timers and clocks across moves: alarms come and do not come early, sleeps are long enough, the monotonic clock
// never goes back.
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "probe.h"

static volatile sig_atomic_t count;
static void Count(int number) { ++count; }

static double Now(clockid_t clock) {
  struct timespec now;
  REQUIRE(clock_gettime(clock, &now) == 0);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void Program(void) {
  struct sigaction action = {.sa_handler = Count};
  struct itimerval timer;
  count = 0;
  SHOW(sigaction(SIGALRM, &action, NULL));
  const double start = Now(CLOCK_MONOTONIC), real_start = Now(CLOCK_REALTIME), boot_start = Now(CLOCK_BOOTTIME);
  SHOW(alarm(100));
  MovePoint();
  const unsigned left = alarm(0);
  Say("an alarm goes on: %d", left > 50 && left <= 100);
  SHOW(alarm(1));
  while (count == 0) MovePoint(), usleep(20000);
  Say("not early: %d", Now(CLOCK_MONOTONIC) - start >= 0.99);

  count = 0;
  const struct itimerval periodic = {{0, 50000}, {0, 50000}};
  SHOW(setitimer(ITIMER_REAL, &periodic, NULL));
  while (count < 3) pause();
  MovePoint();
  SHOW(getitimer(ITIMER_REAL, &timer));
  Say("interval %ld", (long)timer.it_interval.tv_usec);
  const int before = count;
  while (count < before + 3) pause();
  const struct itimerval off = {{0, 0}, {0, 0}};
  SHOW(setitimer(ITIMER_REAL, &off, &timer));
  Say("interval was %ld", (long)timer.it_interval.tv_usec);

  count = 0;
  double slept = Now(CLOCK_MONOTONIC);
  const struct timespec half = {0, 300000000};
  SHOW(nanosleep(&half, NULL));
  slept = Now(CLOCK_MONOTONIC) - slept;
  Say("slept long enough: %d", slept >= 0.3);
  struct timespec until;
  REQUIRE(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
  until.tv_sec += 1;
  MovePoint();
  SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
  Say("until: %d", Now(CLOCK_MONOTONIC) >= (double)until.tv_sec + (double)until.tv_nsec / 1e9);

  double last = start;
  bool back = false;
  for (int i = 0; i < 5; ++i) {
    MovePoint();
    for (int j = 0; j < 1000; ++j) {
      const double now = Now(CLOCK_MONOTONIC);
      back |= now < last;
      last = now;
    }
  }
  Say("monotonic went back: %d", back);
  Say("clocks agree: %d %d", Now(CLOCK_REALTIME) - real_start < last - start + 2 && Now(CLOCK_REALTIME) >= real_start,
      Now(CLOCK_BOOTTIME) - boot_start < last - start + 2 && Now(CLOCK_BOOTTIME) >= boot_start);
  Say("processor time is sensible: %d", Now(CLOCK_PROCESS_CPUTIME_ID) >= 0);
  struct timespec resolution;
  SHOW(clock_getres(CLOCK_MONOTONIC, &resolution));
  Say("time() agrees: %d", labs((long)time(NULL) - (long)Now(CLOCK_REALTIME)) <= 1);
  signal(SIGALRM, SIG_DFL);
}
