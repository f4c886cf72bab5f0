// Time stamps: which operation moves which, and setting them.

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include <climits>

#include "observe.h"

namespace conformance {

namespace {

// Watches path and its directory while body runs.
void Moved(Case& t, const std::string& point, const std::string& path,
           const std::function<void()>& body) {
  TimeWatch file(t, path);
  TimeWatch parent(t, ".");
  body();
  file.Report(point);
  parent.Report(point + "_dir");
}

std::string TimeText(const timespec& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

void SayTimes(Case& t, const std::string& point, const char* path) {
  struct stat st;
  if (lstat(path, &st) != 0) return t.Say(point, ErrnoName(errno));
  t.Say(point, "atime " + TimeText(st.st_atim) + " mtime " + TimeText(st.st_mtim));
}

bool Near(const timespec& time) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return time.tv_sec >= now.tv_sec - 60 && time.tv_sec <= now.tv_sec + 60;
}

}  // namespace

CASE(times, reading_and_writing) {
  WriteFile("f", "0123456789");
  char c[4];
  auto with = [](int flags, auto body) {
    ScopedFd fd(open("f", flags));
    Must(fd.valid(), "open");
    body(fd.get());
  };
  Moved(t, "open_close", "f", [&] { with(O_RDWR, [](int) {}); });
  Moved(t, "read", "f", [&] { with(O_RDONLY, [&](int fd) { (void)!read(fd, c, 1); }); });
  Moved(t, "read_0", "f", [&] { with(O_RDONLY, [&](int fd) { (void)!read(fd, c, 0); }); });
  Moved(t, "read_at_end", "f",
        [&] { with(O_RDONLY, [&](int fd) { (void)!pread(fd, c, 1, 100); }); });
  Moved(t, "read_noatime", "f",
        [&] { with(O_RDONLY | O_NOATIME, [&](int fd) { (void)!read(fd, c, 1); }); });
  Moved(t, "write", "f", [&] { with(O_WRONLY, [&](int fd) { (void)!write(fd, "x", 1); }); });
  Moved(t, "write_0", "f", [&] { with(O_WRONLY, [&](int fd) { (void)!write(fd, "x", 0); }); });
  Moved(t, "append", "f",
        [&] { with(O_WRONLY | O_APPEND, [&](int fd) { (void)!write(fd, "x", 1); }); });
  Moved(t, "fsync", "f", [&] { with(O_WRONLY, [&](int fd) { fsync(fd); }); });
  Moved(t, "seek", "f", [&] { with(O_RDONLY, [&](int fd) { lseek(fd, 3, SEEK_SET); }); });
  Moved(t, "stat_and_access", "f", [&] { (void)!access("f", R_OK); });
}

CASE(times, sizes) {
  WriteFile("f", "0123456789");
  Moved(t, "truncate", "f", [] { (void)!truncate("f", 5); });
  Moved(t, "truncate_same", "f", [] { (void)!truncate("f", 5); });
  Moved(t, "grow", "f", [] { (void)!truncate("f", 50); });
  ScopedFd fd(open("f", O_RDWR));
  Moved(t, "ftruncate", "f", [&] { (void)!ftruncate(fd.get(), 20); });
  Moved(t, "ftruncate_same", "f", [&] { (void)!ftruncate(fd.get(), 20); });
  Moved(t, "fallocate_beyond", "f", [&] { fallocate(fd.get(), 0, 0, 100); });
  Moved(t, "fallocate_keep_size", "f", [&] { fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 5000); });
  Moved(t, "punch", "f",
        [&] { fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 10); });
  Moved(t, "open_trunc", "f", [] { ScopedFd(open("f", O_WRONLY | O_TRUNC)); });
  Moved(t, "open_trunc_empty", "f", [] { ScopedFd(open("f", O_WRONLY | O_TRUNC)); });
}

