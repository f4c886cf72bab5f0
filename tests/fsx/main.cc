// omfs-fsx: random operations on one file through several mounts in turn, compared with a model in
// memory.
//
//   omfs-fsx --serve PATH                                           on a node: does what it is told
//   (serve.h) omfs-fsx [--seed N] [--operations N] [--run LENGTH] COMMAND...  starts each COMMAND
//   (a shell's line), which is to be an
//                                                                   omfs-fsx --serve of the same
//                                                                   new file on some node
//
// Each operation is done through one of them, chosen at random, and stays there for up to LENGTH
// operations (1: by default another choice for each). Everything is a function of the seed. After
// the first difference the operations that led to it are printed and the exit status is 1.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "tests/fsx/operations.h"
#include "tests/fsx/serve.h"

namespace omfs::fsx {
namespace {

constexpr size_t kShown = 30;

struct Mount {
  pid_t pid = 0;
  int in = -1, out = -1;
};

Mount Start(const char* command) {
  int to[2], from[2];
  if (pipe(to) != 0 || pipe(from) != 0) exit(1);
  Mount m;
  m.pid = fork();
  if (m.pid == 0) {
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    for (int fd : {to[0], to[1], from[0], from[1]}) close(fd);
    execl("/bin/sh", "sh", "-c", (std::string("exec ") + command).c_str(), nullptr);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  m.in = to[1];
  m.out = from[0];
  // Not for the next one's child: each must see the end of its input.
  for (int fd : {m.in, m.out}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return m;
}

struct Options {
  uint64_t seed = 0, operations = 10000, run = 1;
  std::vector<const char*> commands;
};

class Comparison {
 public:
  explicit Comparison(const Options& options) : options_(options), random_(options.seed) {
    for (const char* c : options.commands) mounts_.push_back(Start(c));
  }

  int Run() {
    size_t mount = 0;
    for (uint64_t i = 0, left = 0; i < options_.operations; ++i, --left) {
      if (left == 0) {
        mount = NextRandom(&random_) % mounts_.size();
        left = 1 + NextRandom(&random_) % options_.run;
      }
      const Command c = model_.Choose(&random_);
      if (!One(i, mount, c)) return Fail();
      // The whole file, now and then, through all.
      if (i % 1000 == 999) {
        for (size_t m = 0; m < mounts_.size(); ++m) {
          for (uint64_t offset = 0; offset <= kMaxFile; offset += kMaxLength) {
            if (!One(i, m, {Code::kRead, 0, offset, kMaxLength, 0, 0})) return Fail();
          }
        }
      }
      if (i % 100000 == 99999) {
        printf("%llu operations\n", static_cast<unsigned long long>(i + 1));
        fflush(stdout);
      }
    }
    return End() ? 0 : 1;
  }

 private:
  bool One(uint64_t number, size_t mount, const Command& c) {
    last_.push_back(std::to_string(number) + " mount " + std::to_string(mount) + ": " +
                    Describe(c) + " (file of " + std::to_string(model_.content().size()) + ")");
    if (last_.size() > kShown) last_.pop_front();
    std::vector<std::byte> wanted_bytes;
    const Reply wanted = model_.Apply(c, &wanted_bytes);
    Reply got;
    const Mount& m = mounts_[mount];
    if (!WriteAll(m.in, &c, sizeof c) || !ReadAll(m.out, &got, sizeof got))
      return Say("the node's process is gone");
    std::vector<std::byte> bytes(std::min(got.bytes, kMaxLength));
    if (!ReadAll(m.out, bytes.data(), bytes.size())) return Say("the node's process is gone");
    if (got.error != 0) return Say(std::string("error: ") + strerror(got.error));
    if (got.number != wanted.number) {
      return Say("result " + std::to_string(got.number) + " instead of " +
                 std::to_string(wanted.number));
    }
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == wanted_bytes[i]) continue;
      size_t different = 0;
      for (size_t j = i; j < bytes.size(); ++j) different += bytes[j] != wanted_bytes[j];
      return Say("byte " + std::to_string(c.offset + i) + " is " +
                 std::to_string(static_cast<int>(bytes[i])) + " instead of " +
                 std::to_string(static_cast<int>(wanted_bytes[i])) + "; " +
                 std::to_string(different) + " bytes differ");
    }
    return true;
  }

  bool Say(const std::string& text) {
    difference_ = text;
    return false;
  }

  int Fail() {
    printf("FAILED: %s\nafter:\n", difference_.c_str());
    for (const std::string& line : last_) printf("  %s\n", line.c_str());
    printf("again: --seed %llu\n", static_cast<unsigned long long>(options_.seed));
    End();
    return 1;
  }

  bool End() {
    bool good = true;
    for (const Mount& m : mounts_) {
      close(m.in);
      close(m.out);
      int status = 0;
      waitpid(m.pid, &status, 0);
      good = good && status == 0;
    }
    return good;
  }

  const Options options_;
  uint64_t random_;
  Model model_;
  std::vector<Mount> mounts_;
  std::deque<std::string> last_;
  std::string difference_;
};

int Main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--serve") == 0) return Serve(argv[2]);
  Options options;
  for (int i = 1; i < argc; ++i) {
    uint64_t* number = strcmp(argv[i], "--seed") == 0         ? &options.seed
                       : strcmp(argv[i], "--operations") == 0 ? &options.operations
                       : strcmp(argv[i], "--run") == 0        ? &options.run
                                                              : nullptr;
    if (number != nullptr && i + 1 < argc) {
      *number = strtoull(argv[++i], nullptr, 0);
    } else if (argv[i][0] == '-') {
      fprintf(stderr, "omfs-fsx: unknown option %s\n", argv[i]);
      return 2;
    } else {
      options.commands.push_back(argv[i]);
    }
  }
  if (options.commands.empty() || options.run == 0) {
    fprintf(stderr,
            "usage: omfs-fsx --serve PATH | omfs-fsx [--seed N] [--operations N] [--run N] "
            "COMMAND...\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  printf("seed %llu, %llu operations, %zu mounts, runs of up to %llu\n",
         static_cast<unsigned long long>(options.seed),
         static_cast<unsigned long long>(options.operations), options.commands.size(),
         static_cast<unsigned long long>(options.run));
  fflush(stdout);
  const int status = Comparison(options).Run();
  if (status == 0)
    printf("no difference in %llu operations\n",
           static_cast<unsigned long long>(options.operations));
  return status;
}

}  // namespace
}  // namespace omfs::fsx

int main(int argc, char** argv) { return omfs::fsx::Main(argc, argv); }
