// Making and opening files: the flags of open(2) and what each may refuse.

#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "observe.h"

namespace conformance {

CASE(create, plain) {
  t.Open("new", "a", O_WRONLY | O_CREAT | O_EXCL);
  t.Attributes("made", "a");
  t.Open("again_excl", "a", O_WRONLY | O_CREAT | O_EXCL);
  t.Open("again", "a", O_WRONLY | O_CREAT, 0600);
  t.Attributes("mode_kept", "a");
  t.Listing("names", ".");
  int fd = creat("c", 0640);
  t.Ok("creat", fd);
  t.AttributesOf("creat_made", fd);
  close(fd);
}

CASE(create, modes) {
  const mode_t modes[] = {0, 0400, 0200, 0111, 0644, 0777, 01777, 02755, 04755, 06777, 07777};
  for (mode_t mask : {0, 022, 077, 0777, 0111}) {
    umask(mask);
    for (mode_t mode : modes) {
      std::string name = "f" + ModeText(mode) + "-" + ModeText(mask);
      t.Open("open" + name, name, O_RDWR | O_CREAT | O_EXCL, mode);
      t.Attributes(name, name);
    }
  }
  umask(022);
}

CASE(create, mode_forbids_only_later_opens) {
  ScopedFd fd = t.Open("new_mode_0", "a", O_RDWR | O_CREAT | O_EXCL, 0);
  t.Value("write", write(fd.get(), "hello", 5));
  char buffer[8] = {};
  t.Value("read", pread(fd.get(), buffer, 8, 0));
  t.Say("text", Printable(buffer));
  t.Open("read_again", "a", O_RDONLY);
  t.Open("write_again", "a", O_WRONLY);
  t.Open("create_again", "a", O_RDWR | O_CREAT, 0666);
}

CASE(create, symlink_in_the_way) {
  Must(symlink("target", "s") == 0, "symlink");
  t.Open("excl", "s", O_WRONLY | O_CREAT | O_EXCL);
  t.Open("without_creat", "s", O_WRONLY);
  t.Open("nofollow", "s", O_WRONLY | O_CREAT | O_NOFOLLOW);
  t.Open("follows", "s", O_WRONLY | O_CREAT);
  t.Attributes("target", "target");
  Must(symlink("no/where", "deep") == 0, "symlink");
  t.Open("no_parent", "deep", O_WRONLY | O_CREAT);
  Must(symlink("target/", "slash") == 0, "symlink");
  t.Open("to_file_with_slash", "slash", O_RDONLY);
  t.Listing("names", ".");
}

CASE(create, on_directory) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Open("creat", "d", O_RDONLY | O_CREAT);
  t.Open("creat_excl", "d", O_RDONLY | O_CREAT | O_EXCL);
  t.Open("write", "d", O_WRONLY);
  t.Open("rdwr", "d", O_RDWR);
  t.Open("trunc", "d", O_RDONLY | O_TRUNC);
  t.Open("append", "d", O_RDONLY | O_APPEND);
  ScopedFd fd = t.Open("read", "d", O_RDONLY);
  char buffer[8];
  t.Value("read_bytes", read(fd.get(), buffer, 8));
  t.Value("pread_bytes", pread(fd.get(), buffer, 8, 0));
  t.Value("write_bytes", write(fd.get(), buffer, 8));
  t.Ok("ftruncate", ftruncate(fd.get(), 0));
  t.Ok("truncate", truncate("d", 0));
  t.Ok("fsync", fsync(fd.get()));
}

CASE(create, trailing_slash) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Open("new", "new/", O_WRONLY | O_CREAT);
  t.Open("file", "f/", O_RDONLY);
  t.Open("file_creat", "f/", O_RDONLY | O_CREAT);
  t.Open("dir", "d/", O_RDONLY);
  t.Open("dir_dot", "d/.", O_RDONLY);
  t.Open("file_dot", "f/.", O_RDONLY);
  t.Open("file_dotdot", "f/..", O_RDONLY);
  t.Open("slashes", ".//d///", O_RDONLY);
}

