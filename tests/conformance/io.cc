// Reading and writing: vectors, positions, appends by several processes, copies, syncing.

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "observe.h"

namespace conformance {

CASE(io, positions) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Value("write", write(fd.get(), "0123456789", 10));
  char buffer[32] = {};
  t.Value("pread", pread(fd.get(), buffer, 4, 3));
  t.Say("pread_text", Printable(std::string(buffer, 4)));
  t.Value("offset_unmoved", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("pwrite", pwrite(fd.get(), "XY", 2, 1));
  t.Value("offset_still", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("read_at_end", read(fd.get(), buffer, 8));
  t.Value("pread_over_end", pread(fd.get(), buffer, 32, 8));
  t.Value("pread_beyond", pread(fd.get(), buffer, 8, 100));
  t.Value("pread_negative", pread(fd.get(), buffer, 8, -1));
  t.Value("pread_0", pread(fd.get(), buffer, 0, 0));
  void* bad = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  t.Value("bad_address", pread(fd.get(), bad, 8, 0));
  t.Value("write_bad_address", pwrite(fd.get(), bad, 8, 0));
  t.Content("text", "f");
}

CASE(io, vectors) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  char a[] = "abc", b[] = "", c[] = "defgh";
  iovec out[3] = {{a, 3}, {b, 0}, {c, 5}};
  t.Value("writev", writev(fd.get(), out, 3));
  t.Value("pwritev", pwritev(fd.get(), out, 3, 100));
  t.AttributesOf("size", fd.get());
  char x[2] = {}, y[20] = {};
  iovec in[2] = {{x, 2}, {y, 20}};
  t.Value("preadv", preadv(fd.get(), in, 2, 99));
  t.Say("first", Printable(std::string(x, 2)));
  t.Say("second", Printable(std::string(y, 20)));
  lseek(fd.get(), 0, SEEK_SET);
  t.Value("readv", readv(fd.get(), in, 2));
  t.Value("no_vectors", writev(fd.get(), out, 0));
  std::vector<iovec> many(IOV_MAX + 1, iovec{a, 1});
  t.Value("too_many", pwritev(fd.get(), many.data(), IOV_MAX + 1, 0));
  t.Value("most", pwritev(fd.get(), many.data(), IOV_MAX, 0));
  t.Content("text", "f");
}

CASE(io, preadv2_flags) {
  WriteFile("f", "0123456789");
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char buffer[16];
  iovec v = {buffer, 4};
  t.Value("offset_minus_1", preadv2(fd.get(), &v, 1, -1, 0));
  t.Value("offset_moved", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("hipri", preadv2(fd.get(), &v, 1, 0, RWF_HIPRI));
  t.Value("unknown", preadv2(fd.get(), &v, 1, 0, 0x40000000));
  memcpy(buffer, "WXYZ", 4);
  t.Value("append", pwritev2(fd.get(), &v, 1, 0, RWF_APPEND));
  t.Value("sync", pwritev2(fd.get(), &v, 1, 2, RWF_SYNC));
  t.Value("dsync", pwritev2(fd.get(), &v, 1, 4, RWF_DSYNC));
  t.Content("text", "f");
}

CASE(io, large_transfers) {
  std::string data(5'000'000, ' ');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>((i * 2654435761U) >> 13);
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Value("write", write(fd.get(), data.data(), data.size()));
  std::string back(data.size() + 10, '?');
  t.Value("read", pread(fd.get(), back.data(), back.size(), 0));
  t.Bool("equal", back.substr(0, data.size()) == data);
  t.Value("odd_write", pwrite(fd.get(), data.data(), 3'000'001, 777));
  t.Value("odd_read", pread(fd.get(), back.data(), 3'000'001, 777));
  t.Bool("odd_equal", memcmp(back.data(), data.data(), 3'000'001) == 0);
}

CASE(io, small_pieces) {
  std::string data;
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  for (int i = 0; i < 500; ++i) {
    std::string piece = std::to_string(i * i) + ",";
    Must(write(fd.get(), piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()),
         "write");
    data += piece;
  }
  t.Bool("equal", ReadAll(fd.get()) == data);
  lseek(fd.get(), 0, SEEK_SET);
  std::string back;
  char piece[7];
  for (ssize_t n; (n = read(fd.get(), piece, sizeof piece)) > 0;) back.append(piece, n);
  t.Bool("read_in_sevens", back == data);
}

CASE(io, appends_of_two_processes) {
  // Each record is whole and none is lost.
  ScopedFd(open("f", O_WRONLY | O_CREAT, 0644));
  std::vector<pid_t> pids;
  for (char who : {'a', 'b', 'c'}) {
    pid_t pid = fork();
    Must(pid >= 0, "fork");
    if (pid == 0) {
      ScopedFd fd(open("f", O_WRONLY | O_APPEND));
      for (int i = 0; i < 200; ++i) {
        std::string record(63, who);
        record += "\n";
        if (write(fd.get(), record.data(), 64) != 64) _exit(1);
      }
      _exit(0);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) t.Value("writer", WaitExit(pid));
  ScopedFd fd(open("f", O_RDONLY));
  std::string all = ReadAll(fd.get());
  t.Value("size", static_cast<long>(all.size()));
  std::map<std::string, int> counts;
  for (size_t at = 0; at + 64 <= all.size(); at += 64) ++counts[all.substr(at, 64)];
  for (auto& [record, count] : counts) t.Value("records_" + record.substr(0, 2), count);
}

CASE(io, shared_offset_of_parent_and_child) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  Must(write(fd.get(), "0123456789", 10) == 10 && lseek(fd.get(), 2, SEEK_SET) == 2, "setup");
  t.InChild("child", [&] {
    char c[3];
    t.Value("child_reads", read(fd.get(), c, 3));
    t.Say("child_text", Printable(std::string(c, 3)));
  });
  t.Value("parent_offset", lseek(fd.get(), 0, SEEK_CUR));
}

CASE(io, writes_seen_by_other_opens) {
  ScopedFd a = t.Open("a", "f", O_RDWR | O_CREAT);
  ScopedFd b = t.Open("b", "f", O_RDWR);
  bool right = true;
  for (int i = 0; i < 50; ++i) {
    std::string text = "value " + std::to_string(i);
    Must(pwrite(a.get(), text.data(), text.size(), 0) >= 0, "write");
    right = right && ReadAll(b.get()) == text;
  }
  t.Bool("always_seen", right);
  Must(ftruncate(a.get(), 3) == 0, "truncate");
  t.Say("truncated", Printable(ReadAll(b.get())));
}

CASE(io, copy_file_range) {
  WriteFile("f", "0123456789");
  ScopedFd in = t.Open("in", "f", O_RDONLY);
  ScopedFd out = t.Open("out", "g", O_RDWR | O_CREAT);
  t.Value("five", copy_file_range(in.get(), nullptr, out.get(), nullptr, 5, 0));
  t.Value("in_offset", lseek(in.get(), 0, SEEK_CUR));
  t.Value("out_offset", lseek(out.get(), 0, SEEK_CUR));
  off_t from = 8, to = 20;
  t.Value("at_offsets", copy_file_range(in.get(), &from, out.get(), &to, 100, 0));
  t.Value("from", from);
  t.Value("to", to);
  t.Value("at_end", copy_file_range(in.get(), &from, out.get(), &to, 100, 0));
  t.Value("flags", copy_file_range(in.get(), nullptr, out.get(), nullptr, 5, 1));
  t.Value("out_read_only", copy_file_range(out.get(), nullptr, in.get(), nullptr, 5, 0));
  ScopedFd append = t.Open("append", "g", O_WRONLY | O_APPEND);
  t.Value("to_append", copy_file_range(in.get(), nullptr, append.get(), nullptr, 5, 0));
  ScopedFd dir(open(".", O_RDONLY));
  t.Value("from_directory", copy_file_range(dir.get(), nullptr, out.get(), nullptr, 5, 0));
  from = 0, to = 4;
  ScopedFd same = t.Open("same", "f", O_RDWR);
  t.Value("overlap", copy_file_range(same.get(), &from, same.get(), &to, 6, 0));
  from = 0, to = 10;
  t.Value("same_file", copy_file_range(same.get(), &from, same.get(), &to, 6, 0));
  t.Content("f", "f");
  t.Content("g", "g");
}

CASE(io, copy_large) {
  std::string data(3'000'000, 'c');
  for (size_t i = 0; i < data.size(); i += 1000) data[i] = static_cast<char>(i / 1000);
  WriteFile("f", data);
  ScopedFd in(open("f", O_RDONLY)), out(open("g", O_RDWR | O_CREAT, 0644));
  size_t done = 0;
  for (ssize_t n; (n = copy_file_range(in.get(), nullptr, out.get(), nullptr, data.size(), 0)) > 0;)
    done += n;
  t.Value("copied", static_cast<long>(done));
  t.Bool("equal", ReadAll(out.get()) == data);
}

CASE(io, sendfile) {
  WriteFile("f", "0123456789");
  ScopedFd in = t.Open("in", "f", O_RDONLY);
  ScopedFd out = t.Open("out", "g", O_WRONLY | O_CREAT);
  t.Value("file_to_file", sendfile(out.get(), in.get(), nullptr, 4));
  off_t at = 6;
  t.Value("with_offset", sendfile(out.get(), in.get(), &at, 100));
  t.Value("offset", at);
  int pipes[2];
  Must(pipe(pipes) == 0, "pipe");
  t.Value("to_pipe", sendfile(pipes[1], in.get(), nullptr, 100));
  char buffer[16];
  t.Value("from_pipe", read(pipes[0], buffer, sizeof buffer));
  ScopedFd append = t.Open("append", "g", O_WRONLY | O_APPEND);
  at = 0;
  t.Value("to_append", sendfile(append.get(), in.get(), &at, 4));
  t.Content("g", "g");
}

CASE(io, splice) {
  WriteFile("f", std::string(20000, 's'));
  ScopedFd in = t.Open("in", "f", O_RDONLY), out = t.Open("out", "g", O_RDWR | O_CREAT);
  int pipes[2];
  Must(pipe(pipes) == 0, "pipe");
  size_t total = 0;
  for (ssize_t n; (n = splice(in.get(), nullptr, pipes[1], nullptr, 10000, 0)) > 0;) {
    for (ssize_t left = n; left > 0;) {
      ssize_t m = splice(pipes[0], nullptr, out.get(), nullptr, left, 0);
      Must(m > 0, "splice out");
      left -= m;
    }
    total += n;
  }
  t.Value("spliced", static_cast<long>(total));
  t.Content("g", "g");
}

CASE(io, syncing) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  Must(write(fd.get(), "x", 1) == 1, "write");
  t.Ok("fsync", fsync(fd.get()));
  t.Ok("fdatasync", fdatasync(fd.get()));
  t.Ok("syncfs", syncfs(fd.get()));
  t.Ok("sync_file_range", sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE));
  ScopedFd reader(open("f", O_RDONLY));
  t.Ok("fsync_reader", fsync(reader.get()));
  ScopedFd dir(open(".", O_RDONLY));
  t.Ok("fsync_directory", fsync(dir.get()));
  t.Ok("fdatasync_directory", fdatasync(dir.get()));
  Must(unlink("f") == 0, "unlink");
  t.Ok("fsync_unlinked", fsync(fd.get()));
  Must(mkfifo("p", 0644) == 0, "mkfifo");
  ScopedFd pipe(open("p", O_RDWR));
  t.Ok("fsync_fifo", fsync(pipe.get()));
}

