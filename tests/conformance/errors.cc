// Every call that takes a path, at every kind of path: those that cannot be walked, those that end
// in something else than the call wants, and those where it succeeds.
//
// A call that fails must have changed nothing, so the tree is made anew only after one that
// succeeded; the end of each case shows that it is still the same.

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

struct Call {
  const char* name;
  long (*run)(const char* path);
};

// An open that is only tried.
long TryOpen(const char* path, int flags) {
  const int fd = open(path, flags | O_NONBLOCK, 0644);
  if (fd < 0) return -1;
  close(fd);
  return 0;
}

// A chdir that is taken back.
long TryChdir(const char* path) {
  ScopedFd tree(open(".", O_PATH | O_DIRECTORY));
  if (chdir(path) != 0) return -1;
  Must(fchdir(tree.get()) == 0, "fchdir");
  return 0;
}

char buffer[256];

const Call kLooking[] = {
    {"access_exist", [](auto p) -> long { return access(p, F_OK); }},
    {"access_read", [](auto p) -> long { return access(p, R_OK); }},
    {"access_write", [](auto p) -> long { return access(p, W_OK); }},
    {"access_execute", [](auto p) -> long { return access(p, X_OK); }},
    {"chdir", TryChdir},
    {"getxattr", [](auto p) -> long { return getxattr(p, "user.none", buffer, sizeof buffer); }},
    {"lgetxattr", [](auto p) -> long { return lgetxattr(p, "user.none", buffer, sizeof buffer); }},
    {"listxattr", [](auto p) -> long { return listxattr(p, buffer, sizeof buffer) < 0 ? -1 : 0; }},
    {"lstat",
     [](auto p) -> long {
       struct stat st;
       return lstat(p, &st);
     }},
    {"stat",
     [](auto p) -> long {
       struct stat st;
       return stat(p, &st);
     }},
    {"statfs",
     [](auto p) -> long {
       struct statfs fs;
       return statfs(p, &fs);
     }},
    {"statx",
     [](auto p) -> long {
       struct statx stx;
       return statx(AT_FDCWD, p, AT_SYMLINK_NOFOLLOW, STATX_ALL, &stx);
     }},
    {"readlink", [](auto p) -> long { return readlink(p, buffer, sizeof buffer); }},
};

const Call kOpening[] = {
    {"open_read", [](auto p) { return TryOpen(p, O_RDONLY); }},
    {"open_write", [](auto p) { return TryOpen(p, O_WRONLY); }},
    {"open_both", [](auto p) { return TryOpen(p, O_RDWR | O_APPEND); }},
    {"open_trunc", [](auto p) { return TryOpen(p, O_WRONLY | O_TRUNC); }},
    {"open_creat", [](auto p) { return TryOpen(p, O_WRONLY | O_CREAT); }},
    {"open_creat_trunc", [](auto p) { return TryOpen(p, O_WRONLY | O_CREAT | O_TRUNC); }},
    {"open_excl", [](auto p) { return TryOpen(p, O_WRONLY | O_CREAT | O_EXCL); }},
    {"open_creat_read", [](auto p) { return TryOpen(p, O_RDONLY | O_CREAT); }},
    {"open_creat_directory", [](auto p) { return TryOpen(p, O_RDONLY | O_CREAT | O_DIRECTORY); }},
    {"open_directory", [](auto p) { return TryOpen(p, O_RDONLY | O_DIRECTORY); }},
    {"open_nofollow", [](auto p) { return TryOpen(p, O_RDONLY | O_NOFOLLOW); }},
    {"open_creat_nofollow", [](auto p) { return TryOpen(p, O_WRONLY | O_CREAT | O_NOFOLLOW); }},
    {"open_path", [](auto p) { return TryOpen(p, O_PATH); }},
    {"open_path_nofollow", [](auto p) { return TryOpen(p, O_PATH | O_NOFOLLOW); }},
    {"open_path_directory", [](auto p) { return TryOpen(p, O_PATH | O_DIRECTORY); }},
    {"open_tmpfile", [](auto p) { return TryOpen(p, O_RDWR | O_TMPFILE); }},
};

const Call kMaking[] = {
    {"mkdir", [](auto p) -> long { return mkdir(p, 0755); }},
    {"mkfifo", [](auto p) -> long { return mkfifo(p, 0644); }},
    {"mknod_file", [](auto p) -> long { return mknod(p, S_IFREG | 0644, 0); }},
    {"mknod_no_type", [](auto p) -> long { return mknod(p, 0644, 0); }},
    {"mknod_socket", [](auto p) -> long { return mknod(p, S_IFSOCK | 0644, 0); }},
    {"mknod_directory", [](auto p) -> long { return mknod(p, S_IFDIR | 0755, 0); }},
    {"mknod_symlink", [](auto p) -> long { return mknod(p, S_IFLNK | 0777, 0); }},
    {"mknod_char", [](auto p) -> long { return mknod(p, S_IFCHR | 0644, 0x103); }},
    {"mknod_block", [](auto p) -> long { return mknod(p, S_IFBLK | 0644, 0x103); }},
    {"symlink", [](auto p) -> long { return symlink("target", p); }},
};

