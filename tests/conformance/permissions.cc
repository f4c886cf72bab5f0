// Who may do what: every operation by owner, group and others, at every single permission bit.

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "observe.h"

namespace conformance {

namespace {

struct Person {
  const char* name;
  Identity who;
};

// Everyone that stands in a different relation to a file of alice's and of group 4201.
const std::array<Person, 5> kPeople = {{{"owner", kAlice},
                                        {"group", kBobInAlicesGroup},
                                        {"supplementary", kBobWithAlicesGroup},
                                        {"other", kBob},
                                        {"root", {0, 0, {}}}}};

constexpr std::array<mode_t, 12> kModes = {0000, 0400, 0200, 0100, 0040, 0020,
                                           0010, 0004, 0002, 0001, 0077, 0777};

void GiveToAlice(const std::string& path) {
  Must(lchown(path.c_str(), kAlice.uid, kAlice.gid) == 0, "chown");
}

// A file for each mode, owned by alice, and body run on it by everyone.
void ForEveryFile(
    Case& t, const std::function<void(const std::string& point, const std::string& path)>& body) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (mode_t mode : kModes) {
    std::string path = "f" + ModeText(mode);
    WriteFile(path, "#!/bin/true\n");
    GiveToAlice(path);
    Must(chmod(path.c_str(), mode) == 0, "chmod");
    for (const Person& person : kPeople) {
      t.As(person.name, person.who,
           [&] { body(std::string(person.name) + "_" + ModeText(mode), path); });
    }
  }
}

// The same for a directory that holds a file "in" and a directory "sub".
void ForEveryDirectory(
    Case& t, const std::function<void(const std::string& point, const std::string& path)>& body) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (mode_t mode :
       {0000, 0100, 0200, 0300, 0400, 0500, 0700, 0010, 0030, 0070, 0001, 0003, 0007, 0777}) {
    for (const Person& person : kPeople) {
      std::string path = "d" + ModeText(mode) + person.name;
      Must(mkdir(path.c_str(), 0777) == 0 && mkdir((path + "/sub").c_str(), 0777) == 0, "mkdir");
      WriteFile(path + "/in", "x", 0666);
      GiveToAlice(path);
      Must(chmod(path.c_str(), mode) == 0, "chmod");
      t.As(person.name, person.who,
           [&] { body(std::string(person.name) + "_" + ModeText(mode), path); });
    }
  }
}

}  // namespace

