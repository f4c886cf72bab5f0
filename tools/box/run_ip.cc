#include "tools/box/run_ip.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>
#include <vector>

#include "omfs/base/scoped_fd.h"
#include "omfs/base/status.h"

namespace omfs::box {

absl::StatusOr<std::string> FindIp() {
  for (const char* dir : {"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"}) {
    const std::string path = std::string(dir) + "/ip";
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return absl::NotFoundError("needs the program ip (Debian package iproute2)");
}

absl::Status RunIp(const std::string& ip, const std::string& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  ScopedFd read_end(ends[0]), write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    std::vector<std::string> words = {"ip"};
    std::istringstream in(arguments);
    for (std::string word; in >> word;) words.push_back(word);
    std::vector<char*> argv;
    for (std::string& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    dup2(write_end.get(), 1);
    dup2(write_end.get(), 2);
    execv(ip.c_str(), argv.data());
    _exit(127);
  }
  write_end.reset();
  std::string output;
  char chunk[512];
  for (ssize_t n; (n = read(read_end.get(), chunk, sizeof chunk)) > 0;) output.append(chunk, n);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return Internal("ip {}: {}", arguments, output.substr(output.rfind('\n') + 1));
}

}  // namespace omfs::box
