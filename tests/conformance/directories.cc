// Directories: making, removing and reading them.

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

const char* EntryType(unsigned char type) {
  switch (type) {
    case DT_REG:
      return "file";
    case DT_DIR:
      return "dir";
    case DT_LNK:
      return "symlink";
    case DT_FIFO:
      return "fifo";
    case DT_SOCK:
      return "socket";
    case DT_CHR:
      return "char";
    case DT_BLK:
      return "block";
    default:
      return "unknown";
  }
}

void MakeFiles(const std::string& dir, int count) {
  for (int i = 0; i < count; ++i) WriteFile(dir + "/file-" + std::to_string(i), "");
}

}  // namespace

CASE(mkdir, plain) {
  t.Ok("new", mkdir("d", 0755));
  t.Attributes("made", "d");
  t.Listing("empty", "d");
  t.Ok("again", mkdir("d", 0755));
  struct stat here, inner, dot, dotdot;
  Must(stat(".", &here) == 0 && stat("d", &inner) == 0 && stat("d/.", &dot) == 0 &&
           stat("d/..", &dotdot) == 0,
       "stat");
  t.Bool("dot_ino_equal", inner.st_ino == dot.st_ino);
  t.Bool("dotdot_ino_equal", here.st_ino == dotdot.st_ino);
}

CASE(mkdir, modes) {
  for (mode_t mask : {0, 022, 077}) {
    umask(mask);
    for (mode_t mode : {0, 0700, 0777, 01777, 02755, 04755, 07777}) {
      std::string name = "d" + ModeText(mode) + "-" + ModeText(mask);
      t.Ok("mkdir" + name, mkdir(name.c_str(), mode));
      t.Attributes(name, name);
    }
  }
  umask(022);
}

CASE(mkdir, refused) {
  WriteFile("f", "x");
  Must(symlink("nowhere", "dangling") == 0 && mkdir("d", 0755) == 0 && symlink("d", "sd") == 0,
       "setup");
  t.Ok("over_file", mkdir("f", 0755));
  t.Ok("over_dangling", mkdir("dangling", 0755));
  t.Ok("over_link_to_dir", mkdir("sd", 0755));
  t.Ok("no_parent", mkdir("no/d", 0755));
  t.Ok("below_file", mkdir("f/d", 0755));
  t.Ok("empty", mkdir("", 0755));
  t.Ok("dot", mkdir(".", 0755));
  t.Ok("dotdot", mkdir("..", 0755));
  t.Ok("name_dot", mkdir("new/.", 0755));
  t.Ok("existing_dot", mkdir("d/.", 0755));
  t.Ok("slash", mkdir("slash/", 0755));
  t.Ok("slashes", mkdir("slashes///", 0755));
  t.Ok("dangling_slash", mkdir("dangling/", 0755));
  t.Ok("through_link", mkdir("sd/inner", 0755));
  t.Listing("names", ".");
}

CASE(mkdir, link_counts) {
  t.Attributes("before", ".");
  Must(mkdir("a", 0755) == 0, "mkdir");
  t.Attributes("with_one", ".");
  Must(mkdir("a/b", 0755) == 0 && mkdir("a/c", 0755) == 0, "mkdir");
  t.Attributes("a_with_two", "a");
  WriteFile("a/f", "");
  t.Attributes("a_with_file", "a");
  Must(rmdir("a/b") == 0, "rmdir");
  t.Attributes("a_with_one", "a");
  Must(rename("a/c", "c") == 0, "rename");
  t.Attributes("a_with_none", "a");
  t.Attributes("here", ".");
}

CASE(rmdir, refused) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0 && symlink("e", "se") == 0, "setup");
  WriteFile("d/in", "y");
  t.Ok("not_empty", rmdir("d"));
  t.Ok("file", rmdir("f"));
  t.Ok("symlink", rmdir("se"));
  t.Ok("symlink_slash", rmdir("se/"));
  t.Ok("missing", rmdir("no"));
  t.Ok("below_file", rmdir("f/d"));
  t.Ok("empty_path", rmdir(""));
  t.Ok("dot", rmdir("e/."));
  t.Ok("dotdot", rmdir("e/.."));
  t.Ok("slash", rmdir("e/"));
  t.Ok("root", rmdir("/"));
  t.Listing("names", ".");
}

