// Ends as its argument says: "exit N", "return", "abort", "segv", "kill SIGNAL", "pipe" (SIGPIPE).
#include <signal.h>
#include <sys/resource.h>

#include "probe.h"

void Program(void) {
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const char* how = program_arguments[0];
  REQUIRE(how != NULL);
  Say("ending by %s", how);
  MovePoint();
  if (strcmp(how, "exit") == 0) exit(atoi(program_arguments[1]));
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "segv") == 0) *(volatile int*)BadAddress() = 1;
  if (strcmp(how, "kill") == 0) {
    kill(getpid(), atoi(program_arguments[1]));
    Say("still alive");
  }
  if (strcmp(how, "pipe") == 0) {
    int ends[2];
    REQUIRE(pipe(ends) == 0 && close(ends[0]) == 0);
    REQUIRE(write(ends[1], "x", 1) == 1);
  }
}
