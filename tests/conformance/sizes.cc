// Sizes: truncate, holes, fallocate, large offsets.

#include <errno.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

constexpr off_t kMiB = 1 << 20;

// The data and hole boundaries of a file: "data 0 hole 4096 ... end 1048576".
std::string Layout(int fd) {
  off_t end = lseek(fd, 0, SEEK_END);
  std::string text;
  for (off_t at = 0; at < end;) {
    off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) {
      text += errno == ENXIO ? "" : ErrnoName(errno) + " ";
      break;
    }
    off_t hole = lseek(fd, data, SEEK_HOLE);
    text += "data " + std::to_string(data) + " hole " + std::to_string(hole) + " ";
    if (hole <= data) break;
    at = hole;
  }
  return text + "end " + std::to_string(end);
}

}  // namespace

CASE(truncate, by_name) {
  WriteFile("f", "0123456789");
  t.Ok("shrink", truncate("f", 4));
  t.Content("shrunk", "f");
  t.Ok("grow", truncate("f", 8));
  t.Content("zeros", "f");
  t.Ok("to_0", truncate("f", 0));
  t.Attributes("empty", "f");
  t.Ok("negative", truncate("f", -1));
  t.Ok("missing", truncate("no", 0));
  t.Ok("directory", truncate(".", 0));
  t.Ok("below_file", truncate("f/x", 0));
  Must(mkfifo("p", 0644) == 0, "mkfifo");
  t.Ok("fifo", truncate("p", 0));
  Must(symlink("f", "s") == 0, "symlink");
  t.Ok("through_link", truncate("s", 5));
  t.Attributes("f", "f");
}

CASE(truncate, by_descriptor) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Value("write", write(fd.get(), "0123456789", 10));
  t.Ok("shrink", ftruncate(fd.get(), 3));
  t.Value("offset_stays", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("write_beyond", write(fd.get(), "x", 1));
  t.Content("text", "f");
  t.Ok("negative", ftruncate(fd.get(), -1));
  t.Ok("unlinked", unlink("f"));
  t.Ok("ftruncate_unlinked", ftruncate(fd.get(), 100));
  t.AttributesOf("size", fd.get());
  ScopedFd dir(open(".", O_RDONLY));
  t.Ok("directory", ftruncate(dir.get(), 0));
}

CASE(truncate, cut_data_does_not_come_back) {
  WriteFile("f", std::string(10000, 'x'));
  Must(truncate("f", 100) == 0 && truncate("f", 10000) == 0, "truncate");
  t.Content("zeros_after_100", "f");
  ScopedFd fd(open("f", O_RDWR));
  Must(pwrite(fd.get(), "end", 3, 20000) == 3, "pwrite");
  t.Content("with_end", "f");
}

CASE(truncate, limits) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  for (off_t size :
       {off_t{1} << 31, off_t{1} << 32, (off_t{1} << 32) + 1, off_t{1} << 40, off_t{1} << 43}) {
    t.Ok("grow_" + std::to_string(size), ftruncate(fd.get(), size));
    t.AttributesOf("size_" + std::to_string(size), fd.get());
  }
  t.Ok("beyond_any_file", ftruncate(fd.get(), INT64_MAX));
  t.AttributesOf("unchanged", fd.get());
  t.Ok("back", ftruncate(fd.get(), 0));
}

CASE(truncate, file_size_limit) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit = {100, 100};
  Must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
  ScopedFd fd(open("f", O_RDWR | O_CREAT, 0644));
  Must(fd.valid(), "open");
  std::string block(150, 'x');
  long up_to_limit = write(fd.get(), block.data(), block.size());
  long at_limit = write(fd.get(), block.data(), block.size());
  int at_limit_errno = errno;
  int grow = ftruncate(fd.get(), 200);
  int grow_errno = errno;
  limit = {RLIM_INFINITY, RLIM_INFINITY};  // output may be a file as well
  setrlimit(RLIMIT_FSIZE, &limit);
  (void)up_to_limit;
  _exit(up_to_limit == 100 && at_limit < 0 && at_limit_errno == EFBIG && grow < 0 &&
                grow_errno == EFBIG
            ? 0
            : 40);
}

