// rename(2) and renameat2(2): every pair of object types, flags, and what stays after a refusal.

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <map>

#include "observe.h"

namespace conformance {

namespace {

// The kinds of object a name can be; "none" is a missing name.
constexpr std::array<const char*, 7> kKinds = {"none", "file",     "dir", "fulldir",
                                               "link", "dangling", "fifo"};

void MakeKind(const std::string& kind, const std::string& path) {
  if (kind == "file") WriteFile(path, "content of " + path);
  if (kind == "dir") Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
  if (kind == "fulldir") {
    Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
    WriteFile(path + "/in", "inner");
  }
  if (kind == "link") Must(symlink("../target", path.c_str()) == 0, "symlink");
  if (kind == "dangling") Must(symlink("nowhere", path.c_str()) == 0, "symlink");
  if (kind == "fifo") Must(mkfifo(path.c_str(), 0644) == 0, "mkfifo");
}

// Renames each kind over each other and shows what both names are afterwards.
void Matrix(Case& t, unsigned flags, const std::string& suffix) {
  WriteFile("target", "target");
  for (const char* from : kKinds) {
    for (const char* to : kKinds) {
      std::string point = std::string(from) + "_to_" + to;
      std::string dir = "m-" + point;
      Must(mkdir(dir.c_str(), 0755) == 0, "mkdir");
      MakeKind(from, dir + "/a");
      MakeKind(to, dir + "/b");
      t.Ok(point, renameat2(AT_FDCWD, (dir + "/a" + suffix).c_str(), AT_FDCWD,
                            (dir + "/b" + suffix).c_str(), flags));
      t.Attributes(point + "_a", dir + "/a");
      t.Attributes(point + "_b", dir + "/b");
      t.Listing(point + "_names", dir);
    }
  }
}

}  // namespace

CASE(rename, matrix) { Matrix(t, 0, ""); }
CASE(rename, matrix_noreplace) { Matrix(t, RENAME_NOREPLACE, ""); }
CASE(rename, matrix_exchange) { Matrix(t, RENAME_EXCHANGE, ""); }
CASE(rename, matrix_trailing_slash) { Matrix(t, 0, "/"); }

CASE(rename, keeps_the_object) {
  WriteFile("a", "0123", 0640);
  struct stat before, after;
  Must(stat("a", &before) == 0, "stat");
  ScopedFd fd = t.Open("open", "a", O_RDWR);
  t.Ok("rename", rename("a", "b"));
  Must(stat("b", &after) == 0, "stat");
  t.Bool("ino_equal", before.st_ino == after.st_ino);
  t.Bool("mtime_equal", before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  t.Value("write_through_open", pwrite(fd.get(), "X", 1, 0));
  t.Content("text", "b");
  t.Open("old_name", "a", O_RDONLY);
}

CASE(rename, replaced_stays_open) {
  WriteFile("a", "new");
  WriteFile("b", "old");
  ScopedFd old = t.Open("open_old", "b", O_RDWR);
  t.Ok("rename", rename("a", "b"));
  t.Content("b", "b");
  t.AttributesOf("old", old.get());
  t.Say("old_text", Printable(ReadAll(old.get())));
  t.Value("old_write", pwrite(old.get(), "OLD", 3, 0));
  t.Say("old_text_after", Printable(ReadAll(old.get())));
  t.Content("b_after", "b");
}

CASE(rename, replaced_directory_stays_open) {
  Must(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0, "mkdir");
  WriteFile("a/in", "x");
  ScopedFd old = t.Open("open_old", "b", O_RDONLY | O_DIRECTORY);
  t.Ok("rename", rename("a", "b"));
  t.AttributesOf("old", old.get());
  t.Ok("create_in_old", openat(old.get(), "new", O_WRONLY | O_CREAT, 0644));
  t.Listing("b", "b");
}

CASE(rename, onto_itself) {
  WriteFile("a", "x");
  Must(link("a", "b") == 0 && mkdir("d", 0755) == 0, "setup");
  t.Ok("same_name", rename("a", "a"));
  t.Ok("hard_link", rename("a", "b"));
  t.Listing("both_stay", ".");
  t.Attributes("a", "a");
  t.Ok("directory", rename("d", "d"));
  t.Ok("noreplace_same", renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE));
  t.Ok("noreplace_hard_link", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
  t.Ok("exchange_hard_link", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
  t.Ok("exchange_same", renameat2(AT_FDCWD, "d", AT_FDCWD, "d", RENAME_EXCHANGE));
}

CASE(rename, into_own_subtree) {
  Must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && mkdir("a/b/c", 0755) == 0, "mkdir");
  t.Ok("into_child", rename("a", "a/b/new"));
  t.Ok("onto_child", rename("a", "a/b"));
  t.Ok("onto_grandchild", rename("a", "a/b/c"));
  t.Ok("child_onto_parent", rename("a/b", "a"));
  t.Ok("grandchild_onto_top", rename("a/b/c", "a"));
  t.Ok("exchange_with_child", renameat2(AT_FDCWD, "a", AT_FDCWD, "a/b", RENAME_EXCHANGE));
  t.Ok("child_up", rename("a/b/c", "c"));
  t.Listing("names", ".");
}

CASE(rename, dots_and_missing) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  WriteFile("f", "x");
  t.Ok("dot", rename(".", "x"));
  t.Ok("dotdot", rename("..", "x"));
  t.Ok("to_dot", rename("d", "."));
  t.Ok("to_dotdot", rename("d", ".."));
  t.Ok("inner_dot", rename("d/.", "x"));
  t.Ok("to_inner_dot", rename("f", "d/."));
  t.Ok("empty_from", rename("", "x"));
  t.Ok("empty_to", rename("f", ""));
  t.Ok("missing_from", rename("no", "x"));
  t.Ok("missing_from_parent", rename("no/a", "x"));
  t.Ok("missing_to_parent", rename("f", "no/a"));
  t.Ok("file_as_to_parent", rename("d", "f/a"));
  t.Ok("file_as_from_parent", rename("f/a", "x"));
  t.Ok("file_to_slash", rename("f", "g/"));
  t.Ok("dir_to_slash", rename("d", "e/"));
  t.Listing("names", ".");
}

CASE(rename, flags) {
  WriteFile("a", "x");
  t.Ok("unknown_flag", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x100));
  t.Ok("both", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE));
  t.Ok("exchange_missing", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
  t.Ok("noreplace", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
  WriteFile("c", "yy");
  t.Ok("noreplace_existing", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
  t.Ok("exchange", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE));
  t.Content("b", "b");
  t.Content("c", "c");
}

CASE(rename, exchange_across_directories) {
  Must(mkdir("x", 0755) == 0 && mkdir("y", 0755) == 0 && mkdir("x/d", 0755) == 0, "mkdir");
  WriteFile("x/d/in", "deep");
  WriteFile("y/f", "flat");
  t.Attributes("x_before", "x");
  t.Ok("exchange", renameat2(AT_FDCWD, "x/d", AT_FDCWD, "y/f", RENAME_EXCHANGE));
  t.Content("x_d", "x/d");
  t.Content("y_f_in", "y/f/in");
  t.Attributes("x_after", "x");
  t.Attributes("y_after", "y");
  struct stat up, y;
  Must(stat("y/f/..", &up) == 0 && stat("y", &y) == 0, "stat");
  t.Bool("dotdot_follows", up.st_ino == y.st_ino);
}

CASE(rename, across_directories) {
  Must(mkdir("x", 0755) == 0 && mkdir("y", 0755) == 0 && mkdir("x/d", 0755) == 0, "mkdir");
  WriteFile("x/f", "text");
  WriteFile("x/d/in", "deep");
  TimeWatch x(t, "x"), y(t, "y"), d(t, "x/d"), f(t, "x/f");
  t.Ok("file", rename("x/f", "y/f"));
  x.Report("x_times");
  y.Report("y_times");
  t.Ok("dir", rename("x/d", "y/d"));
  t.Content("inner", "y/d/in");
  t.Attributes("x", "x");
  t.Attributes("y", "y");
  t.Listing("y_names", "y");
  struct stat up, parent;
  Must(stat("y/d/..", &up) == 0 && stat("y", &parent) == 0, "stat");
  t.Bool("dotdot_follows", up.st_ino == parent.st_ino);
}

CASE(rename, working_directory) {
  Must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && chdir("a/b") == 0, "setup");
  Must(rename("../../a", "../../z") == 0, "rename");
  char buffer[4096];
  std::string path = getcwd(buffer, sizeof buffer) ? buffer : ErrnoName(errno);
  t.Say("tail", path.substr(path.size() > 4 ? path.size() - 4 : 0));
  WriteFile("f", "x");
  t.Listing("by_new_name", "../../z/b");
}

