// Hard links and symbolic links.

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <climits>
#include <vector>

#include "observe.h"

namespace conformance {

CASE(link, plain) {
  WriteFile("a", "text", 0640);
  t.Ok("link", link("a", "b"));
  t.Attributes("a", "a");
  t.Attributes("b", "b");
  struct stat a, b;
  Must(stat("a", &a) == 0 && stat("b", &b) == 0, "stat");
  t.Bool("ino_equal", a.st_ino == b.st_ino);
  t.Bool("times_equal",
         a.st_ctim.tv_nsec == b.st_ctim.tv_nsec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
  ScopedFd fd = t.Open("write_b", "b", O_WRONLY | O_APPEND);
  t.Value("append", write(fd.get(), "+", 1));
  t.Content("a_sees", "a");
  t.Ok("chmod_b", chmod("b", 0600));
  t.Attributes("a_mode", "a");
  t.Ok("unlink_a", unlink("a"));
  t.AttributesOf("one_left", fd.get());
  t.Content("b_stays", "b");
}

CASE(link, refused) {
  WriteFile("f", "x");
  WriteFile("g", "y");
  Must(mkdir("d", 0755) == 0 && symlink("no", "dangling") == 0, "setup");
  t.Ok("directory", link("d", "e"));
  t.Ok("existing", link("f", "g"));
  t.Ok("itself", link("f", "f"));
  t.Ok("missing", link("no", "x"));
  t.Ok("no_parent", link("f", "no/x"));
  t.Ok("below_file", link("f", "g/x"));
  t.Ok("over_dir", link("f", "d"));
  t.Ok("over_dangling", link("f", "dangling"));
  t.Ok("from_slash", link("f/", "x"));
  t.Ok("to_slash", link("f", "x/"));
  t.Ok("empty_from", link("", "x"));
  t.Ok("empty_to", link("f", ""));
  t.Ok("dot", link("f", "."));
  t.Listing("names", ".");
}

CASE(link, of_symlink) {
  WriteFile("f", "x");
  Must(symlink("f", "s") == 0 && symlink("no", "dangling") == 0, "setup");
  t.Ok("links_the_link", link("s", "s2"));
  t.Attributes("s2", "s2");
  t.Ok("follow", linkat(AT_FDCWD, "s", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
  t.Attributes("f2", "f2");
  t.Ok("dangling", link("dangling", "d2"));
  t.Attributes("d2", "d2");
  t.Ok("dangling_follow", linkat(AT_FDCWD, "dangling", AT_FDCWD, "d3", AT_SYMLINK_FOLLOW));
  t.Listing("names", ".");
}

CASE(link, at_flags) {
  WriteFile("f", "x");
  ScopedFd fd = t.Open("open", "f", O_RDONLY);
  t.Ok("unknown_flag", linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x20));
  t.Ok("empty_path", linkat(fd.get(), "", AT_FDCWD, "by_fd", AT_EMPTY_PATH));
  t.Ok("empty_path_without_flag", linkat(fd.get(), "", AT_FDCWD, "no", 0));
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  t.Ok("proc", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "by_proc", AT_SYMLINK_FOLLOW));
  t.Ok("unlink", unlink("f"));
  t.AttributesOf("left", fd.get());
}

CASE(link, of_unlinked) {
  WriteFile("f", "x");
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  Must(unlink("f") == 0, "unlink");
  std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  t.Ok("back", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
  t.AttributesOf("links", fd.get());
}

CASE(link, across_directories) {
  Must(mkdir("x", 0755) == 0 && mkdir("y", 0755) == 0, "mkdir");
  WriteFile("x/f", "t");
  for (int i = 0; i < 50; ++i) Must(link("x/f", ("y/" + std::to_string(i)).c_str()) == 0, "link");
  t.Attributes("fifty_one", "x/f");
  Must(unlink("x/f") == 0, "unlink");
  t.Attributes("fifty", "y/7");
  t.Value("names", static_cast<long>(Names("y").size()));
  Must(rename("y/7", "x/moved") == 0, "rename");
  t.Attributes("moved", "x/moved");
}

CASE(link, special_files) {
  Must(mkfifo("p", 0644) == 0 && mknod("s", S_IFSOCK | 0644, 0) == 0, "setup");
  t.Ok("fifo", link("p", "p2"));
  t.Ok("socket", link("s", "s2"));
  t.Attributes("p2", "p2");
  t.Attributes("s2", "s2");
}

ROOT_CASE(link, protected_hardlinks) {
  // With fs.protected_hardlinks one may link only own files or ones one may read and write.
  Must(chmod(".", 0777) == 0, "chmod");
  WriteFile("readable", "x", 0644);
  WriteFile("writable", "x", 0666);
  WriteFile("setuid", "x", 0777);
  Must(chmod("setuid", 04777) == 0, "chmod");
  WriteFile("setgid", "x", 0777);
  Must(chmod("setgid", 02777) == 0, "chmod");
  Must(mkfifo("fifo", 0666) == 0 && chmod("fifo", 0666) == 0, "fifo");
  WriteFile("alices", "x", 0400);
  Must(chown("alices", kAlice.uid, kAlice.gid) == 0, "chown");
  t.As("alice", kAlice, [&] {
    for (const char* name : {"readable", "writable", "setuid", "setgid", "fifo", "alices"}) {
      t.Ok(name, link(name, (std::string(name) + "-2").c_str()));
    }
  });
}

CASE(symlink, plain) {
  t.Ok("symlink", symlink("target", "s"));
  t.Attributes("link", "s");
  char buffer[64] = {};
  t.Value("readlink", readlink("s", buffer, sizeof buffer));
  t.Say("target", Printable(buffer));
  memset(buffer, 0, sizeof buffer);
  t.Value("short_buffer", readlink("s", buffer, 3));
  t.Say("short_target", Printable(buffer));
  t.Value("zero_buffer", readlink("s", buffer, 0));
  t.Ok("stat_dangling", access("s", F_OK));
  WriteFile("target", "text");
  t.Content("through", "s");
  WriteFile("f", "x");
  t.Value("readlink_file", readlink("f", buffer, sizeof buffer));
  t.Value("readlink_dir", readlink(".", buffer, sizeof buffer));
  t.Value("readlink_missing", readlink("no", buffer, sizeof buffer));
  t.Value("readlink_slash", readlink("s/", buffer, sizeof buffer));
}

CASE(symlink, refused) {
  WriteFile("f", "x");
  t.Ok("existing", symlink("t", "f"));
  t.Ok("empty_target", symlink("", "s"));
  t.Ok("empty_name", symlink("t", ""));
  t.Ok("no_parent", symlink("t", "no/s"));
  t.Ok("below_file", symlink("t", "f/s"));
  t.Ok("slash", symlink("t", "s/"));
  t.Ok("dot", symlink("t", "."));
  Must(symlink("t", "again") == 0, "symlink");
  t.Ok("over_symlink", symlink("t", "again"));
  t.Listing("names", ".");
}

CASE(symlink, lengths) {
  for (size_t length : {1, 59, 60, 61, 255, 256, 1023, 4094, 4095, 4096}) {
    std::string target(length, 't');
    std::string name = "s" + std::to_string(length);
    t.Ok("make" + name, symlink(target.c_str(), name.c_str()));
    t.Attributes(name, name);
    std::vector<char> buffer(8192);
    ssize_t n = readlink(name.c_str(), buffer.data(), buffer.size());
    t.Value("readlink_" + name, n);
    t.Bool("equal_" + name, n > 0 && std::string(buffer.data(), n) == target);
    t.Open("open_" + name, name, O_RDONLY);
  }
}

CASE(symlink, targets_of_any_bytes) {
  for (const std::string& target :
       {std::string("with blank"), std::string("tab\tnewline\n"), std::string("\xff\xfe\x01"),
        std::string("gr\xc3\xbc\xc3\x9f"), std::string("a//b///"), std::string("/abs"),
        std::string("..")}) {
    Must(symlink(target.c_str(), "s") == 0, "symlink");
    char buffer[64] = {};
    t.Value(Printable(target), readlink("s", buffer, sizeof buffer));
    t.Say("read", Printable(buffer));
    Must(unlink("s") == 0, "unlink");
  }
}

CASE(symlink, loops) {
  Must(symlink("b", "a") == 0 && symlink("a", "b") == 0 && symlink("self", "self") == 0, "setup");
  t.Open("two", "a", O_RDONLY);
  t.Open("self", "self", O_RDONLY);
  t.Open("create", "self", O_WRONLY | O_CREAT);
  t.Ok("stat", access("a", F_OK));
  t.Ok("chmod", chmod("a", 0600));
  t.Ok("mkdir", mkdir("a", 0700));
  t.Ok("mkdir_below", mkdir("a/b", 0700));
  t.Ok("unlink_below", unlink("a/b"));
  t.Ok("truncate", truncate("a", 0));
  t.Ok("link_follow", linkat(AT_FDCWD, "a", AT_FDCWD, "x", AT_SYMLINK_FOLLOW));
  t.Ok("chdir", chdir("a"));
  t.Ok("unlink", unlink("a"));
}

CASE(symlink, chains) {
  WriteFile("0", "end");
  for (int i = 1; i <= 41; ++i) {
    Must(symlink(std::to_string(i - 1).c_str(), std::to_string(i).c_str()) == 0, "symlink");
  }
  t.Content("chain_1", "1");
  t.Content("chain_39", "39");
  t.Content("chain_40", "40");
  t.Content("chain_41", "41");
}

CASE(symlink, to_directory) {
  Must(mkdir("d", 0755) == 0 && symlink("d", "s") == 0 && symlink("../d", "d/back") == 0, "setup");
  WriteFile("d/f", "text");
  t.Content("through", "s/f");
  t.Content("back_and_forth", "s/back/back/f");
  t.Attributes("link", "s");
  t.Attributes("with_slash", "s/");
  t.Listing("listing", "s");
  struct stat here, up;
  Must(stat(".", &here) == 0 && stat("s/..", &up) == 0, "stat");
  t.Bool("dotdot_is_the_targets_parent", here.st_ino == up.st_ino);
  t.Ok("create_through", mkdir("s/new", 0755));
  t.Listing("made", "d");
}

CASE(symlink, owner_and_mode) {
  Must(symlink("no", "s") == 0, "symlink");
  t.Attributes("made", "s");
  t.Ok("chmod_follows", chmod("s", 0600));
  t.Ok("fchmodat_nofollow", fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
  t.Ok("lchown_to_self", lchown("s", getuid(), getgid()));
  t.Ok("chown_follows", chown("s", getuid(), getgid()));
  struct timespec times[2] = {{5, 6}, {7, 8}};
  t.Ok("utimes_nofollow", utimensat(AT_FDCWD, "s", times, AT_SYMLINK_NOFOLLOW));
  struct stat st;
  Must(lstat("s", &st) == 0, "lstat");
  t.Bool("utimes_set", st.st_mtim.tv_sec == 7 && st.st_mtim.tv_nsec == 8);
  t.Ok("utimes_follow", utimensat(AT_FDCWD, "s", times, 0));
}

CASE(symlink, absolute) {
  char here[4096];
  Must(getcwd(here, sizeof here) != nullptr, "getcwd");
  WriteFile("f", "text");
  Must(symlink((std::string(here) + "/f").c_str(), "s") == 0, "symlink");
  t.Content("through", "s");
  Must(symlink("/", "root") == 0, "symlink");
  struct stat a, b;
  Must(stat("/", &a) == 0 && stat("root", &b) == 0, "stat");
  t.Bool("is_the_root", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

ROOT_CASE(symlink, protected_symlinks) {
  // With fs.protected_symlinks a link in a sticky world-writable directory is followed only for its
  // owner.
  Must(mkdir("sticky", 0777) == 0 && chmod("sticky", 01777) == 0, "setup");
  WriteFile("f", "text", 0644);
  Must(symlink("../f", "sticky/s") == 0 && lchown("sticky/s", kAlice.uid, kAlice.gid) == 0,
       "symlink");
  t.As("alice", kAlice, [&] { t.Open("own", "sticky/s", O_RDONLY); });
  t.As("bob", kBob, [&] { t.Open("others", "sticky/s", O_RDONLY); });
  t.Open("root", "sticky/s", O_RDONLY);
}

}  // namespace conformance