CASE(rmdir, while_open) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  ScopedFd fd = t.Open("open", "d", O_RDONLY | O_DIRECTORY);
  t.Ok("rmdir", rmdir("d"));
  t.AttributesOf("removed", fd.get());
  t.Ok("create_in_it", openat(fd.get(), "new", O_WRONLY | O_CREAT, 0644));
  t.Ok("mkdir_in_it", mkdirat(fd.get(), "new", 0755));
  t.Ok("symlink_in_it", symlinkat("x", fd.get(), "new"));
  t.Ok("lookup_in_it", faccessat(fd.get(), "new", F_OK, 0));
  DIR* dir = fdopendir(fd.release());
  int count = 0;
  while (readdir(dir)) ++count;
  t.Value("entries", count);
  closedir(dir);
}

CASE(rmdir, as_working_directory) {
  Must(mkdir("d", 0755) == 0 && chdir("d") == 0, "setup");
  t.Ok("rmdir", rmdir("../d"));
  char buffer[4096];
  t.Say("getcwd", getcwd(buffer, sizeof buffer) ? "a path" : ErrnoName(errno));
  t.Attributes("dot", ".");
  t.Open("create", "f", O_WRONLY | O_CREAT);
  t.Open("dot_open", ".", O_RDONLY);
  t.Ok("mkdir", mkdir("sub", 0755));
  t.Ok("rename_in", rename("../x", "x"));
  t.Ok("parent", access("..", F_OK));
  t.Ok("back", chdir(".."));
}

CASE(unlink, refused) {
  WriteFile("f", "x");
  Must(mkdir("d", 0755) == 0 && symlink("d", "sd") == 0 && symlink("no", "dangling") == 0, "setup");
  t.Ok("directory", unlink("d"));
  t.Ok("directory_slash", unlink("d/"));
  t.Ok("missing", unlink("no"));
  t.Ok("below_file", unlink("f/x"));
  t.Ok("file_slash", unlink("f/"));
  t.Ok("empty", unlink(""));
  t.Ok("dot", unlink("."));
  t.Ok("dotdot", unlink("d/.."));
  t.Ok("at_removedir_on_file", unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
  t.Ok("bad_flag", unlinkat(AT_FDCWD, "f", 0x40000));
  t.Ok("link_slash", unlink("sd/"));
  t.Ok("link", unlink("sd"));
  t.Ok("dangling", unlink("dangling"));
  t.Ok("file", unlink("f"));
  t.Ok("file_again", unlink("f"));
  t.Listing("names", ".");
}

CASE(readdir, types) {
  WriteFile("file", "");
  Must(mkdir("dir", 0755) == 0 && symlink("x", "symlink") == 0 && mkfifo("fifo", 0644) == 0,
       "setup");
  Must(mknod("socket", S_IFSOCK | 0644, 0) == 0, "mknod of a socket");
  DIR* dir = opendir(".");
  std::map<std::string, std::string> seen;
  while (dirent* entry = readdir(dir)) {
    struct stat st;
    Must(lstat(entry->d_name, &st) == 0, "lstat");
    std::string name = entry->d_name;
    bool same = st.st_ino == entry->d_ino;
    seen[name] = std::string(EntryType(entry->d_type)) + (name == ".." ? ""
                                                          : same       ? " ino_equal"
                                                                       : " INO DIFFERS");
  }
  closedir(dir);
  for (auto& [name, what] : seen) t.Say(Printable(name), what);
}

ROOT_AND_USER_CASE(readdir, three_thousand) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 3000);
  std::vector<std::string> names = Names("d");
  t.Value("count", static_cast<long>(names.size()));
  t.Value("distinct", static_cast<long>(std::set<std::string>(names.begin(), names.end()).size()));
  std::string all;
  for (auto& name : names) all += name + "\n";
  t.Say("all", Printable(all));
  for (int i = 0; i < 3000; i += 2)
    Must(unlink(("d/file-" + std::to_string(i)).c_str()) == 0, "unlink");
  t.Value("after_unlink", static_cast<long>(Names("d").size()));
  t.Ok("not_empty", rmdir("d"));
}

CASE(readdir, removal_while_reading) {
  // Every name that is there from start to end must be seen once; the removed ones may be or not.
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 500);
  DIR* dir = opendir("d");
  std::multiset<std::string> seen;
  while (dirent* entry = readdir(dir)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    seen.insert(name);
    unlink(("d/" + name).c_str());
  }
  closedir(dir);
  t.Value("seen", static_cast<long>(seen.size()));
  t.Value("left", static_cast<long>(Names("d").size()));
  t.Ok("rmdir", rmdir("d"));
}

