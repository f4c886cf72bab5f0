// Memory maps of files.

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "observe.h"

namespace conformance {

namespace {

constexpr size_t kPage = 4096;

char* Map(int fd, size_t length, int protection, int flags, off_t offset = 0) {
  void* m = mmap(nullptr, length, protection, flags, fd, offset);
  return m == MAP_FAILED ? nullptr : static_cast<char*>(m);
}

}  // namespace

CASE(mmap, private_read) {
  WriteFile("f", std::string(10000, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  char* m = Map(fd.get(), 10000, PROT_READ, MAP_PRIVATE);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  fd.reset();
  t.Say("text", Printable(std::string(m, 10000)));
  t.Say("rest_of_page", Printable(std::string(m + 10000, 20)));
}

CASE(mmap, private_write_stays_private) {
  WriteFile("f", std::string(5000, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  char* m = Map(fd.get(), 5000, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  m[10] = 'X';
  t.Ok("msync", msync(m, 5000, MS_SYNC));
  t.Content("file", "f");
}

CASE(mmap, shared_read) {
  WriteFile("f", std::string(5000, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  char* m = Map(fd.get(), 5000, PROT_READ, MAP_SHARED);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  t.Say("text", Printable(std::string(m, 5000)));
  t.Say("write_map_of_reader",
        Map(fd.get(), 5000, PROT_WRITE, MAP_SHARED) ? "ok" : ErrnoName(errno));
  t.Ok("mprotect", mprotect(m, 5000, PROT_READ | PROT_WRITE));
}

CASE(mmap, shared_write_seen_by_read) {
  WriteFile("f", std::string(8192, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  memcpy(m + 4090, "across pages", 12);
  t.Ok("msync", msync(m, 8192, MS_SYNC));
  t.Content("after_msync", "f");
  m[0] = 'Z';
  t.Ok("munmap", munmap(m, 8192));
  fd.reset();
  t.Content("after_munmap", "f");
}

CASE(mmap, write_seen_by_map) {
  WriteFile("f", std::string(4096, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), 4096, PROT_READ, MAP_SHARED);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  t.Say("before", Printable(std::string(m, 8)));
  t.Value("pwrite", pwrite(fd.get(), "new text", 8, 0));
  t.Say("after", Printable(std::string(m, 8)));
}

CASE(mmap, two_maps_of_one_file) {
  WriteFile("f", std::string(4096, 'p'));
  ScopedFd a = t.Open("a", "f", O_RDWR), b = t.Open("b", "f", O_RDWR);
  char* x = Map(a.get(), 4096, PROT_READ | PROT_WRITE, MAP_SHARED);
  char* y = Map(b.get(), 4096, PROT_READ | PROT_WRITE, MAP_SHARED);
  t.Say("maps", x && y ? "ok" : ErrnoName(errno));
  if (!x || !y) return;
  x[7] = 'X';
  t.Say("seen_by_other_map", Printable(std::string(y, 10)));
  t.InChild("child", [&] { y[8] = 'Y'; });
  t.Say("seen_from_child", Printable(std::string(x, 10)));
}

CASE(mmap, beyond_the_end) {
  WriteFile("f", std::string(100, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), 3 * kPage, PROT_READ, MAP_SHARED);
  t.Say("map", m ? "ok" : ErrnoName(errno));
  if (!m) return;
  t.Say("tail", Printable(std::string(m + 95, 10)));
  t.InChild("page_behind_the_end", [&] {
    signal(SIGBUS, SIG_DFL);
    volatile char c = m[kPage];
    (void)c;
  });
  Must(ftruncate(fd.get(), 2 * kPage) == 0, "truncate");
  t.InChild("after_growth", [&] {
    volatile char c = m[kPage];
    t.Value("byte", c);
  });
  t.InChild("still_behind", [&] {
    signal(SIGBUS, SIG_DFL);
    volatile char c = m[2 * kPage];
    (void)c;
  });
}

CASE(mmap, truncated_below) {
  WriteFile("f", std::string(3 * kPage, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), 3 * kPage, PROT_READ, MAP_SHARED);
  if (!m) return t.Say("map", ErrnoName(errno));
  volatile char c = m[2 * kPage];
  (void)c;
  Must(ftruncate(fd.get(), 10) == 0, "truncate");
  t.InChild("cut_page", [&] {
    signal(SIGBUS, SIG_DFL);
    volatile char d = m[2 * kPage];
    (void)d;
  });
  t.Say("rest", Printable(std::string(m, 20)));
}

CASE(mmap, stores_behind_a_new_end) {
  WriteFile("f", std::string(2 * kPage, 'p'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (!m) return t.Say("map", ErrnoName(errno));
  m[10] = m[kPage + 10] = 'X';
  Must(truncate("f", 100) == 0, "truncate");
  t.Ok("msync", msync(m, kPage, MS_SYNC));
  Must(munmap(m, 2 * kPage) == 0, "munmap");
  fd.reset();
  t.Content("text", "f");
}

ROOT_CASE(mmap, file_capabilities_stay) {
  // A write(2) takes them away (see xattr.file_capabilities), a store through a map does not.
  const unsigned char chown_capability[20] = {1, 0, 0, 2, 1};  // VFS_CAP_REVISION_2, effective
  WriteFile("f", std::string(kPage, 'p'), 0777);
  t.Ok("set", setxattr("f", "security.capability", chown_capability, 20, 0));
  t.As("alice", kAlice, [&] {
    ScopedFd fd = t.Open("open", "f", O_RDWR);
    char* m = Map(fd.get(), kPage, PROT_READ | PROT_WRITE, MAP_SHARED);
    if (!m) return t.Say("map", ErrnoName(errno));
    m[0] = 'X';
    t.Ok("msync", msync(m, kPage, MS_SYNC));
  });
  char value[64];
  t.Value("left", getxattr("f", "security.capability", value, sizeof value));
  t.Content("text", "f");
}

CASE(mmap, offset_and_refusals) {
  WriteFile("f", std::string(kPage, 'a') + std::string(kPage, 'b'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), kPage, PROT_READ, MAP_PRIVATE, kPage);
  t.Say("second_page", m ? Printable(std::string(m, 4)) : ErrnoName(errno));
  t.Say("odd_offset", Map(fd.get(), kPage, PROT_READ, MAP_PRIVATE, 100) ? "ok" : ErrnoName(errno));
  t.Say("length_0", Map(fd.get(), 0, PROT_READ, MAP_PRIVATE) ? "ok" : ErrnoName(errno));
  ScopedFd writer(open("f", O_WRONLY));
  t.Say("of_writer", Map(writer.get(), kPage, PROT_READ, MAP_PRIVATE) ? "ok" : ErrnoName(errno));
  ScopedFd dir(open(".", O_RDONLY));
  t.Say("of_directory", Map(dir.get(), kPage, PROT_READ, MAP_PRIVATE) ? "ok" : ErrnoName(errno));
}

CASE(mmap, unlinked) {
  WriteFile("f", std::string(kPage, 'u'));
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  char* m = Map(fd.get(), kPage, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (!m) return t.Say("map", ErrnoName(errno));
  Must(unlink("f") == 0, "unlink");
  fd.reset();
  t.Say("readable", Printable(std::string(m, 4)));
  m[0] = 'X';
  t.Ok("msync", msync(m, kPage, MS_SYNC));
  t.Say("written", Printable(std::string(m, 4)));
}

CASE(mmap, program_runs) {
  // A program started from here is mapped from here; it cannot be written meanwhile.
  ScopedFd in(open("/bin/cat", O_RDONLY));
  Must(in.valid(), "open cat");
  WriteFile("cat", ReadAll(in.get()), 0755);
  int in_pipe[2], out_pipe[2];
  Must(pipe(in_pipe) == 0 && pipe(out_pipe) == 0, "pipe");
  pid_t pid = fork();
  if (pid == 0) {
    dup2(in_pipe[0], 0);
    dup2(out_pipe[1], 1);
    for (int fd : {in_pipe[0], in_pipe[1], out_pipe[0], out_pipe[1]}) close(fd);
    execl("./cat", "cat", nullptr);
    _exit(errno);
  }
  close(in_pipe[0]);
  close(out_pipe[1]);
  Must(write(in_pipe[1], "hello", 5) == 5, "write");
  char text[8] = {};
  t.Value("echo", read(out_pipe[0], text, sizeof text));
  t.Say("text", Printable(text));
  t.Open("write_while_running", "cat", O_WRONLY);
  t.Ok("truncate_while_running", truncate("cat", 0));
  t.Ok("unlink_while_running", unlink("cat"));
  close(in_pipe[1]);
  t.Value("exit", WaitExit(pid));
}

}  // namespace conformance
