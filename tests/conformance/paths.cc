// Names and paths: lengths, bytes, working directories, dot-dot.

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "observe.h"

namespace conformance {

namespace {

// The path below the case's own directory; cases run in different places.
std::string Tail(const std::string& start) {
  char buffer[8192];
  if (!getcwd(buffer, sizeof buffer)) return ErrnoName(errno);
  std::string path = buffer;
  return path.starts_with(start) ? path.substr(start.size()) : "elsewhere";
}

std::string Here() {
  char buffer[8192];
  Must(getcwd(buffer, sizeof buffer) != nullptr, "getcwd");
  return buffer;
}

}  // namespace

CASE(names, lengths) {
  for (size_t length : {1, 254, 255, 256, 257, 1000, 4000}) {
    std::string name(length, 'n'), end = std::to_string(length);
    t.Open("create" + end, name, O_WRONLY | O_CREAT);
    t.Attributes("stat" + end, name);
    std::string dir = std::string(length, 'd');
    t.Ok("mkdir" + end, mkdir(dir.c_str(), 0755));
    t.Ok("symlink" + end, symlink("x", std::string(length, 's').c_str()));
    t.Ok("fifo" + end, mkfifo(std::string(length, 'p').c_str(), 0644));
    t.Ok("link" + end, link(name.c_str(), std::string(length, 'l').c_str()));
    t.Ok("rename" + end, rename(name.c_str(), std::string(length, 'r').c_str()));
    t.Ok("unlink" + end, unlink(std::string(length, 'r').c_str()));
    t.Ok("rmdir" + end, rmdir(dir.c_str()));
    t.Ok("access" + end, access(std::string(length, 'x').c_str(), F_OK));
    t.Ok("truncate" + end, truncate(std::string(length, 'x').c_str(), 0));
    t.Ok("chmod" + end, chmod(std::string(length, 'x').c_str(), 0));
  }
  WriteFile("f", "x");
  t.Ok("rename_to_long", rename("f", std::string(256, 'z').c_str()));
  t.Ok("link_to_long", link("f", std::string(256, 'z').c_str()));
  t.Ok("below_long", access((std::string(256, 'z') + "/x").c_str(), F_OK));
}

CASE(names, multi_byte_length) {
  std::string name;
  for (int i = 0; i < 85; ++i) name += "\xe2\x82\xac";  // 85 euro signs are 255 bytes
  t.Ok("fits", mkdir(name.c_str(), 0755));
  t.Ok("too_long", mkdir((name + "x").c_str(), 0755));
  t.Listing("names", ".");
}

CASE(names, odd_bytes) {
  int number = 0;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    std::string name = "a" + std::string(1, static_cast<char>(byte)) + "b";
    ScopedFd fd(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
    if (!fd)
      t.Say("byte" + std::to_string(byte), ErrnoName(errno));
    else
      ++number;
  }
  t.Value("made", number);
  t.Value("listed", static_cast<long>(Names(".").size()));
  std::string all;
  for (auto& name : Names(".")) all += name + "/";
  t.Say("all", Printable(all));
}

CASE(names, particular) {
  for (const std::string& name :
       {std::string(" "), std::string("  two"), std::string("\n"), std::string("-rf"),
        std::string("..."), std::string(".. "), std::string(".hidden"), std::string("a:b"),
        std::string("\xff\xfe"), std::string("\xc3\xa4"), std::string("a\xcc\x88"),
        std::string("*?[]"), std::string("\\"), std::string("CON"), std::string("~"),
        std::string("A"), std::string("a"), std::string(".fuse_hidden0001"),
        std::string(".nfs0001")}) {
    t.Ok("create_" + Printable(name), open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
    t.Ok("exists_" + Printable(name), access(name.c_str(), F_OK));
  }
  t.Listing("names", ".");
}

CASE(names, cluster_names_are_ordinary_here) {
  // The magic names stand only right below /mfs.
  for (const char* name : {"here", "home", "lastexec", "selected", "magic", "1", "2"}) {
    t.Ok(std::string("missing_") + name, access(name, F_OK));
    t.Ok(std::string("mkdir_") + name, mkdir(name, 0755));
  }
  t.Listing("names", ".");
}

CASE(paths, long_paths) {
  std::string component(200, 'c'), path = ".";
  for (int i = 0; i < 15; ++i) {
    path += "/" + component;
    Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
  }
  WriteFile(path + "/f", "deep");
  t.Content("reach", path + "/f");
  std::string padded = path + "/";
  while (padded.size() < PATH_MAX - 2) padded += "/";
  t.Ok("path_max_less_1", access((padded + "f").substr(0, PATH_MAX - 1).c_str(), F_OK));
  t.Ok("path_max", access((padded + "/f").c_str(), F_OK));
  std::string dots = ".";
  while (dots.size() + 2 < PATH_MAX) dots += "/.";
  t.Ok("many_dots", access(dots.c_str(), F_OK));
  t.Ok("too_many_dots", access((dots + "/././.").c_str(), F_OK));
}

CASE(paths, working_directory_deeper_than_path_max) {
  std::string component(250, 'w');
  for (int i = 0; i < 20; ++i) {
    Must(mkdir(component.c_str(), 0755) == 0 && chdir(component.c_str()) == 0, "go down");
  }
  WriteFile("f", "bottom");
  t.Content("bottom", "f");
  char buffer[4096];
  t.Say("getcwd", getcwd(buffer, sizeof buffer) ? "fits" : ErrnoName(errno));
  for (int i = 0; i < 20; ++i) Must(chdir("..") == 0, "go up");
  t.Listing("top", ".");
}

CASE(paths, chdir_and_getcwd) {
  std::string start = Here();
  Must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && symlink("a/b", "s") == 0, "setup");
  WriteFile("f", "x");
  t.Ok("chdir", chdir("a/b"));
  t.Say("cwd", Tail(start));
  t.Ok("up", chdir(".."));
  t.Say("cwd_up", Tail(start));
  t.Ok("up_again", chdir(".."));
  t.Ok("through_link", chdir("s"));
  t.Say("cwd_through_link", Tail(start));
  t.Ok("up_from_link", chdir(".."));
  t.Say("cwd_up_from_link", Tail(start));
  t.Ok("file", chdir("../f"));
  t.Ok("missing", chdir("no"));
  t.Ok("empty", chdir(""));
  t.Ok("absolute", chdir(start.c_str()));
  ScopedFd dir(open("a", O_RDONLY)), file(open("f", O_RDONLY));
  t.Ok("fchdir", fchdir(dir.get()));
  t.Say("cwd_fchdir", Tail(start));
  t.Ok("fchdir_file", fchdir(file.get()));
  t.Ok("rename_above", rename((start + "/a").c_str(), (start + "/z").c_str()));
  t.Say("cwd_renamed", Tail(start));
  char small[3];
  t.Say("small_buffer", getcwd(small, sizeof small) ? "ok" : ErrnoName(errno));
}

CASE(paths, realpath_of_links) {
  std::string start = Here();
  Must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && symlink("../a/b", "a/s") == 0, "setup");
  WriteFile("a/b/f", "x");
  char resolved[PATH_MAX];
  for (const char* path : {"a/s/f", "a/s/../b/./f", "a//b///f", "a/s/..", "no", "a/no/x"}) {
    const char* real = realpath(path, resolved);
    t.Say(path, real ? std::string(real).substr(start.size()) : ErrnoName(errno));
  }
}