ROOT_CASE(permission, open_read) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_RDONLY); });
}
ROOT_CASE(permission, open_write) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_WRONLY); });
}
ROOT_CASE(permission, open_both) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_RDWR | O_APPEND); });
}
ROOT_CASE(permission, open_path) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_PATH); });
}
ROOT_CASE(permission, open_creat_existing) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_WRONLY | O_CREAT, 0666); });
}
ROOT_CASE(permission, open_noatime) {
  ForEveryFile(t, [&](auto point, auto path) { t.Open(point, path, O_RDONLY | O_NOATIME); });
}
ROOT_CASE(permission, truncate) {
  ForEveryFile(t, [&](auto point, auto path) { t.Ok(point, truncate(path.c_str(), 12)); });
}
ROOT_CASE(permission, execute) {
  ForEveryFile(t, [&](auto point, auto path) {
    pid_t pid = fork();
    if (pid == 0) {
      char* argv[] = {const_cast<char*>("x"), nullptr};
      char* env[] = {nullptr};
      execve(path.c_str(), argv, env);
      _exit(errno);
    }
    int code = WaitExit(pid);
    t.Say(point, code == 0 ? "ran" : ErrnoName(code));
  });
}
ROOT_CASE(permission, access_answers) {
  ForEveryFile(t, [&](auto point, auto path) {
    std::string text;
    for (int mask : {R_OK, W_OK, X_OK, R_OK | W_OK, R_OK | W_OK | X_OK}) {
      text +=
          (text.empty() ? "" : " ") + (access(path.c_str(), mask) == 0 ? "ok" : ErrnoName(errno));
    }
    t.Say(point, text);
    t.Ok(point + "_exists", access(path.c_str(), F_OK));
    t.Ok(point + "_eaccess", faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS));
  });
}
ROOT_CASE(permission, utimes_now) {
  ForEveryFile(t, [&](auto point, auto path) {
    t.Ok(point, utimensat(AT_FDCWD, path.c_str(), nullptr, 0));
  });
}
ROOT_CASE(permission, utimes_set) {
  ForEveryFile(t, [&](auto point, auto path) {
    timespec times[2] = {{1000, 0}, {2000, 0}};
    t.Ok(point, utimensat(AT_FDCWD, path.c_str(), times, 0));
  });
}
ROOT_CASE(permission, utimes_half) {
  ForEveryFile(t, [&](auto point, auto path) {
    timespec now_omit[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    timespec now_now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    t.Ok(point + "_now_omit", utimensat(AT_FDCWD, path.c_str(), now_omit, 0));
    t.Ok(point + "_omit", utimensat(AT_FDCWD, path.c_str(), omit, 0));
    t.Ok(point + "_now", utimensat(AT_FDCWD, path.c_str(), now_now, 0));
  });
}
ROOT_CASE(permission, chmod) {
  ForEveryFile(t, [&](auto point, auto path) {
    struct stat st;
    Must(stat(path.c_str(), &st) == 0, "stat");
    t.Ok(point, chmod(path.c_str(), st.st_mode & 07777));
  });
}
ROOT_CASE(permission, getxattr) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (mode_t mode : kModes) {
    std::string path = "f" + ModeText(mode);
    WriteFile(path, "x");
    Must(setxattr(path.c_str(), "user.key", "v", 1, 0) == 0, "setxattr");
    GiveToAlice(path);
    Must(chmod(path.c_str(), mode) == 0, "chmod");
    for (const Person& person : kPeople) {
      t.As(person.name, person.who, [&] {
        std::string point = std::string(person.name) + "_" + ModeText(mode);
        char buffer[64];
        t.Value(point + "_get", getxattr(path.c_str(), "user.key", buffer, sizeof buffer));
        t.Value(point + "_list", listxattr(path.c_str(), buffer, sizeof buffer));
        t.Ok(point + "_set", setxattr(path.c_str(), "user.key", "w", 1, 0));
        t.Ok(point + "_remove_missing", removexattr(path.c_str(), "user.none"));
      });
    }
  }
}