CASE(create, missing_parent) {
  WriteFile("f", "x");
  t.Open("no_parent", "no/a", O_WRONLY | O_CREAT);
  t.Open("file_as_parent", "f/a", O_WRONLY | O_CREAT);
  t.Open("empty", "", O_WRONLY | O_CREAT);
  t.Open("missing", "a", O_RDONLY);
  t.Open("missing_directory", "a", O_RDONLY | O_DIRECTORY);
  t.Open("dot", ".", O_WRONLY | O_CREAT);
  t.Open("dotdot", "..", O_WRONLY | O_CREAT);
  t.Ok("bad_fd", openat(-5, "a", O_RDONLY));
  ScopedFd file(open("f", O_RDONLY));
  t.Ok("file_as_dirfd", openat(file.get(), "a", O_RDONLY));
}

CASE(create, trunc) {
  WriteFile("a", "0123456789");
  ScopedFd other = t.Open("other", "a", O_RDONLY);
  t.Open("write_trunc", "a", O_WRONLY | O_TRUNC);
  t.Attributes("after", "a");
  t.AttributesOf("seen_by_other_open", other.get());
  WriteFile("b", "0123456789");
  t.Open("read_trunc", "b", O_RDONLY | O_TRUNC);
  t.Attributes("read_trunc_after", "b");
  WriteFile("c", "0123456789", 0444);
  t.Open("trunc_without_right", "c", O_RDONLY | O_TRUNC);
  t.Attributes("without_right_after", "c");
  t.Open("creat_trunc", "d", O_WRONLY | O_CREAT | O_TRUNC);
  t.Open("excl_trunc_existing", "d", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC);
}

CASE(create, append) {
  WriteFile("a", "01234");
  ScopedFd fd = t.Open("open", "a", O_RDWR | O_APPEND);
  t.Value("offset", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("write", write(fd.get(), "56", 2));
  t.Value("offset_after", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("seek", lseek(fd.get(), 1, SEEK_SET));
  t.Value("write_again", write(fd.get(), "78", 2));
  t.Value("offset_again", lseek(fd.get(), 0, SEEK_CUR));
  t.Value("pwrite", pwrite(fd.get(), "9", 1, 0));
  t.Content("text", "a");
  ScopedFd plain = t.Open("plain", "a", O_WRONLY);
  t.Value("grow", pwrite(plain.get(), "ABC", 3, 10));
  t.Value("append_after_other", write(fd.get(), "D", 1));
  t.Content("text_after", "a");
}

CASE(create, append_switched_by_fcntl) {
  WriteFile("a", "01234");
  ScopedFd fd = t.Open("open", "a", O_WRONLY);
  t.Ok("set", fcntl(fd.get(), F_SETFL, O_APPEND));
  t.Value("flags", fcntl(fd.get(), F_GETFL) & (O_APPEND | O_ACCMODE));
  t.Value("write", write(fd.get(), "X", 1));
  t.Content("appended", "a");
  t.Ok("clear", fcntl(fd.get(), F_SETFL, 0));
  t.Value("seek", lseek(fd.get(), 0, SEEK_SET));
  t.Value("write_first", write(fd.get(), "Y", 1));
  t.Content("overwritten", "a");
}

CASE(create, directory_flag) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0 && symlink("d", "sd") == 0 && symlink("f", "sf") == 0, "setup");
  t.Open("file", "f", O_RDONLY | O_DIRECTORY);
  t.Open("dir", "d", O_RDONLY | O_DIRECTORY);
  t.Open("link_to_dir", "sd", O_RDONLY | O_DIRECTORY);
  t.Open("link_to_file", "sf", O_RDONLY | O_DIRECTORY);
  t.Open("link_nofollow", "sd", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  t.Open("dir_write", "d", O_WRONLY | O_DIRECTORY);
  t.Open("creat", "new", O_RDONLY | O_DIRECTORY | O_CREAT);
  t.Listing("names", ".");
}

CASE(create, nofollow) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0 && symlink("d", "sd") == 0 && symlink("f", "sf") == 0, "setup");
  WriteFile("d/in", "y");
  t.Open("file", "f", O_RDONLY | O_NOFOLLOW);
  t.Open("link", "sf", O_RDONLY | O_NOFOLLOW);
  t.Open("link_to_dir", "sd", O_RDONLY | O_NOFOLLOW);
  t.Open("link_in_the_middle", "sd/in", O_RDONLY | O_NOFOLLOW);
  ScopedFd link = t.Open("path", "sf", O_PATH | O_NOFOLLOW);
  t.AttributesOf("path_is_the_link", link.get());
  char target[16] = {};
  t.Value("readlinkat_empty", readlinkat(link.get(), "", target, sizeof target));
  t.Say("target", Printable(target));
}

