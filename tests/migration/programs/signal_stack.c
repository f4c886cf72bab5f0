// Handlers on an alternate stack, moved while they run; faults caught and left by siglongjmp; nested signals.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "probe.h"

static char stack[65536];
static sigjmp_buf back;

static bool OnStack(const void* address) {
  return (const char*)address >= stack && (const char*)address < stack + sizeof stack;
}

static void Outer(int number) {
  char here;
  Say("outer on the alternate stack: %d", OnStack(&here));
  MovePoint();
  stack_t current;
  REQUIRE(sigaltstack(NULL, &current) == 0);
  Say("in use: %d", current.ss_flags == SS_ONSTACK);
  raise(SIGUSR2);
  Say("outer ends");
}

static void Inner(int number) {
  char here;
  Say("inner on the alternate stack: %d", OnStack(&here));
  MovePoint();
}

static void Fault(int number, siginfo_t* info, void* context) {
  char here;
  Say("fault %s at the right address: %d, alternate stack %d", sigabbrev_np(number), info->si_addr != NULL,
      OnStack(&here));
  siglongjmp(back, 1);
}

static void Read(volatile char* address) {
  if (sigsetjmp(back, 1) == 0) Say("read %d", *address);
}

void Program(void) {
  const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  SHOW(sigaltstack(&alternate, NULL));
  struct sigaction action = {.sa_handler = Outer, .sa_flags = SA_ONSTACK};
  SHOW(sigaction(SIGUSR1, &action, NULL));
  action.sa_handler = Inner;
  SHOW(sigaction(SIGUSR2, &action, NULL));
  struct sigaction fault = {.sa_sigaction = Fault, .sa_flags = SA_ONSTACK | SA_SIGINFO};
  SHOW(sigaction(SIGSEGV, &fault, NULL));
  MovePoint();
  stack_t current;
  SHOW(sigaltstack(NULL, &current));
  Say("same stack: %d", current.ss_sp == stack && current.ss_size == sizeof stack && current.ss_flags == 0);
  SHOW(raise(SIGUSR1));
  char* page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  Read(page);
  MovePoint();
  Read(page);
  SHOW(mprotect(page, 4096, PROT_READ));
  Read(page);
  SHOW(munmap(page, 4096));
  Read(page);
  const stack_t off = {.ss_flags = SS_DISABLE};
  SHOW(sigaltstack(&off, NULL));
  MovePoint();
  Read(BadAddress());
  signal(SIGSEGV, SIG_DFL);
}