ROOT_CASE(permission, directory_read) {
  ForEveryDirectory(t, [&](auto point, auto path) {
    DIR* dir = opendir(path.c_str());
    t.Say(point, dir ? "ok" : ErrnoName(errno));
    if (dir) closedir(dir);
  });
}
ROOT_CASE(permission, directory_search) {
  ForEveryDirectory(t, [&](auto point, auto path) {
    struct stat st;
    t.Ok(point + "_stat", lstat((path + "/in").c_str(), &st));
    t.Ok(point + "_missing", lstat((path + "/missing").c_str(), &st));
    t.Ok(point + "_open", open((path + "/in").c_str(), O_RDWR));
    t.Ok(point + "_deeper", lstat((path + "/sub/no").c_str(), &st));
    t.Ok(point + "_dotdot", lstat((path + "/../" + path).c_str(), &st));
    t.Ok(point + "_chdir", chdir(path.c_str()));
  });
}
ROOT_CASE(permission, directory_create) {
  ForEveryDirectory(t, [&](auto point, auto path) {
    t.Ok(point + "_file", open((path + "/f").c_str(), O_WRONLY | O_CREAT, 0644));
    t.Ok(point + "_file_existing", open((path + "/in").c_str(), O_WRONLY | O_CREAT, 0644));
    t.Ok(point + "_excl_existing", open((path + "/in").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
    t.Ok(point + "_dir", mkdir((path + "/d").c_str(), 0755));
    t.Ok(point + "_dir_existing", mkdir((path + "/sub").c_str(), 0755));
    t.Ok(point + "_symlink", symlink("x", (path + "/s").c_str()));
    t.Ok(point + "_fifo", mkfifo((path + "/p").c_str(), 0644));
    t.Ok(point + "_link", link((path + "/in").c_str(), (path + "/l").c_str()));
    t.Ok(point + "_tmpfile", open(path.c_str(), O_RDWR | O_TMPFILE, 0600));
  });
}
ROOT_CASE(permission, directory_remove) {
  ForEveryDirectory(t, [&](auto point, auto path) {
    t.Ok(point + "_missing", unlink((path + "/no").c_str()));
    t.Ok(point + "_unlink", unlink((path + "/in").c_str()));
    t.Ok(point + "_rmdir", rmdir((path + "/sub").c_str()));
  });
}
ROOT_CASE(permission, directory_rename) {
  ForEveryDirectory(t, [&](auto point, auto path) {
    t.Ok(point + "_within", rename((path + "/in").c_str(), (path + "/in2").c_str()));
    t.Ok(point + "_out", rename((path + "/in2").c_str(), (path + "-moved").c_str()));
    t.Ok(point + "_dir_within", rename((path + "/sub").c_str(), (path + "/sub2").c_str()));
    t.Ok(point + "_missing", rename((path + "/no").c_str(), (path + "/no2").c_str()));
  });
}

CASE(permission, own_file_without_rights) {
  // As an ordinary user the owner's bits count even where the group's would allow more; root
  // passes.
  WriteFile("f", "x", 0077);
  t.Open("read", "f", O_RDONLY);
  t.Open("write", "f", O_WRONLY);
  t.Ok("access_read", access("f", R_OK));
  t.Ok("access_exec", access("f", X_OK));
  t.Ok("chmod", chmod("f", 0600));
  t.Open("read_now", "f", O_RDONLY);
  ScopedFd fd = t.Open("open", "f", O_RDWR);
  t.Ok("take_away", chmod("f", 0));
  t.Value("write_by_open", write(fd.get(), "y", 1));
  t.Ok("truncate_by_open", ftruncate(fd.get(), 0));
  t.Ok("truncate_by_name", truncate("f", 0));
  t.Ok("stat", access("f", F_OK));
}

CASE(permission, read_only_directory) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  WriteFile("d/f", "x");
  Must(chmod("d", 0555) == 0, "chmod");
  t.Open("create", "d/new", O_WRONLY | O_CREAT);
  t.Open("create_existing", "d/f", O_WRONLY | O_CREAT);
  t.Ok("mkdir", mkdir("d/sub", 0755));
  t.Ok("unlink", unlink("d/f"));
  t.Ok("rename_out", rename("d/f", "f"));
  t.Ok("symlink", symlink("x", "d/s"));
  t.Ok("link", link("f", "d/l"));
  t.Ok("mkdir_existing", mkdir("d/.", 0755));
  Must(chmod("d", 0755) == 0, "chmod");
  t.Listing("names", ".");
  t.Listing("inner", "d");
}

CASE(permission, no_search) {
  Must(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0, "mkdir");
  WriteFile("d/e/f", "x");
  ScopedFd inner(open("d/e", O_RDONLY | O_DIRECTORY));
  Must(chmod("d", 0600) == 0, "chmod");
  t.Content("through", "d/e/f");
  t.Ok("chdir", chdir("d"));
  if (RunningAsRoot()) Must(chdir("..") == 0, "chdir");
  t.Ok("by_descriptor", faccessat(inner.get(), "f", F_OK, 0));
  t.Ok("rename_from", rename("d/e", "e"));
  t.Ok("rename_into", rename("d", "d/e/x"));
  t.Ok("link_from", link("d/e/f", "f"));
  t.Ok("truncate", truncate("d/e/f", 0));
  t.Ok("unlink", unlink("d/e/f"));
  t.Ok("missing", access("d/missing", F_OK));
  chmod("d", 0755);
  chmod("e", 0755);
}

CASE(permission, chown_own) {
  WriteFile("f", "x", 0755);
  t.Ok("same", chown("f", getuid(), getgid()));
  t.Ok("nothing", chown("f", static_cast<uid_t>(-1), static_cast<gid_t>(-1)));
  t.Ok("to_root", chown("f", 0, static_cast<gid_t>(-1)));
  t.Ok("to_bob", chown("f", kBob.uid, static_cast<gid_t>(-1)));
  t.Ok("group_root", chown("f", static_cast<uid_t>(-1), 0));
  t.Ok("group_team", chown("f", static_cast<uid_t>(-1), kTeam));  // depends on supplementary groups
  t.Attributes("after_team", "f");
  t.Ok("group_club", chown("f", static_cast<uid_t>(-1), kClub));
  t.Ok("group_foreign", chown("f", static_cast<uid_t>(-1), 4999));
  t.Attributes("after", "f");
}

ROOT_CASE(permission, chown_matrix) {
  Must(chmod(".", 0777) == 0, "chmod");
  const std::array<Person, 5> people = {{{"root", {0, 0, {}}},
                                         {"alice", kAlice},
                                         {"alice_groups", kAliceWithGroups},
                                         {"bob", kBob},
                                         {"bob_in_group", kBobWithAlicesGroup}}};
  const std::array<std::pair<int, int>, 9> owners = {{{0, -1},
                                                      {4201, -1},
                                                      {4202, -1},
                                                      {-1, 4201},
                                                      {-1, 4301},
                                                      {-1, 4302},
                                                      {-1, 0},
                                                      {4201, 4301},
                                                      {-1, -1}}};
  for (const Person& person : people) {
    for (auto [uid, gid] : owners) {
      std::string point =
          std::string(person.name) + "_" + std::to_string(uid) + "_" + std::to_string(gid);
      std::string path = "f-" + point;
      WriteFile(path, "x", 0755);
      GiveToAlice(path);
      Must(chmod(path.c_str(), 06755) == 0, "chmod");
      t.As(person.name, person.who, [&] { t.Ok(point, chown(path.c_str(), uid, gid)); });
      t.Attributes(point + "_after", path);
    }
  }
}

ROOT_CASE(permission, supplementary_groups_change) {
  // Another process of the same user with other groups gets its own answer, at once.
  WriteFile("f", "x", 0660);
  Must(chown("f", 0, kTeam) == 0, "chown");
  for (int round = 0; round < 3; ++round) {
    t.As("with", kAliceWithGroups, [&] { t.Open("with", "f", O_RDWR); });
    t.As("without", kAlice, [&] { t.Open("without", "f", O_RDWR); });
  }
  t.InChild("late", [&] {
    gid_t team = kTeam;
    Must(setgroups(0, nullptr) == 0 && setresgid(4201, 4201, 0) == 0, "groups");
    Must(setgroups(1, &team) == 0 && seteuid(4201) == 0, "groups");
    t.Open("with_group", "f", O_RDWR);
    Must(seteuid(0) == 0 && setgroups(0, nullptr) == 0 && seteuid(4201) == 0, "groups");
    t.Open("dropped_group", "f", O_RDWR);
  });
}

ROOT_CASE(permission, many_groups) {
  WriteFile("f", "x", 0660);
  Must(chown("f", 0, 5900) == 0, "chown");
  Identity many{4201, 4201, {}};
  for (gid_t g = 5000; g < 6000; ++g) many.groups.push_back(g);
  t.As("many", many, [&] { t.Open("thousand_groups", "f", O_RDWR); });
  many.groups.resize(500);
  t.As("fewer", many, [&] { t.Open("not_among_them", "f", O_RDWR); });
}

ROOT_CASE(permission, fsuid_and_effective) {
  WriteFile("f", "x", 0600);
  Must(chown("f", kAlice.uid, kAlice.gid) == 0 && chmod(".", 0777) == 0, "setup");
  t.InChild("euid", [&] {
    Must(setgroups(0, nullptr) == 0 && setegid(kAlice.gid) == 0 && seteuid(kAlice.uid) == 0, "ids");
    t.Open("effective_opens", "f", O_RDWR);
    t.Ok("access_uses_real", access("f", W_OK));
    t.Ok("eaccess_uses_effective", faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS));
    t.Open("creates", "made_by_euid", O_WRONLY | O_CREAT);
  });
  t.Attributes("made_by_euid", "made_by_euid");
  t.InChild("bob", [&] {
    Must(setresuid(kBob.uid, kAlice.uid, -1) == 0, "ids");
    t.Open("euid_alice", "f", O_RDONLY);
    t.Ok("real_bob", access("f", R_OK));
  });
}

ROOT_CASE(permission, root_reads_everything) {
  Must(mkdir("d", 0) == 0, "mkdir");
  WriteFile("d/f", "x", 0);
  Must(chown("d", kAlice.uid, kAlice.gid) == 0 && chown("d/f", kAlice.uid, kAlice.gid) == 0,
       "chown");
  t.Content("read", "d/f");
  t.Open("write", "d/f", O_WRONLY);
  t.Ok("exec_without_bit", access("d/f", X_OK));
  t.Ok("chmod", chmod("d/f", 0100));
  t.Ok("exec_with_bit", access("d/f", X_OK));
  t.Listing("list", "d");
  t.Open("create", "d/new", O_WRONLY | O_CREAT);
  t.Attributes("owner_of_new", "d/new");
}

}  // namespace conformance
