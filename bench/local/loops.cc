// omfs-bench-local FILE [--mib N] [--ops N] [--passes N]: the loops of the comparison that `run` makes. Prints one JSON object: what
// each loop moved in MiB/s, in the fastest of its passes: what else the machine does can only make one slower. The file is made,
// filled and read once before; everything is then in the page cache, so that what is measured is the way to it and not the disk.
//
//   seq_read, seq_write     1 MiB at a time, the whole file
//   rand_read, rand_write   4 KiB at a time, at random places of the file
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr size_t kMib = 1 << 20;
constexpr size_t kBlock = 4096;

[[noreturn]] void Die(const std::string& what) {
  fprintf(stderr, "omfs-bench-local: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

void Whole(bool writes, int fd, char* buffer, size_t size, off_t offset) {
  const ssize_t n = writes ? pwrite(fd, buffer, size, offset) : pread(fd, buffer, size, offset);
  if (n != static_cast<ssize_t>(size)) Die(writes ? "write" : "read");
}

// MiB/s of `bytes` moved by f, in the fastest pass.
double Rate(double bytes, size_t passes, const std::function<void()>& f) {
  double best = 0;
  for (size_t i = 0; i < passes; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, bytes / kMib / took.count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  std::string path;
  size_t mib = 64, ops = 4000, passes = 20;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--mib" && i + 1 < argc) {
      mib = strtoul(argv[++i], nullptr, 10);
    } else if (word == "--ops" && i + 1 < argc) {
      ops = strtoul(argv[++i], nullptr, 10);
    } else if (word == "--passes" && i + 1 < argc) {
      passes = strtoul(argv[++i], nullptr, 10);
    } else {
      path = word;
    }
  }
  if (path.empty() || mib == 0 || ops == 0 || passes == 0) {
    fprintf(stderr, "usage: omfs-bench-local FILE [--mib N] [--ops N] [--passes N]\n");
    return 2;
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) Die(path);
  std::vector<char> buffer(kMib, 'x');
  const auto sequential = [&](bool writes) {
    for (size_t i = 0; i < mib; ++i) Whole(writes, fd, buffer.data(), kMib, static_cast<off_t>(i * kMib));
  };
  std::mt19937_64 random(1);
  const auto at_random = [&](bool writes) {
    const size_t blocks = mib * kMib / kBlock;
    for (size_t i = 0; i < ops; ++i) Whole(writes, fd, buffer.data(), kBlock, static_cast<off_t>(random() % blocks * kBlock));
  };
  sequential(true);
  if (fsync(fd) != 0) Die("fsync");
  sequential(false);
  const double whole = static_cast<double>(mib * kMib), some = static_cast<double>(ops * kBlock);
  const double seq_read = Rate(whole, passes, [&] { sequential(false); });
  const double rand_read = Rate(some, passes, [&] { at_random(false); });
  const double rand_write = Rate(some, passes, [&] { at_random(true); });
  const double seq_write = Rate(whole, passes, [&] { sequential(true); });
  printf("{\"seq_read\": %.2f, \"seq_write\": %.2f, \"rand_read\": %.2f, \"rand_write\": %.2f}\n", seq_read, seq_write,
         rand_read, rand_write);
  close(fd);
  unlink(path.c_str());
  return 0;
}