CASE(times, attributes) {
  WriteFile("f", "x");
  Moved(t, "chmod", "f", [] { chmod("f", 0600); });
  Moved(t, "chmod_same", "f", [] { chmod("f", 0600); });
  Moved(t, "chown_same", "f", [] { (void)!chown("f", getuid(), getgid()); });
  Moved(t, "chown_nothing", "f",
        [] { (void)!chown("f", static_cast<uid_t>(-1), static_cast<gid_t>(-1)); });
  Moved(t, "link", "f", [] { (void)!link("f", "g"); });
  Moved(t, "unlink_other_name", "f", [] { unlink("g"); });
  Moved(t, "rename", "f", [] {
    rename("f", "h");
    rename("h", "f");
  });
  Moved(t, "utimes_now", "f", [] { utimensat(AT_FDCWD, "f", nullptr, 0); });
  Moved(t, "failed_chmod", "f", [] { chmod("f/x", 0600); });
  Moved(t, "failed_create", "f", [] { ScopedFd(open("f", O_CREAT | O_EXCL, 0600)); });
  Moved(t, "open_existing_creat", "f", [] { ScopedFd(open("f", O_CREAT | O_WRONLY, 0600)); });
}

CASE(times, directories) {
  Must(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0, "mkdir");
  Moved(t, "create", "d", [] { WriteFile("d/f", ""); });
  Moved(t, "write_inside", "d", [] { WriteFile("d/f", "more"); });
  Moved(t, "mkdir", "d", [] { mkdir("d/sub", 0755); });
  Moved(t, "create_deeper", "d", [] { WriteFile("d/sub/f", ""); });
  Moved(t, "symlink", "d", [] { (void)!symlink("x", "d/s"); });
  Moved(t, "fifo", "d", [] { mkfifo("d/p", 0600); });
  Moved(t, "link", "d", [] { (void)!link("d/f", "d/l"); });
  Moved(t, "rename_within", "d", [] { rename("d/l", "d/m"); });
  Moved(t, "rename_out", "d", [] { rename("d/m", "e/m"); });
  Moved(t, "rename_in", "d", [] { rename("e/m", "d/m"); });
  Moved(t, "unlink", "d", [] { unlink("d/m"); });
  Moved(t, "failed_unlink", "d", [] { unlink("d/none"); });
  Moved(t, "readdir", "d", [] { Names("d"); });
  Moved(t, "lookup", "d", [] { (void)!access("d/f", F_OK); });
  Moved(t, "chdir", "d", [] {
    (void)!chdir("d");
    (void)!chdir("..");
  });
  Moved(t, "rmdir_sub", "d", [] {
    unlink("d/sub/f");
    rmdir("d/sub");
  });
}

CASE(times, symlinks) {
  WriteFile("f", "x");
  Must(symlink("f", "s") == 0, "symlink");
  char buffer[16];
  Moved(t, "readlink", "s", [&] { (void)!readlink("s", buffer, sizeof buffer); });
  Moved(t, "follow", "s", [&] { (void)!access("s", F_OK); });
  Moved(t, "target_of_follow", "f", [&] { (void)!access("s", F_OK); });
  Moved(t, "rename", "s", [&] {
    rename("s", "s2");
    rename("s2", "s");
  });
}

CASE(times, renamed_directory) {
  Must(mkdir("d", 0755) == 0 && mkdir("x", 0755) == 0, "mkdir");
  Moved(t, "same_parent", "d", [] {
    rename("d", "d2");
    rename("d2", "d");
  });
  Moved(t, "other_parent", "d", [] {
    rename("d", "x/d");
    rename("x/d", "d");
  });
}

CASE(times, of_replaced_and_exchanged) {
  // A file that loses a name to a rename has another one that shows its times.
  WriteFile("a", "new");
  WriteFile("b", "old");
  Must(link("b", "other") == 0 && mkdir("d", 0755) == 0, "setup");
  Moved(t, "replaced", "other", [] { rename("a", "b"); });
  Moved(t, "replacing", "b", [] { rename("b", "other"); });
  Moved(t, "exchanged_file", "other",
        [] { renameat2(AT_FDCWD, "other", AT_FDCWD, "d", RENAME_EXCHANGE); });
  Moved(t, "exchanged_directory", "d",
        [] { renameat2(AT_FDCWD, "other", AT_FDCWD, "d", RENAME_EXCHANGE); });
  Moved(t, "onto_itself", "d", [] { rename("d", "d"); });
}