CASE(paths, dot_and_dotdot) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Ok("dot_end", access("d/.", F_OK));
  t.Ok("dotdot_end", access("d/..", F_OK));
  t.Ok("missing_dotdot", access("no/..", F_OK));
  WriteFile("f", "x");
  t.Ok("file_dotdot", access("f/../f", F_OK));
  t.Ok("rename_through_dotdot", rename("d/../f", "d/./g"));
  t.Listing("names", ".");
  t.Listing("inner", "d");
}

CASE(paths, removed_parent_of_working_directory) {
  std::string start = Here();
  Must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && chdir("a/b") == 0, "setup");
  Must(rename((start + "/a/b").c_str(), (start + "/b").c_str()) == 0 &&
           rmdir((start + "/a").c_str()) == 0,
       "move");
  t.Say("cwd", Tail(start));
  t.Open("create", "f", O_WRONLY | O_CREAT);
  t.Listing("dotdot", "..");
}

CASE(paths, at_calls) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  ScopedFd dir = t.Open("dir", "d", O_RDONLY | O_DIRECTORY);
  t.Ok("openat", openat(dir.get(), "f", O_RDWR | O_CREAT, 0644));
  t.Ok("mkdirat", mkdirat(dir.get(), "sub", 0755));
  t.Ok("symlinkat", symlinkat("f", dir.get(), "s"));
  t.Ok("linkat", linkat(dir.get(), "f", dir.get(), "l", 0));
  t.Ok("renameat", renameat(dir.get(), "l", AT_FDCWD, "out"));
  t.Ok("mknodat", mknodat(dir.get(), "p", S_IFIFO | 0644, 0));
  t.Ok("fchmodat", fchmodat(dir.get(), "f", 0600, 0));
  t.Ok("fchownat", fchownat(dir.get(), "f", getuid(), getgid(), 0));
  t.Ok("unlinkat", unlinkat(dir.get(), "s", 0));
  t.Ok("unlinkat_dir_without_flag", unlinkat(dir.get(), "sub", 0));
  t.Ok("unlinkat_dir", unlinkat(dir.get(), "sub", AT_REMOVEDIR));
  Must(rename("d", "moved") == 0, "rename");
  t.Ok("after_move", openat(dir.get(), "late", O_WRONLY | O_CREAT, 0644));
  t.Listing("moved", "moved");
  t.Listing("here", ".");
}

}  // namespace conformance