const Call kRemoving[] = {
    {"rmdir", [](auto p) -> long { return rmdir(p); }},
    {"unlink", [](auto p) -> long { return unlink(p); }},
    {"unlinkat_unknown_flag", [](auto p) -> long { return unlinkat(AT_FDCWD, p, 0x1000); }},
    {"remove", [](auto p) -> long { return remove(p); }},
};

const Call kAttributes[] = {
    {"chmod", [](auto p) -> long { return chmod(p, 0750); }},
    {"chmod_set_ids", [](auto p) -> long { return chmod(p, 07750); }},
    {"fchmodat_nofollow",
     [](auto p) -> long { return fchmodat(AT_FDCWD, p, 0750, AT_SYMLINK_NOFOLLOW); }},
    {"chown", [](auto p) -> long { return chown(p, getuid(), getgid()); }},
    {"lchown", [](auto p) -> long { return lchown(p, getuid(), getgid()); }},
    {"fchownat_unknown_flag",
     [](auto p) -> long { return fchownat(AT_FDCWD, p, getuid(), getgid(), 0x8000); }},
    {"truncate", [](auto p) -> long { return truncate(p, 3); }},
    {"truncate_grow", [](auto p) -> long { return truncate(p, 30000); }},
    {"truncate_negative", [](auto p) -> long { return truncate(p, -1); }},
    {"utimens_now", [](auto p) -> long { return utimensat(AT_FDCWD, p, nullptr, 0); }},
    {"utimens_set",
     [](auto p) -> long {
       timespec times[2] = {{1000, 1}, {2000, 2}};
       return utimensat(AT_FDCWD, p, times, 0);
     }},
    {"utimens_set_nofollow",
     [](auto p) -> long {
       timespec times[2] = {{1000, 1}, {2000, 2}};
       return utimensat(AT_FDCWD, p, times, AT_SYMLINK_NOFOLLOW);
     }},
    {"utimens_odd",
     [](auto p) -> long {
       timespec times[2] = {{1000, 1'000'000'000}, {2000, -1}};
       return utimensat(AT_FDCWD, p, times, 0);
     }},
    {"setxattr", [](auto p) -> long { return setxattr(p, "user.key", "value", 5, 0); }},
    {"setxattr_replace",
     [](auto p) -> long { return setxattr(p, "user.key", "value", 5, XATTR_REPLACE); }},
    {"lsetxattr", [](auto p) -> long { return lsetxattr(p, "user.key", "value", 5, 0); }},
    {"removexattr", [](auto p) -> long { return removexattr(p, "user.key"); }},
};

const Call kTwoNames[] = {
    {"link_from", [](auto p) -> long { return link(p, "other"); }},
    {"link_from_follow",
     [](auto p) -> long { return linkat(AT_FDCWD, p, AT_FDCWD, "other", AT_SYMLINK_FOLLOW); }},
    {"link_to", [](auto p) -> long { return link("spare", p); }},
    {"rename_from", [](auto p) -> long { return rename(p, "other"); }},
    {"rename_onto_file", [](auto p) -> long { return rename(p, "spare"); }},
    {"rename_onto_directory", [](auto p) -> long { return rename(p, "sparedir"); }},
    {"rename_file_to", [](auto p) -> long { return rename("spare", p); }},
    {"rename_directory_to", [](auto p) -> long { return rename("sparedir", p); }},
    {"rename_missing_to", [](auto p) -> long { return rename("missing", p); }},
    {"rename_noreplace_to",
     [](auto p) -> long { return renameat2(AT_FDCWD, "spare", AT_FDCWD, p, RENAME_NOREPLACE); }},
    {"rename_exchange",
     [](auto p) -> long { return renameat2(AT_FDCWD, "spare", AT_FDCWD, p, RENAME_EXCHANGE); }},
    {"rename_exchange_directory",
     [](auto p) -> long { return renameat2(AT_FDCWD, p, AT_FDCWD, "sparedir", RENAME_EXCHANGE); }},
};

struct Path {
  std::string name;  // in the observation
  std::string path;
};

std::vector<Path> Paths() {
  const std::string longest(NAME_MAX, 'n'), too_long(NAME_MAX + 1, 'n');
  std::string slashes = "file";  // of PATH_MAX bytes without the 0
  while (slashes.size() < PATH_MAX) slashes.insert(0, "./");
  std::vector<Path> paths = {
      {"empty", ""},
      {"name_max", longest},
      {"name_too_long", too_long},
      {"below_name_too_long", too_long + "/x"},
      {"path_too_long", slashes},
      {"path_max", slashes.substr(2)},
      {"below_missing", "missing/x"},
      {"missing_slash", "missing/"},
      {"missing_dot", "missing/."},
      {"missing_up", "missing/.."},
      {"closed", "closed"},
      {"below_closed", "closed/file"},
      {"below_closed_missing", "closed/missing"},
      {"below_closed_directory", "closed/dir/x"},
      {"unreadable", "unreadable/file"},
      {"unwritable_file", "unwritable/file"},
      {"unwritable_directory", "unwritable/dir"},
      {"unwritable_missing", "unwritable/missing"},
      {"dot", "."},
      {"up", ".."},
      {"up_and_down", "../tree/file"},
  };
  for (const char* kind : {"missing", "file", "dir", "full", "fifo", "socket", "tofile", "todir",
                           "tofull", "dangling", "loop", "tolong"}) {
    paths.push_back({kind, kind});
  }
  for (const char* kind : {"file", "dir", "fifo", "tofile", "todir", "dangling", "loop"}) {
    const std::string k = kind;
    paths.push_back({k + "_slash", k + "/"});
    paths.push_back({k + "_dot", k + "/."});
    paths.push_back({k + "_up", k + "/.."});
    paths.push_back({k + "_below", k + "/x"});
  }
  return paths;
}

void Directory(const std::string& path, std::initializer_list<const char*> files,
               std::initializer_list<const char*> directories, mode_t mode) {
  Must(mkdir(path.c_str(), 0755) == 0, "mkdir");
  for (const char* name : files) WriteFile(path + "/" + name, "inner");
  for (const char* name : directories) {
    Must(mkdir((path + "/" + name).c_str(), 0755) == 0, "mkdir");
  }
  Must(chmod(path.c_str(), mode) == 0, "chmod");
}

// What Paths() speaks of, each right in the working directory.
const std::map<std::string, std::function<void(const std::string&)>> kTree = {
    {"file", [](auto p) { WriteFile(p, "content"); }},
    {"spare", [](auto p) { WriteFile(p, "spare"); }},
    {"dir", [](auto p) { Directory(p, {}, {}, 0755); }},
    {"sparedir", [](auto p) { Directory(p, {}, {}, 0755); }},
    {"full", [](auto p) { Directory(p, {"in"}, {}, 0755); }},
    {"closed", [](auto p) { Directory(p, {"file"}, {"dir"}, 0600); }},
    {"unreadable", [](auto p) { Directory(p, {"file"}, {}, 0300); }},
    {"unwritable", [](auto p) { Directory(p, {"file"}, {"dir"}, 0555); }},
    {"fifo", [](auto p) { Must(mkfifo(p.c_str(), 0644) == 0, "mkfifo"); }},
    {"socket", [](auto p) { Must(mknod(p.c_str(), S_IFSOCK | 0644, 0) == 0, "mknod"); }},
};
const std::map<std::string, std::string> kLinks = {
    {"tofile", "file"},      {"todir", "dir"}, {"tofull", "full"},
    {"dangling", "nowhere"}, {"loop", "loop"}, {"tolong", std::string(NAME_MAX + 1, 'n')},
};

void MakeEntry(const std::string& name) {
  if (const auto made = kTree.find(name); made != kTree.end()) made->second(name);
  if (const auto link = kLinks.find(name); link != kLinks.end()) {
    Must(symlink(link->second.c_str(), name.c_str()) == 0, "symlink");
  }
}

void MakeTree() {
  for (const auto& [name, _] : kTree) MakeEntry(name);
  for (const auto& [name, _] : kLinks) MakeEntry(name);
}

std::string EntryText(const std::string& path) {
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return path + " " + ErrnoName(errno) + "\n";
  std::string text = path + " " + TypeText(st.st_mode) + ModeText(st.st_mode) + " " +
                     std::to_string(st.st_nlink) + " " + std::to_string(st.st_size) + "\n";
  if (S_ISDIR(st.st_mode) && access(path.c_str(), R_OK | X_OK) == 0) {
    for (const std::string& name : Names(path)) text += EntryText(path + "/" + name);
  }
  return text;
}

// The tree is in "tree" of the case's directory, and that is the working directory.
class Tree {
 public:
  Tree() {
    Must(mkdir("used", 0755) == 0, "mkdir");
    Enter();
    for (const char* name : {"spare", "sparedir", "other"}) at_first_[name] = EntryText(name);
    untouched_ = EntryText(".");
  }

  // What a call with the path changed, as text; then all is as it was.
  std::string TakeBack(const std::string& path) {
    const std::set<std::string> names = ChangedBy(path);
    std::string text;
    if (names.empty()) {
      text = EntryText(".");
      Must(chmod(".", 0755) == 0 && chdir("..") == 0 && chmod(".", 0755) == 0, "leave the tree");
      Must(rename("tree", ("used/" + std::to_string(++used_)).c_str()) == 0, "rename");
      Enter();
      return text;
    }
    for (const std::string& name : names) {
      const std::string now = EntryText(name);
      text += now;
      // What only calls with two names change shows whether it was changed; the others have
      // contents and more.
      if (const auto it = at_first_.find(name); it != at_first_.end() && it->second == now)
        continue;
      Discard(name);
      MakeEntry(name);
    }
    return text;
  }

  bool IsUntouched() const { return EntryText(".") == untouched_; }

 private:
  static void Enter() {
    Must(mkdir("tree", 0755) == 0 && chdir("tree") == 0, "make a tree");
    MakeTree();
  }

  // The entries that a successful call with the path can have changed; none: the whole tree.
  static std::set<std::string> ChangedBy(std::string path) {
    while (path.starts_with("./")) path.erase(0, 2);
    if (path == "." || path.find("..") != std::string::npos) return {};
    const std::string first = path.substr(0, path.find('/'));
    std::set<std::string> names = {first, "spare", "sparedir", "other"};
    if (const auto link = kLinks.find(first); link != kLinks.end()) names.insert(link->second);
    names.erase(std::string(NAME_MAX + 1, 'n'));
    return names;
  }

  void Discard(const std::string& name) {
    if (unlink(name.c_str()) == 0 || errno == ENOENT) return;
    Must(errno == EISDIR && chmod(name.c_str(), 0755) == 0 &&
             rename(name.c_str(), ("../used/" + std::to_string(++used_)).c_str()) == 0,
         "take a directory away");
  }

  std::map<std::string, std::string> at_first_;  // of the second names of calls
  std::string untouched_;
  int used_ = 0;
};

void AtEveryPath(Case& t, std::span<const Call> calls, bool changes) {
  Tree tree;
  const std::vector<Path> paths = Paths();
  for (const Call& call : calls) {
    for (const Path& path : paths) {
      const std::string point = std::string(call.name) + "_" + path.name;
      if (!t.Ok(point, call.run(path.path.c_str())) || !changes) continue;
      t.Say(point + "_left", Printable(tree.TakeBack(path.path)));
    }
    t.Ok(std::string(call.name) + "_bad_address",
         call.run(reinterpret_cast<const char*>(static_cast<uintptr_t>(8))));
  }
  t.Bool("untouched", tree.IsUntouched());
}

}  // namespace

ROOT_AND_USER_CASE(errors, looking) { AtEveryPath(t, kLooking, false); }
ROOT_AND_USER_CASE(errors, opening) { AtEveryPath(t, kOpening, true); }
ROOT_AND_USER_CASE(errors, making) { AtEveryPath(t, kMaking, true); }
ROOT_AND_USER_CASE(errors, removing) { AtEveryPath(t, kRemoving, true); }
ROOT_AND_USER_CASE(errors, attributes) { AtEveryPath(t, kAttributes, true); }
ROOT_AND_USER_CASE(errors, two_names) { AtEveryPath(t, kTwoNames, true); }

ROOT_CASE(errors, read_only_mount) {
  Must(mkdir("tree", 0755) == 0 && chdir("tree") == 0, "make a tree");
  MakeTree();
  Must(chdir("..") == 0, "chdir");
  Must(unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
       "a mount namespace");
  Must(mount("tree", "tree", nullptr, MS_BIND, nullptr) == 0 &&
           mount(nullptr, "tree", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0,
       "mount");
  Must(chdir("tree") == 0, "chdir");
  const std::string untouched = EntryText(".");
  for (std::span<const Call> calls :
       {std::span<const Call>(kLooking), std::span<const Call>(kOpening),
        std::span<const Call>(kMaking), std::span<const Call>(kRemoving),
        std::span<const Call>(kAttributes), std::span<const Call>(kTwoNames)}) {
    for (const Call& call : calls) {
      for (const char* path : {"missing", "file", "dir", "full", "fifo", "tofile", "dangling",
                               "full/in", "full/missing", "file/x", "missing/x"}) {
        t.Ok(std::string(call.name) + "_" + path, call.run(path));
      }
    }
  }
  t.Bool("untouched", EntryText(".") == untouched);
  Must(chdir("..") == 0 && umount2("tree", MNT_DETACH) == 0, "umount");
}

}  // namespace conformance