CASE(create, tmpfile) {
  ScopedFd fd = t.Open("open", ".", O_RDWR | O_TMPFILE, 0640);
  t.Listing("no_name", ".");
  t.AttributesOf("unlinked", fd.get());
  t.Value("write", write(fd.get(), "hidden", 6));
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  t.Ok("link", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  t.AttributesOf("linked", fd.get());
  t.Content("text", "named");
  t.Attributes("named", "named");
}

CASE(create, tmpfile_refused) {
  WriteFile("f", "x");
  ScopedFd never = t.Open("excl", ".", O_WRONLY | O_TMPFILE | O_EXCL, 0600);
  std::string self = "/proc/self/fd/" + std::to_string(never.get());
  t.Ok("link_of_excl", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  t.Open("read_only", ".", O_RDONLY | O_TMPFILE, 0600);
  t.Open("in_file", "f", O_WRONLY | O_TMPFILE, 0600);
  t.Open("in_nothing", "no", O_WRONLY | O_TMPFILE, 0600);
  umask(027);
  ScopedFd masked = t.Open("umask", ".", O_WRONLY | O_TMPFILE, 0777);
  t.AttributesOf("masked", masked.get());
}

CASE(create, path_descriptor) {
  WriteFile("f", "0123");
  Must(mkdir("d", 0755) == 0, "mkdir");
  WriteFile("d/in", "in");
  ScopedFd file = t.Open("file", "f", O_PATH);
  char buffer[8];
  t.Value("read", read(file.get(), buffer, 4));
  t.Value("write", write(file.get(), "x", 1));
  t.Ok("fchmod", fchmod(file.get(), 0600));
  t.Ok("fchown", fchown(file.get(), getuid(), getgid()));
  t.Ok("ftruncate", ftruncate(file.get(), 0));
  t.AttributesOf("fstat", file.get());
  std::string self = "/proc/self/fd/" + std::to_string(file.get());
  t.Content("reopened", self);
  ScopedFd dir = t.Open("dir", "d", O_PATH);
  ScopedFd inner(openat(dir.get(), "in", O_RDONLY));
  t.Ok("openat", inner.get());
  t.Ok("fchdir", fchdir(dir.get()));
  t.Content("here", "in");
  t.Open("mode_0", "../f", O_PATH);
  t.Open("missing", "../no", O_PATH);
}

CASE(create, access_mode) {
  WriteFile("f", "0123");
  char buffer[8];
  ScopedFd reader = t.Open("reader", "f", O_RDONLY);
  t.Value("write_to_reader", write(reader.get(), "x", 1));
  t.Value("pwrite_to_reader", pwrite(reader.get(), "x", 1, 0));
  t.Ok("ftruncate_reader", ftruncate(reader.get(), 1));
  t.Ok("fallocate_reader", posix_fallocate(reader.get(), 0, 1) == 0 ? 0 : -1);
  ScopedFd writer = t.Open("writer", "f", O_WRONLY);
  t.Value("read_from_writer", read(writer.get(), buffer, 1));
  t.Value("pread_from_writer", pread(writer.get(), buffer, 1, 0));
  ScopedFd neither = t.Open("neither", "f", O_ACCMODE);
  t.Value("read_from_neither", read(neither.get(), buffer, 1));
  t.Value("write_to_neither", write(neither.get(), buffer, 1));
  t.Content("unchanged", "f");
}

CASE(create, flags_kept) {
  const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR,  O_APPEND, O_NONBLOCK,
                       O_SYNC,   O_DSYNC,  O_ASYNC, O_NOATIME};
  for (int flag : flags) {
    std::string name = "0" + std::to_string(flag);
    ScopedFd fd = t.Open("open" + name, "f", flag | O_CREAT | O_TRUNC | O_RDWR);
    t.Value("flags" + name, fcntl(fd.get(), F_GETFL));
    t.Value("write" + name, write(fd.get(), "abc", 3));
  }
}

CASE(create, direct) {
  void* memory = nullptr;
  Must(posix_memalign(&memory, 4096, 8192) == 0, "memory");
  memset(memory, 'd', 8192);
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT | O_DIRECT);
  t.Value("write", pwrite(fd.get(), memory, 8192, 0));
  t.Attributes("size", "f");
  memset(memory, 0, 8192);
  t.Value("read", pread(fd.get(), memory, 4096, 4096));
  t.Say("text", Printable(std::string(static_cast<char*>(memory), 4096)));
  t.Value("at_end", pread(fd.get(), memory, 4096, 8192));
  ScopedFd buffered = t.Open("buffered", "f", O_RDWR);
  t.Value("buffered_write", pwrite(buffered.get(), "X", 1, 10));
  t.Value("direct_sees", pread(fd.get(), memory, 4096, 0));
  t.Say("direct_text", Printable(std::string(static_cast<char*>(memory), 16)));
  free(memory);
}