CASE(sparse, write_far) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  for (off_t at : {off_t{0}, 3 * kMiB, off_t{1} << 32, (off_t{1} << 40) + 5}) {
    t.Value("write_" + std::to_string(at), pwrite(fd.get(), "data", 4, at));
  }
  t.AttributesOf("size", fd.get());
  char buffer[8] = {};
  t.Value("read_far", pread(fd.get(), buffer, 8, off_t{1} << 32));
  t.Say("far", Printable(std::string(buffer, 8)));
  t.Value("read_hole", pread(fd.get(), buffer, 8, off_t{1} << 33));
  t.Say("hole", Printable(std::string(buffer, 8)));
  struct stat st;
  Must(fstat(fd.get(), &st) == 0, "stat");
  t.Bool("few_blocks", st.st_blocks < 1000);
  t.Value("too_far", pwrite(fd.get(), "x", 1, INT64_MAX));
  t.Value("negative", pwrite(fd.get(), "x", 1, -1));
  t.Value("beyond_fs_limit", pwrite(fd.get(), "x", 1, off_t{1} << 45));
}

CASE(sparse, seek_data_and_hole) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Value("data_of_empty", lseek(fd.get(), 0, SEEK_DATA));
  t.Value("hole_of_empty", lseek(fd.get(), 0, SEEK_HOLE));
  Must(ftruncate(fd.get(), 4 * kMiB) == 0, "truncate");
  t.Say("all_hole", Layout(fd.get()));
  std::string block(65536, 'd');
  Must(pwrite(fd.get(), block.data(), block.size(), kMiB) == 65536, "write");
  Must(pwrite(fd.get(), block.data(), block.size(), 3 * kMiB) == 65536, "write");
  Must(fsync(fd.get()) == 0, "fsync");
  t.Say("two_islands", Layout(fd.get()));
  t.Value("data_inside", lseek(fd.get(), kMiB + 100, SEEK_DATA));
  t.Value("hole_inside", lseek(fd.get(), kMiB + 100, SEEK_HOLE));
  t.Value("hole_at_hole", lseek(fd.get(), 10, SEEK_HOLE));
  t.Value("data_at_last_hole", lseek(fd.get(), 4 * kMiB - 1, SEEK_DATA));
  t.Value("hole_at_end", lseek(fd.get(), 4 * kMiB, SEEK_HOLE));
  t.Value("data_negative", lseek(fd.get(), -1, SEEK_DATA));
  t.Value("offset_after", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("bad_whence", lseek(fd.get(), 0, 77));
}

CASE(sparse, seek_ordinary) {
  WriteFile("f", "0123456789");
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  t.Value("end", lseek(fd.get(), 0, SEEK_END));
  t.Value("before_end", lseek(fd.get(), -3, SEEK_END));
  t.Value("cur", lseek(fd.get(), 1, SEEK_CUR));
  t.Value("before_start", lseek(fd.get(), -100, SEEK_CUR));
  t.Value("far", lseek(fd.get(), off_t{1} << 42, SEEK_SET));
  char c;
  t.Value("read_there", read(fd.get(), &c, 1));
  ScopedFd other(open("f", O_WRONLY | O_APPEND));
  Must(write(other.get(), "more", 4) == 4, "write");
  t.Value("end_after_growth", lseek(fd.get(), 0, SEEK_END));
}

CASE(fallocate, allocate) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Ok("plain", fallocate(fd.get(), 0, 0, 10000));
  t.AttributesOf("size", fd.get());
  struct stat st;
  Must(fstat(fd.get(), &st) == 0, "stat");
  t.Bool("blocks_there", st.st_blocks * 512 >= 10000);
  t.Ok("keep_size", fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 100000));
  t.AttributesOf("size_kept", fd.get());
  t.Ok("within", fallocate(fd.get(), 0, 100, 100));
  t.Ok("zero_length", fallocate(fd.get(), 0, 0, 0));
  t.Ok("negative_offset", fallocate(fd.get(), 0, -1, 10));
  t.Ok("negative_length", fallocate(fd.get(), 0, 0, -10));
  t.Ok("too_far", fallocate(fd.get(), 0, INT64_MAX - 5, 10));
  t.Value("posix", posix_fallocate(fd.get(), 0, 20000));
  t.AttributesOf("posix_size", fd.get());
  t.Content("zeros", "f");
}