CASE(io, advice_and_readahead) {
  WriteFile("f", "0123456789");
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  for (int advice : {POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                     POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE}) {
    t.Value("advice" + std::to_string(advice), posix_fadvise(fd.get(), 0, 0, advice));
  }
  t.Value("bad_advice", posix_fadvise(fd.get(), 0, 0, 77));
  t.Ok("readahead", readahead(fd.get(), 0, 10));
}

CASE(io, poll_and_ioctls) {
  WriteFile("f", "0123456789");
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  pollfd p = {fd.get(), POLLIN | POLLOUT, 0};
  t.Value("poll", poll(&p, 1, 0));
  t.Value("events", p.revents);
  int available = -1;
  Must(lseek(fd.get(), 4, SEEK_SET) == 4, "seek");
  t.Ok("fionread", ioctl(fd.get(), FIONREAD, &available));
  t.Value("available", available);
  t.Ok("unknown", ioctl(fd.get(), 0x5401 /* TCGETS */, &available));
}

CASE(io, write_0_bytes) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Value("write", write(fd.get(), "", 0));
  t.Value("pwrite_far", pwrite(fd.get(), "", 0, 1000));
  t.AttributesOf("size", fd.get());
}

CASE(io, many_files_at_once) {
  std::vector<ScopedFd> fds;
  for (int i = 0; i < 200; ++i)
    fds.emplace_back(open(("f" + std::to_string(i)).c_str(), O_RDWR | O_CREAT, 0644));
  bool right = true;
  for (int i = 0; i < 200; ++i) {
    std::string text = std::to_string(i);
    right =
        right && write(fds[i].get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  for (int i = 0; i < 200; ++i) right = right && ReadAll(fds[i].get()) == std::to_string(i);
  t.Bool("each_its_own", right);
}

}  // namespace conformance