CASE(times, failures_move_nothing) {
  WriteFile("f", "0123");
  WriteFile("g", "x");
  Must(mkdir("d", 0755) == 0, "mkdir");
  WriteFile("d/in", "x");
  ScopedFd reader(open("f", O_RDONLY));
  Moved(t, "names", "d", [] {
    (void)!mkdir("d", 0755);
    (void)!rmdir("d");
    (void)!unlink("d");
    (void)!mkfifo("d/in", 0644);
    (void)!symlink("x", "d/in");
    (void)!link("f", "d/in");
    (void)!link("d", "e");
    (void)!rename("d", "f");
    (void)!rename("f", "d");
    (void)!rename("d/none", "d/some");
    (void)!rename("d", "d/in/e");
    (void)!renameat2(AT_FDCWD, "f", AT_FDCWD, "d/in", RENAME_NOREPLACE);
    (void)!open("d", O_WRONLY);
    (void)!truncate("d", 0);
  });
  Moved(t, "file", "f", [&] {
    (void)!write(reader.get(), "x", 1);
    (void)!ftruncate(reader.get(), 0);
    (void)!truncate("f", -1);
    (void)!chdir("f");
    (void)!rmdir("f");
    (void)!link("f", "g");
    (void)!renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_NOREPLACE);
    (void)!renameat2(AT_FDCWD, "f", AT_FDCWD, "none", RENAME_EXCHANGE);
    (void)!open("f", O_RDONLY | O_DIRECTORY);
    (void)!fallocate(reader.get(), 0, 0, 10);
    (void)!access("f", X_OK);
  });
}

CASE(times, copies_and_maps) {
  WriteFile("f", "0123456789");
  WriteFile("g", "abc");
  ScopedFd f(open("f", O_RDWR)), g(open("g", O_RDWR));
  Moved(t, "copy_source", "f", [&] {
    off_t from = 0, to = 0;
    copy_file_range(f.get(), &from, g.get(), &to, 5, 0);
  });
  Moved(t, "copy_target", "g", [&] {
    off_t from = 0, to = 0;
    copy_file_range(f.get(), &from, g.get(), &to, 5, 0);
  });
  Moved(t, "sendfile_source", "f", [&] {
    off_t from = 0;
    sendfile(g.get(), f.get(), &from, 5);
  });
  Moved(t, "map_write", "f", [&] {
    char* m = static_cast<char*>(mmap(nullptr, 10, PROT_READ | PROT_WRITE, MAP_SHARED, f.get(), 0));
    if (m == MAP_FAILED) return t.Say("mmap", ErrnoName(errno));
    m[0] = 'M';
    msync(m, 10, MS_SYNC);
    munmap(m, 10);
  });
}

CASE(times, new_objects) {
  ScopedFd(open("f", O_WRONLY | O_CREAT, 0644));
  Must(mkdir("d", 0755) == 0 && symlink("x", "s") == 0 && mkfifo("p", 0644) == 0, "setup");
  for (const char* name : {"f", "d", "s", "p"}) {
    struct stat st;
    Must(lstat(name, &st) == 0, "lstat");
    t.Bool(std::string(name) + "_near_now",
           Near(st.st_atim) && Near(st.st_mtim) && Near(st.st_ctim));
    t.Bool(std::string(name) + "_atime_is_mtime", TimeText(st.st_atim) == TimeText(st.st_mtim));
    t.Bool(std::string(name) + "_ctime_is_mtime", TimeText(st.st_ctim) == TimeText(st.st_mtim));
  }
}

CASE(times, set) {
  WriteFile("f", "x");
  const timespec values[] = {{0, 0},           {1, 999999999},   {-1, 0},
                             {-1, 999999999},  {-100000000, 5},  {2147483647, 1},
                             {2147483648, 2},  {4294967295, 3},  {4294967296, 4},
                             {15032385535, 0}, {15032385536, 0}, {1LL << 40, 0},
                             {-2147483648, 7}, {-2147483649, 8}, {946684800, 123456789}};
  for (const timespec& value : values) {
    timespec both[2] = {value, {value.tv_sec, value.tv_nsec / 2}};
    t.Ok("set_" + TimeText(value), utimensat(AT_FDCWD, "f", both, 0));
    SayTimes(t, "get_" + TimeText(value), "f");
  }
}