CASE(rename, many_over_one) {
  // A name that is replaced all the time is there all the time.
  WriteFile("live", "v");
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    for (int i = 0; i < 200; ++i) {
      WriteFile("new", "v");
      if (rename("new", "live") != 0) _exit(1);
    }
    _exit(0);
  }
  int missing = 0, odd = 0;
  for (int i = 0; i < 400; ++i) {
    ScopedFd fd(open("live", O_RDONLY));
    if (!fd)
      ++missing;
    else if (ReadAll(fd.get()) != "v")
      ++odd;
  }
  t.Value("renamer", WaitExit(pid));
  t.Value("missing", missing);
  t.Value("odd_content", odd);
}

CASE(rename, every_call_while_replaced) {
  // So is it for everything that takes a path; and no call changes what it was not given.
  WriteFile("live", "v");
  Must(setxattr("live", "user.x", "v", 1, 0) == 0, "setxattr");
  pid_t pid = fork();
  Must(pid >= 0, "fork");
  if (pid == 0) {
    for (int i = 0; i < 200; ++i) {
      WriteFile("new", "v");
      if (setxattr("new", "user.x", "v", 1, 0) != 0 || rename("new", "live") != 0) _exit(1);
    }
    _exit(0);
  }
  std::map<std::string, long> failures;
  const auto tried = [&](const std::string& call, long rc) {
    long& failed = failures[rc < 0 ? call + "_" + ErrnoName(errno) : call];
    if (rc < 0) ++failed;
  };
  int status = 0;
  do {
    struct stat st;
    char value[8];
    tried("stat", stat("live", &st));
    tried("access", access("live", R_OK));
    tried("chmod", chmod("live", 0644));
    tried("chown", chown("live", getuid(), getgid()));
    tried("truncate", truncate("live", 1));
    tried("utimens", utimensat(AT_FDCWD, "live", nullptr, 0));
    tried("getxattr", getxattr("live", "user.x", value, sizeof value));
    tried("setxattr", setxattr("live", "user.x", "v", 1, 0));
    tried("open_write", ScopedFd(open("live", O_WRONLY)).get());
    tried("open_creat", ScopedFd(open("live", O_RDWR | O_CREAT, 0644)).get());
  } while (waitpid(pid, &status, WNOHANG) == 0);
  t.Bool("renamer", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (const auto& [call, failed] : failures) t.Value(call, failed);
  t.Attributes("live", "live");
  t.Content("text", "live");
}

CASE(rename, symlink_itself) {
  WriteFile("f", "x");
  Must(symlink("f", "s") == 0 && mkdir("d", 0755) == 0, "setup");
  t.Ok("moves_the_link", rename("s", "d/s"));
  t.Attributes("link", "d/s");
  t.Content("now_dangling", "d/s");
  t.Ok("over_link", rename("f", "d/s"));
  t.Attributes("replaced", "d/s");
}

ROOT_CASE(rename, sticky_directory) {
  // Only the owner of the file or of the directory may rename or remove in a sticky directory.
  for (mode_t mode : {0777, 01777}) {
    std::string dir = "d" + ModeText(mode);
    Must(mkdir(dir.c_str(), 0755) == 0 && chmod(dir.c_str(), mode) == 0, "setup");
    for (const char* name : {"alices", "bobs", "alices2", "bobs2"})
      WriteFile(dir + "/" + name, name);
    for (const char* name : {"alices", "alices2"}) {
      Must(chown((dir + "/" + name).c_str(), kAlice.uid, kAlice.gid) == 0, "chown");
    }
    for (const char* name : {"bobs", "bobs2"}) {
      Must(chown((dir + "/" + name).c_str(), kBob.uid, kBob.gid) == 0, "chown");
    }
    Must(mkdir((dir + "/adir").c_str(), 0777) == 0 &&
             chown((dir + "/adir").c_str(), kAlice.uid, kAlice.gid) == 0,
         "setup");
    t.As("bob", kBob, [&] {
      t.Ok(dir + "_unlink_others", unlink((dir + "/alices").c_str()));
      t.Ok(dir + "_rename_others", rename((dir + "/alices2").c_str(), (dir + "/x").c_str()));
      t.Ok(dir + "_rename_over_others",
           rename((dir + "/bobs").c_str(), (dir + "/alices2").c_str()));
      t.Ok(dir + "_rmdir_others", rmdir((dir + "/adir").c_str()));
      t.Ok(dir + "_exchange_others", renameat2(AT_FDCWD, (dir + "/bobs2").c_str(), AT_FDCWD,
                                               (dir + "/alices2").c_str(), RENAME_EXCHANGE));
      t.Ok(dir + "_rename_own", rename((dir + "/bobs2").c_str(), (dir + "/mine").c_str()));
      t.Ok(dir + "_unlink_own", unlink((dir + "/mine").c_str()));
    });
    t.Listing(dir + "_names", dir);
  }
}

ROOT_CASE(rename, directory_without_write_permission) {
  // Moving a directory to another parent changes its "..": it must be writable by the caller.
  Must(mkdir("x", 0777) == 0 && mkdir("y", 0777) == 0 && chmod("x", 0777) == 0 &&
           chmod("y", 0777) == 0,
       "setup");
  Must(mkdir("x/d", 0555) == 0 && mkdir("x/e", 0755) == 0, "mkdir");
  Must(chown("x/e", kAlice.uid, kAlice.gid) == 0, "chown");
  t.As("alice", kAlice, [&] {
    t.Ok("not_mine", rename("x/d", "y/d"));
    t.Ok("not_mine_same_parent", rename("x/d", "x/d2"));
    t.Ok("mine", rename("x/e", "y/e"));
    t.Ok("mine_read_only", chmod("y/e", 0555));
    t.Ok("mine_read_only_move", rename("y/e", "x/e"));
    t.Ok("mine_read_only_same_parent", rename("y/e", "y/e2"));
  });
}

}  // namespace conformance
