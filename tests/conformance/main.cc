// omfs-conformance: what does this file system answer? See observe.h.
//
//   omfs-conformance [--as root|user|groups] [--only PREFIX] [--list] DIRECTORY
//
// Each case runs in a process and a fresh subdirectory of its own; a case that dies or hangs says
// so and the next one runs. The exit status tells only whether the program could work, never
// whether an answer was right.

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "observe.h"

namespace conformance {
namespace {

// A case that takes longer hangs; the slowest takes a few seconds, on a busy machine a minute. Not
// a check of speed.
constexpr unsigned kHangSeconds = 900;

// Removes a tree whose directories the owner may have closed to himself.
bool Remove(int parent, const char* name) {
  if (unlinkat(parent, name, 0) == 0) return true;
  fchmodat(parent, name, 0700, 0);
  DIR* dir = fdopendir(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!dir) return false;
  bool all = true;
  while (dirent* entry = readdir(dir)) {
    std::string inner = entry->d_name;
    if (inner != "." && inner != "..") all = Remove(dirfd(dir), entry->d_name) && all;
  }
  closedir(dir);
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 && all;
}

void RunCase(const CaseInfo& info, const std::string& base) {
  std::string dir = base + "/" + info.name;
  Case t(info.name, STDOUT_FILENO);
  if (mkdir(dir.c_str(), 0755) != 0) {
    t.Say("setup", "mkdir: " + ErrnoName(errno));
    return;
  }
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    setpgid(0, 0);
    alarm(kHangSeconds);
    umask(022);
    if (chdir(dir.c_str()) != 0) _exit(98);
    t.Say("begin", "");
    info.body(t);
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) {
    t.Say("end", WTERMSIG(status) == SIGALRM
                     ? "HANGS"
                     : "died of " + std::string(sigabbrev_np(WTERMSIG(status))));
    kill(-pid, SIGKILL);  // what the case left running
  } else if (WEXITSTATUS(status) != 0) {
    t.Say("end", "exit " + std::to_string(WEXITSTATUS(status)));
  }
  t.Say("cleanup", Remove(AT_FDCWD, dir.c_str()) ? "ok" : ErrnoName(errno));
}

int Usage(const char* why) {
  fprintf(stderr,
          "omfs-conformance: %s (usage: omfs-conformance [--as root|user|groups] [--only PREFIX] "
          "[--list] DIRECTORY)\n",
          why);
  return 2;
}

int Main(int argc, char** argv) {
  std::string as, only, dir;
  bool list = false;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (arg == "--list") {
      list = true;
    } else if (arg == "--as" && i + 1 < argc) {
      as = argv[++i];
    } else if (arg == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (arg.starts_with("-") || !dir.empty()) {
      return Usage(("unexpected argument " + arg).c_str());
    } else {
      dir = arg;
    }
  }
  auto& cases = AllCases();
  std::sort(cases.begin(), cases.end(),
            [](const CaseInfo& a, const CaseInfo& b) { return strcmp(a.name, b.name) < 0; });
  if (list) {
    for (const CaseInfo& info : cases) puts(info.name);
    return 0;
  }
  if (dir.empty()) return Usage("no directory given");
  if (!as.empty() && as != "root" && as != "user" && as != "groups")
    return Usage("--as root, user or groups");

  bool to_root = as == "root" || (as.empty() && RunningAsRoot());
  if (!as.empty() && !RunningAsRoot()) return Usage("--as needs root");
  std::string base = dir + "/conformance-" + (as.empty() ? "self" : as);
  if (mkdir(base.c_str(), 0755) != 0)
    return Usage(("mkdir " + base + ": " + strerror(errno)).c_str());
  pid_t runner = fork();
  Must(runner >= 0, "fork");
  if (runner == 0) {
    if (!to_root && !as.empty()) {
      const Identity& who = as == "groups" ? kAliceWithGroups : kAlice;
      Must(chown(base.c_str(), who.uid, who.gid) == 0, "chown the directory");
      Must(BecomeIdentity(who), "change identity");
    }
    for (const CaseInfo& info : cases) {
      if (info.run_by == RunBy::kRoot && !to_root) continue;
      if (info.run_by == RunBy::kRootAndUser && as == "groups") continue;
      if (std::string_view(info.name).starts_with(only)) RunCase(info, base);
    }
    _exit(0);
  }
  int code = WaitExit(runner);
  // By the caller: as an ordinary user the directory above may not be the runner's to change.
  Must(Remove(AT_FDCWD, base.c_str()), "remove the directory of the cases");
  return code == 0 ? 0 : 3;
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_DFL);
  return conformance::Main(argc, argv);
}
