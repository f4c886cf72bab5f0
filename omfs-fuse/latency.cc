// omfs-fuse-latency DIR [N]: the median time of stat, open+close and a 4 KiB pread of a file in
// DIR, in microseconds. For comparing mounts and builds on one machine in one run.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace {

void Measure(const char* what, int n, const std::function<bool()>& f) {
  std::vector<double> us;
  for (int i = 0; i < n; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (!f()) {
      perror(what);
      exit(1);
    }
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
                     .count());
  }
  std::sort(us.begin(), us.end());
  printf("%-12s median %8.1f us   p10 %8.1f   p90 %8.1f\n", what, us[n / 2], us[n / 10],
         us[n * 9 / 10]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: omfs-fuse-latency DIR [N]\n");
    return 2;
  }
  const int n = argc > 2 ? std::max(10, atoi(argv[2])) : 2000;
  const std::string path = std::string(argv[1]) + "/latency.tmp";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  std::vector<char> block(4096, 'x');
  if (fd < 0 || write(fd, block.data(), block.size()) != 4096) {
    perror(path.c_str());
    return 1;
  }
  struct stat st;
  Measure("stat", n, [&] { return stat(path.c_str(), &st) == 0; });
  Measure("fstat", n, [&] { return fstat(fd, &st) == 0; });
  Measure("open+close", n, [&] {
    const int f = open(path.c_str(), O_RDONLY);
    return f >= 0 && close(f) == 0;
  });
  Measure("pread 4K", n, [&] { return pread(fd, block.data(), 4096, 0) == 4096; });
  Measure("pwrite 4K", n, [&] { return pwrite(fd, block.data(), 4096, 0) == 4096; });
  close(fd);
  unlink(path.c_str());
  return 0;
}