CASE(create, resolve_flags) {
  Must(mkdir("d", 0755) == 0 && symlink("../f", "d/up") == 0 && symlink("d", "sd") == 0, "setup");
  WriteFile("f", "x");
  WriteFile("d/in", "y");
  ScopedFd dir(open("d", O_PATH));
  auto how = [&](const char* point, int at, const char* path, uint64_t resolve) {
    open_how h = {};
    h.flags = O_RDONLY;
    h.resolve = resolve;
    int fd;
    do {  // openat2(2): EAGAIN means only that somebody renamed or mounted anything anywhere
          // meanwhile
      fd = static_cast<int>(syscall(SYS_openat2, at, path, &h, sizeof h));
    } while (fd < 0 && errno == EAGAIN);
    t.Ok(point, fd);
    if (fd >= 0) close(fd);
  };
  how("beneath", dir.get(), "in", RESOLVE_BENEATH);
  how("beneath_dotdot", dir.get(), "../f", RESOLVE_BENEATH);
  how("beneath_link", dir.get(), "up", RESOLVE_BENEATH);
  how("no_symlinks", AT_FDCWD, "sd/in", RESOLVE_NO_SYMLINKS);
  how("no_xdev", AT_FDCWD, "d/../d/in", RESOLVE_NO_XDEV);
  how("in_root", dir.get(), "/in", RESOLVE_IN_ROOT);
  how("in_root_dotdot", dir.get(), "../../in", RESOLVE_IN_ROOT);
}

CASE(create, same_file_many_times) {
  std::vector<ScopedFd> fds;
  for (int i = 0; i < 60; ++i) fds.emplace_back(open("f", O_RDWR | O_CREAT | O_APPEND, 0644));
  for (ScopedFd& fd : fds) Must(write(fd.get(), "ab", 2) == 2, "write");
  t.Attributes("size", "f");
  Must(unlink("f") == 0, "unlink");
  t.AttributesOf("unlinked", fds[30].get());
  t.Open("gone", "f", O_RDONLY);
}

CASE(create, close_twice_and_dup) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  int copy = dup(fd.get());
  t.Value("write", write(fd.get(), "0123", 4));
  t.Value("shared_offset", lseek(copy, 0, SEEK_CUR));
  int number = fd.release();
  t.Ok("close", close(number));
  t.Ok("close_again", close(number));
  t.Value("write_copy", write(copy, "45", 2));
  t.Content("text", "f");
  close(copy);
}

CASE(create, exclusive_race) {
  // Of eight processes that create the same name exclusively exactly one wins, each time.
  int winners = 0;
  for (int round = 0; round < 10; ++round) {
    std::string name = "r" + std::to_string(round);
    std::vector<pid_t> pids;
    for (int i = 0; i < 8; ++i) {
      pid_t pid = fork();
      Must(pid >= 0, "fork");
      if (pid == 0) _exit(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644) >= 0 ? 0 : errno);
      pids.push_back(pid);
    }
    for (pid_t pid : pids) {
      int code = WaitExit(pid);
      if (code == 0) ++winners;
      if (code != 0 && code != EEXIST) t.Say("unexpected", ErrnoName(code));
    }
  }
  t.Value("winners", winners);
}

}  // namespace conformance