CASE(times, now_and_omit) {
  WriteFile("f", "x");
  timespec old[2] = {{100, 1}, {200, 2}};
  auto set = [&](const char* point, timespec a, timespec m) {
    Must(utimensat(AT_FDCWD, "f", old, 0) == 0, "utimensat");
    timespec both[2] = {a, m};
    t.Ok(point, utimensat(AT_FDCWD, "f", both, 0));
    struct stat st;
    Must(stat("f", &st) == 0, "stat");
    auto show = [](const timespec& time) {
      return Near(time) ? std::string("now") : TimeText(time);
    };
    t.Say(std::string(point) + "_times", show(st.st_atim) + " " + show(st.st_mtim) +
                                             (Near(st.st_ctim) ? " ctime now" : " ctime OLD"));
  };
  const timespec now = {0, UTIME_NOW}, omit = {0, UTIME_OMIT}, value = {300, 3};
  set("now_now", now, now);
  set("now_omit", now, omit);
  set("omit_now", omit, now);
  set("omit_omit", omit, omit);
  set("value_omit", value, omit);
  set("omit_value", omit, value);
  set("value_now", value, now);
  set("bad_nsec", {1, 1000000000}, value);
  set("negative_nsec", {1, -1}, value);
}

CASE(times, omit_moves_nothing) {
  WriteFile("f", "x");
  Moved(t, "omit", "f", [] {
    timespec both[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    utimensat(AT_FDCWD, "f", both, 0);
  });
  Moved(t, "atime_only", "f", [] {
    timespec both[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    utimensat(AT_FDCWD, "f", both, 0);
  });
}

CASE(times, set_by_other_calls) {
  WriteFile("f", "x");
  utimbuf seconds = {10, 20};
  t.Ok("utime", utime("f", &seconds));
  SayTimes(t, "utime_times", "f");
  timeval micro[2] = {{30, 123456}, {40, 654321}};
  t.Ok("utimes", utimes("f", micro));
  SayTimes(t, "utimes_times", "f");
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  timespec nano[2] = {{50, 5}, {60, 6}};
  t.Ok("futimens", futimens(fd.get(), nano));
  SayTimes(t, "futimens_times", "f");
  Must(mkdir("d", 0755) == 0 && symlink("f", "s") == 0, "setup");
  t.Ok("directory", utimensat(AT_FDCWD, "d", nano, 0));
  SayTimes(t, "directory_times", "d");
  t.Ok("symlink_follows", utimensat(AT_FDCWD, "s", nano, 0));
  timespec own[2] = {{70, 7}, {80, 8}};
  t.Ok("symlink_itself", utimensat(AT_FDCWD, "s", own, AT_SYMLINK_NOFOLLOW));
  SayTimes(t, "symlink_times", "s");
  SayTimes(t, "target_times", "f");
  t.Ok("missing", utimensat(AT_FDCWD, "no", nano, 0));
  t.Ok("bad_flag", utimensat(AT_FDCWD, "f", nano, 0x10000));
}

CASE(times, kept_by_later_reads_and_writes) {
  // What was set stays until something moves it, also while the file is open for writing.
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  Must(write(fd.get(), "0123", 4) == 4, "write");
  timespec old[2] = {{100, 1}, {200, 2}};
  t.Ok("set", futimens(fd.get(), old));
  SayTimes(t, "after_set", "f");
  t.Ok("fsync", fsync(fd.get()));
  SayTimes(t, "after_fsync", "f");
  fd.reset();
  SayTimes(t, "after_close", "f");
}

CASE(times, by_descriptor_and_by_name_agree) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  for (int i = 0; i < 3; ++i) {
    Must(write(fd.get(), "x", 1) == 1, "write");
    struct stat a, b;
    Must(fstat(fd.get(), &a) == 0 && stat("f", &b) == 0, "stat");
    t.Bool("equal", TimeText(a.st_mtim) == TimeText(b.st_mtim) &&
                        TimeText(a.st_ctim) == TimeText(b.st_ctim) &&
                        TimeText(a.st_atim) == TimeText(b.st_atim) && a.st_size == b.st_size);
    Pause();
  }
}

CASE(times, ctime_never_goes_back) {
  WriteFile("f", "x");
  struct stat last, now;
  Must(stat("f", &last) == 0, "stat");
  bool back = false;
  for (int i = 0; i < 30; ++i) {
    if (i % 3 == 0) chmod("f", 0600 + i % 2);
    if (i % 3 == 1) WriteFile("f", "y");
    if (i % 3 == 2) utimensat(AT_FDCWD, "f", nullptr, 0);
    Must(stat("f", &now) == 0, "stat");
    back =
        back || now.st_ctim.tv_sec < last.st_ctim.tv_sec ||
        (now.st_ctim.tv_sec == last.st_ctim.tv_sec && now.st_ctim.tv_nsec < last.st_ctim.tv_nsec);
    last = now;
  }
  t.Bool("went_back", back);
}

}  // namespace conformance