CASE(readdir, creation_while_reading) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 400);
  DIR* dir = opendir("d");
  std::multiset<std::string> seen;
  for (int n = 0; dirent* entry = readdir(dir); ++n) {
    if (strncmp(entry->d_name, "file-", 5) == 0) seen.insert(entry->d_name);
    if (n < 100) WriteFile("d/later-" + std::to_string(n), "");
  }
  closedir(dir);
  t.Value("old_names_seen", static_cast<long>(seen.size()));
  t.Value("distinct", static_cast<long>(std::set<std::string>(seen.begin(), seen.end()).size()));
  t.Value("all", static_cast<long>(Names("d").size()));
}

CASE(readdir, tell_and_seek) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 300);
  DIR* dir = opendir("d");
  std::vector<std::string> order;
  std::vector<long> places;
  for (;;) {
    long place = telldir(dir);
    dirent* entry = readdir(dir);
    if (!entry) break;
    places.push_back(place);
    order.push_back(entry->d_name);
  }
  bool right = true;
  for (size_t i : {299UL, 3UL, 150UL, 0UL, 301UL, 77UL}) {
    seekdir(dir, places[i]);
    dirent* entry = readdir(dir);
    right = right && entry && order[i] == entry->d_name;
  }
  t.Bool("seekdir_returns_to_each", right);
  seekdir(dir, places[100]);
  size_t rest = 0;
  while (readdir(dir)) ++rest;
  t.Value("rest_from_100", static_cast<long>(rest));
  rewinddir(dir);
  WriteFile("d/late", "");
  rewinddir(dir);
  size_t all = 0;
  while (readdir(dir)) ++all;
  t.Value("after_rewind", static_cast<long>(all));
  closedir(dir);
}

CASE(readdir, small_buffer) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 60);
  WriteFile("d/" + std::string(255, 'n'), "");
  ScopedFd fd = t.Open("open", "d", O_RDONLY | O_DIRECTORY);
  char buffer[300];
  t.Value("too_small", syscall(SYS_getdents64, fd.get(), buffer, 10));
  std::set<std::string> seen;
  long n;
  while ((n = syscall(SYS_getdents64, fd.get(), buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      unsigned short length;
      memcpy(&length, buffer + at + 16, sizeof length);
      seen.insert(buffer + at + 19);
      at += length;
    }
  }
  t.Value("end", n);
  t.Value("names", static_cast<long>(seen.size()));
  ScopedFd file(open("d/file-1", O_RDONLY));
  t.Value("of_a_file", syscall(SYS_getdents64, file.get(), buffer, sizeof buffer));
}

CASE(readdir, of_removed) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  DIR* dir = opendir("d");
  Must(rmdir("d") == 0, "rmdir");
  errno = 0;
  dirent* entry = readdir(dir);
  t.Say("entry", entry ? entry->d_name : ErrnoName(errno));
  closedir(dir);
  DIR* gone = opendir("d");
  t.Say("opendir", gone ? "opened" : ErrnoName(errno));
}

CASE(readdir, deep_tree) {
  std::string path = ".";
  for (int i = 0; i < 60; ++i) {
    path += "/level" + std::to_string(i);
    Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
  }
  WriteFile(path + "/leaf", "deep");
  t.Content("leaf", path + "/leaf");
  std::string up = path;
  for (int i = 0; i < 60; ++i) up += "/..";
  t.Listing("top_through_dotdot", up);
}

CASE(readdir, two_readers) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  MakeFiles("d", 200);
  DIR* a = opendir("d");
  DIR* b = opendir("d");
  int na = 0, nb = 0;
  for (int i = 0; i < 50; ++i) na += readdir(a) != nullptr;
  while (readdir(b)) ++nb;
  while (readdir(a)) ++na;
  t.Value("a", na);
  t.Value("b", nb);
  closedir(a);
  closedir(b);
}

CASE(readdir, without_search_or_read) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  WriteFile("d/f", "x");
  Must(chmod("d", 0444) == 0, "chmod");
  t.Listing("readable", "d");
  t.Attributes("no_search", "d/f");
  Must(chmod("d", 0111) == 0, "chmod");
  t.Listing("unreadable", "d");
  t.Attributes("search", "d/f");
  Must(chmod("d", 0) == 0, "chmod");
  t.Listing("nothing", "d");
  t.Attributes("nothing_attr", "d/f");
  Must(chmod("d", 0755) == 0, "chmod");
}

CASE(readdir, seek_data_of_directory) {
  ScopedFd fd = t.Open("open", ".", O_RDONLY | O_DIRECTORY);
  t.Value("set", lseek(fd.get(), 0, SEEK_SET));
  t.Value("cur", lseek(fd.get(), 0, SEEK_CUR));
  t.Ok("negative", lseek(fd.get(), -1, SEEK_SET));
}

}  // namespace conformance
