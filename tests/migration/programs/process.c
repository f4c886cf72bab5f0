// What a process knows about itself stays what it was at home: ids, arguments, environment, limits, the machine's
// name, its entries in /proc.
#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "probe.h"

extern char** environ;

void Program(void) {
  char before[4096], after[4096];
  struct utsname name, name_after;
  struct rlimit limit;
  const pid_t pid = getpid(), parent = getppid(), group = getpgrp(), session = getsid(0), thread = gettid();
  REQUIRE(uname(&name) == 0);
  ssize_t length = readlink("/proc/self/exe", before, sizeof before);
  REQUIRE(length > 0);
  MovePoint();
  Say("ids kept: %d %d %d %d %d", pid == getpid(), parent == getppid(), group == getpgrp(), session == getsid(0),
      thread == gettid());
  REQUIRE(uname(&name_after) == 0);
  Say("machine kept: %d", memcmp(&name, &name_after, sizeof name) == 0);
  Say("program kept: %d", readlink("/proc/self/exe", after, sizeof after) == length &&
                              memcmp(before, after, (size_t)length) == 0);
  int count = 0;
  for (char** argument = program_arguments; *argument != NULL; ++argument) Say("argument %d \"%s\"", ++count, *argument);
  const char* variable = getenv("MIGRATION_VARIABLE");
  Say("variable \"%s\"", variable != NULL ? variable : "(none)");
  setenv("MIGRATION_VARIABLE", "changed", 1);
  Say("users %d %d %d %d", getuid(), geteuid(), getgid(), getegid());

  const int comm = open("/proc/self/comm", O_RDONLY);
  length = read(comm, before, sizeof before);
  close(comm);
  ShowBytes("comm", before, length > 0 ? (size_t)length : 0);
  FILE* status = fopen("/proc/self/status", "r");
  REQUIRE(status != NULL);
  MovePoint();
  while (fgets(before, sizeof before, status) != NULL) {
    int value;
    if (sscanf(before, "Pid: %d", &value) == 1) Say("Pid in status is ours: %d", value == pid);
    if (sscanf(before, "PPid: %d", &value) == 1) Say("PPid in status is our parent's: %d", value == parent);
  }
  fclose(status);
  FILE* command = fopen("/proc/self/cmdline", "r");
  REQUIRE(command != NULL);
  size_t bytes = fread(before, 1, sizeof before - 1, command);
  fclose(command);
  count = 0;
  for (size_t i = 0; i < bytes; ++i) count += before[i] == 0;
  Say("%d words on the command line", count);

  SHOW(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = 64;
  SHOW(setrlimit(RLIMIT_NOFILE, &limit));
  MovePoint();
  SHOW(getrlimit(RLIMIT_NOFILE, &limit));
  Say("soft limit %ld", (long)limit.rlim_cur);
  int opened = 0;
  for (int fd; (fd = open(opened % 2 ? "/dev/null" : ".", O_RDONLY)) >= 0; ++opened) continue;
  Say("after %d descriptors: %s", opened, strerrorname_np(errno));
  MovePoint();  // with no descriptor to spare
  Say("still none: %s", dup(0) < 0 ? strerrorname_np(errno) : "one");
  close_range(3, ~0U, 0);
  limit.rlim_cur = 1024;
  SHOW(setrlimit(RLIMIT_NOFILE, &limit));
  Say("page size %ld %ld", sysconf(_SC_PAGESIZE), (long)getauxval(AT_PAGESZ));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 3));
  MovePoint();
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 0));
  SHOW(sched_yield());
  struct rusage usage;
  SHOW(getrusage(RUSAGE_SELF, &usage));
  SHOW(syscall(9999));
  setenv("MIGRATION_VARIABLE", variable != NULL ? "a value with = and spaces" : "", 1);
}
