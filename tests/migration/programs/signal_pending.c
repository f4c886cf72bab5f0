// Blocked signals stay pending across moves, real-time ones in order with their values; masks and dispositions
// stay as they were.
#include <signal.h>
#include <time.h>

#include "probe.h"

static void Handler(int number, siginfo_t* info, void* context) {
  Say("signal %s value %d code %s", sigabbrev_np(number) != NULL ? sigabbrev_np(number) : "RT",
      info->si_code == SI_QUEUE ? info->si_value.sival_int : 0,
      info->si_code == SI_QUEUE ? "queue" : info->si_code == SI_TKILL ? "tkill" : info->si_code == SI_USER ? "user" : "?");
}

static void ShowSet(const char* what, const sigset_t* set) {
  char text[256] = "";
  for (int number = 1; number < 65; ++number)
    if (sigismember(set, number) == 1) sprintf(text + strlen(text), " %d", number);
  Say("%s:%s", what, text);
}

void Program(void) {
  sigset_t blocked, set, none;
  struct sigaction action = {.sa_sigaction = Handler, .sa_flags = SA_SIGINFO};
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGRTMIN + 3);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&action.sa_mask, SIGHUP);
  SHOW(sigaction(SIGUSR1, &action, NULL));
  SHOW(sigaction(SIGUSR2, &action, NULL));
  SHOW(sigaction(SIGRTMIN + 3, &action, NULL));
  SHOW(sigprocmask(SIG_BLOCK, &blocked, NULL));
  SHOW(kill(getpid(), SIGUSR1));
  SHOW(kill(getpid(), SIGUSR1));  // not queued twice
  SHOW(raise(SIGUSR2));
  for (int i = 0; i < 3; ++i) SHOW(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 100 + i}));
  MovePoint();
  SHOW(sigpending(&set));
  ShowSet("pending", &set);
  SHOW(sigprocmask(SIG_BLOCK, NULL, &set));
  ShowSet("blocked", &set);
  siginfo_t info;
  const struct timespec now = {0, 0};
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGUSR2);
  SHOW(sigtimedwait(&only, &info, &now) == SIGUSR2);
  SHOW(sigtimedwait(&only, &info, &now));
  SHOW(sigprocmask(SIG_SETMASK, &none, NULL));
  MovePoint();
  SHOW(raise(SIGUSR1));
  struct sigaction old;
  SHOW(sigaction(SIGUSR1, NULL, &old));
  Say("handler kept %d, flags %x", old.sa_sigaction == Handler, old.sa_flags & (SA_SIGINFO | SA_RESTART | SA_ONSTACK));
  ShowSet("mask of the handler", &old.sa_mask);
  signal(SIGUSR2, SIG_IGN);
  MovePoint();
  SHOW(raise(SIGUSR2));
  SHOW(sigaction(SIGUSR2, NULL, &old));
  Say("ignored %d", old.sa_handler == SIG_IGN);
  SHOW(kill(getpid(), 0));
  SHOW(kill(getpid(), 99));
  signal(SIGUSR1, SIG_DFL);
  signal(SIGUSR2, SIG_DFL);
}