CASE(fallocate, refused) {
  WriteFile("f", "x");
  ScopedFd reader(open("f", O_RDONLY));
  t.Ok("read_only", fallocate(reader.get(), 0, 0, 10));
  ScopedFd dir(open(".", O_RDONLY));
  t.Ok("directory", fallocate(dir.get(), 0, 0, 10));
  ScopedFd fd(open("f", O_RDWR));
  t.Ok("punch_without_keep_size", fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE, 0, 10));
  t.Ok("unknown_mode", fallocate(fd.get(), 0x1000, 0, 10));
  t.Ok("punch_and_zero",
       fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, 0,
                 10));
  Must(mkfifo("p", 0644) == 0, "mkfifo");
  ScopedFd pipe(open("p", O_RDWR));
  t.Ok("fifo", fallocate(pipe.get(), 0, 0, 10));
}

CASE(fallocate, punch_hole) {
  std::string content(kMiB, 'x');
  WriteFile("f", content);
  ScopedFd fd(open("f", O_RDWR));
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  t.Ok("aligned", fallocate(fd.get(), punch, 65536, 65536));
  t.Ok("odd", fallocate(fd.get(), punch, 300001, 10));
  t.Ok("at_end", fallocate(fd.get(), punch, kMiB - 100, 1000));
  t.Ok("beyond", fallocate(fd.get(), punch, 5 * kMiB, 1000));
  t.AttributesOf("size", fd.get());
  t.Content("content", "f");
  Must(fsync(fd.get()) == 0, "fsync");
  t.Say("layout", Layout(fd.get()));
}

CASE(fallocate, zero_range) {
  WriteFile("f", std::string(100000, 'x'));
  ScopedFd fd(open("f", O_RDWR));
  t.Ok("inside", fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 1000, 50000));
  t.Content("content", "f");
  t.Ok("over_the_end", fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 90000, 50000));
  t.AttributesOf("grown", fd.get());
  t.Ok("keep_size", fallocate(fd.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 130000, 50000));
  t.AttributesOf("kept", fd.get());
  t.Content("after", "f");
}

CASE(sparse, append_after_hole) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT | O_APPEND);
  Must(ftruncate(fd.get(), 5000) == 0, "truncate");
  t.Value("append", write(fd.get(), "end", 3));
  t.AttributesOf("size", fd.get());
  t.Content("content", "f");
}

CASE(sparse, random_writes) {
  // Overlapping writes and cuts at odd offsets against a model in memory.
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  std::string model;
  uint64_t state = 12345;
  auto next = [&](uint64_t bound) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % bound;
  };
  int wrong = 0;
  for (int i = 0; i < 300; ++i) {
    size_t at = next(300000), length = next(70000) + 1;
    switch (next(5)) {
      case 0:
        Must(ftruncate(fd.get(), at) == 0, "truncate");
        model.resize(at);
        break;
      case 1: {
        std::string got(length, '?');
        ssize_t n = pread(fd.get(), got.data(), length, at);
        std::string want = at < model.size() ? model.substr(at, length) : "";
        wrong += n < 0 || got.substr(0, n) != want;
        break;
      }
      default: {
        std::string data(length, static_cast<char>('a' + next(26)));
        wrong += pwrite(fd.get(), data.data(), length, at) != static_cast<ssize_t>(length);
        if (model.size() < at + length) model.resize(at + length);
        model.replace(at, length, data);
      }
    }
  }
  t.Value("wrong", wrong);
  t.Bool("equal", ReadAll(fd.get()) == model);
  t.Content("content", "f");
}

}  // namespace conformance
