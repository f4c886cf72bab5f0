// omfs-fdkeeper PATH SECONDS: holds descriptors for omfsd (message.h), which starts it with the listening socket,
// whose name is PATH, as descriptor 3. It leaves omfsd's process group and session, so that nothing that ends omfsd
// ends it, and ends by itself when nobody has been connected for SECONDS.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "omfs/fdkeeper/keeping.h"

namespace {

constexpr int kListener = 3;

void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  char* end = nullptr;
  const long seconds = argc == 3 ? strtol(argv[2], &end, 10) : 0;
  if (argc != 3 || *end != '\0' || seconds <= 0 || fcntl(kListener, F_GETFD) < 0) {
    fprintf(stderr, "omfs-fdkeeper: started by omfsd only\n");
    return 2;
  }
  // omfsd waits for this process; the one that stays is nobody's child.
  setsid();
  const pid_t pid = fork();
  if (pid != 0) _exit(pid > 0 ? 0 : 1);
  for (const int s : {SIGHUP, SIGINT, SIGPIPE}) signal(s, SIG_IGN);
  if (chdir("/") != 0) return 1;
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; ++fd) dup2(null, fd);
  if (null > kListener) close(null);
  fcntl(kListener, F_SETFD, FD_CLOEXEC);
  RaiseDescriptorLimit();
  omfs::fdkeeper::Keeping(omfs::ScopedFd(kListener), argv[1], std::chrono::seconds(seconds)).Run();
  return 0;
}
