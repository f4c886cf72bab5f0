// Extended attributes: user, trusted, security.

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

std::string Get(const char* path, const char* name) {
  std::vector<char> buffer(70000);
  ssize_t n = getxattr(path, name, buffer.data(), buffer.size());
  return n < 0 ? ErrnoName(errno) : Printable(std::string(buffer.data(), n));
}

// The sorted names; those of the system's own security modules left out.
std::string List(const char* path) {
  std::vector<char> buffer(70000);
  ssize_t n = llistxattr(path, buffer.data(), buffer.size());
  if (n < 0) return ErrnoName(errno);
  std::vector<std::string> names;
  for (ssize_t at = 0; at < n; at += strlen(buffer.data() + at) + 1)
    names.push_back(buffer.data() + at);
  std::sort(names.begin(), names.end());
  std::string text = "[";
  for (auto& name : names) {
    if (name != "security.selinux") text += (text.size() > 1 ? " " : "") + Printable(name);
  }
  return text + "]";
}

}  // namespace

CASE(xattr, set_and_get) {
  WriteFile("f", "x");
  t.Say("list_none", List("f"));
  t.Say("get_none", Get("f", "user.a"));
  t.Ok("set", setxattr("f", "user.a", "value", 5, 0));
  t.Say("get", Get("f", "user.a"));
  t.Value("size", getxattr("f", "user.a", nullptr, 0));
  char small[3];
  t.Value("small_buffer", getxattr("f", "user.a", small, sizeof small));
  t.Ok("set_empty", setxattr("f", "user.empty", "", 0, 0));
  t.Say("get_empty", Get("f", "user.empty"));
  t.Ok("set_again", setxattr("f", "user.a", "other value", 11, 0));
  t.Say("get_again", Get("f", "user.a"));
  t.Ok("set_binary", setxattr("f", "user.b", "a\0b\xff", 4, 0));
  t.Say("get_binary", Get("f", "user.b"));
  t.Say("list", List("f"));
  t.Value("list_size", listxattr("f", nullptr, 0));
  t.Value("list_small_buffer", listxattr("f", small, sizeof small));
  t.Ok("remove", removexattr("f", "user.a"));
  t.Ok("remove_again", removexattr("f", "user.a"));
  t.Say("list_after", List("f"));
}

CASE(xattr, flags) {
  WriteFile("f", "x");
  t.Ok("replace_none", setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
  t.Ok("create", setxattr("f", "user.a", "1", 1, XATTR_CREATE));
  t.Ok("create_again", setxattr("f", "user.a", "2", 1, XATTR_CREATE));
  t.Ok("replace", setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
  t.Say("value", Get("f", "user.a"));
  t.Ok("both", setxattr("f", "user.a", "4", 1, XATTR_CREATE | XATTR_REPLACE));
  t.Ok("unknown", setxattr("f", "user.a", "5", 1, 8));
  t.Say("value_after", Get("f", "user.a"));
}

CASE(xattr, names) {
  WriteFile("f", "x");
  for (const std::string& name :
       {std::string("user."), std::string("user"), std::string("nonsense.a"), std::string("a"),
        std::string(""), std::string("system.nonsense"), std::string("user.gr\xc3\xbc\xc3\x9f"),
        std::string("user.a b"), "user." + std::string(250, 'n'), "user." + std::string(251, 'n'),
        "user." + std::string(300, 'n')}) {
    t.Ok("set_" + Printable(name), setxattr("f", name.c_str(), "v", 1, 0));
    t.Say("get_" + Printable(name), Get("f", name.c_str()));
    t.Ok("remove_" + Printable(name), removexattr("f", name.c_str()));
  }
}

CASE(xattr, sizes) {
  WriteFile("f", "x");
  for (size_t size : {1, 100, 1000, 2000, 3900}) {
    std::string value(size, 'v');
    t.Ok("set" + std::to_string(size), setxattr("f", "user.big", value.data(), size, 0));
    t.Say("get" + std::to_string(size), Get("f", "user.big"));
  }
  std::string value(65537, 'v');
  t.Ok("beyond_64k", setxattr("f", "user.big", value.data(), 65537, 0));
  t.Say("kept", Get("f", "user.big"));
  // What one attribute may hold is the file system's own affair; its answers are to be passed on.
  for (size_t size : {4096, 5000, 16384, 65535, 65536}) {
    std::string point = std::to_string(size);
    t.Ok("set" + point, setxattr("f", "user.big", value.data(), size, 0));
    t.Say("get" + point, Get("f", "user.big"));
  }
}

CASE(xattr, many) {
  WriteFile("f", "x");
  int made = 0;
  for (int i = 0; i < 60; ++i) {
    std::string name = "user.number-" + std::to_string(i);
    made += setxattr("f", name.c_str(), name.data(), name.size(), 0) == 0;
  }
  t.Value("made", made);
  t.Say("list", Printable(List("f")));
  t.Say("one", Get("f", "user.number-37"));
}

CASE(xattr, directory) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Ok("set", setxattr("d", "user.a", "dir", 3, 0));
  t.Say("get", Get("d", "user.a"));
  t.Say("list", List("d"));
  Must(mkdir("d/sub", 0755) == 0, "mkdir");
  t.Say("not_inherited", List("d/sub"));
  t.Ok("remove", removexattr("d", "user.a"));
}

CASE(xattr, symlink_and_special) {
  WriteFile("f", "x");
  Must(symlink("f", "s") == 0 && mkfifo("p", 0644) == 0 && mknod("sock", S_IFSOCK | 0644, 0) == 0,
       "setup");
  t.Ok("set_symlink", lsetxattr("s", "user.a", "v", 1, 0));
  t.Value("get_symlink", lgetxattr("s", "user.a", nullptr, 0));
  t.Say("list_symlink", List("s"));
  t.Ok("remove_symlink", lremovexattr("s", "user.a"));
  t.Ok("set_through", setxattr("s", "user.a", "v", 1, 0));
  t.Say("target_has", List("f"));
  for (const char* name : {"p", "sock"}) {
    t.Ok(std::string("set_") + name, setxattr(name, "user.a", "v", 1, 0));
    t.Value(std::string("get_") + name, getxattr(name, "user.a", nullptr, 0));
    t.Say(std::string("list_") + name, List(name));
  }
  t.Ok("missing", setxattr("no", "user.a", "v", 1, 0));
  t.Value("list_missing", listxattr("no", nullptr, 0));
}

CASE(xattr, by_descriptor) {
  ScopedFd fd = t.Open("open", "f", O_RDWR | O_CREAT);
  t.Ok("fset", fsetxattr(fd.get(), "user.a", "v", 1, 0));
  ScopedFd reader = t.Open("reader", "f", O_RDONLY);
  t.Ok("fset_reader", fsetxattr(reader.get(), "user.b", "w", 1, 0));
  char buffer[64];
  t.Value("fget", fgetxattr(reader.get(), "user.a", buffer, sizeof buffer));
  t.Value("flist", flistxattr(reader.get(), buffer, sizeof buffer));
  t.Ok("unlink", unlink("f"));
  t.Ok("fset_unlinked", fsetxattr(fd.get(), "user.c", "v", 1, 0));
  t.Value("fget_unlinked", fgetxattr(fd.get(), "user.c", buffer, sizeof buffer));
  t.Ok("fremove_unlinked", fremovexattr(fd.get(), "user.a"));
}

CASE(xattr, follow_the_object) {
  WriteFile("a", "x");
  Must(setxattr("a", "user.k", "v", 1, 0) == 0 && link("a", "b") == 0, "setup");
  t.Say("by_link", Get("b", "user.k"));
  Must(rename("a", "c") == 0, "rename");
  t.Say("after_rename", Get("c", "user.k"));
  t.Ok("set_by_link", setxattr("b", "user.k", "new", 3, 0));
  t.Say("seen", Get("c", "user.k"));
  WriteFile("d", "y");
  Must(rename("d", "c") == 0, "rename");
  t.Say("gone_with_the_file", Get("c", "user.k"));
  t.Say("link_keeps", Get("b", "user.k"));
}

CASE(xattr, times) {
  WriteFile("f", "x");
  TimeWatch set(t, "f");
  Must(setxattr("f", "user.a", "v", 1, 0) == 0, "set");
  set.Report("set");
  TimeWatch get(t, "f");
  (void)Get("f", "user.a");
  (void)List("f");
  get.Report("get_and_list");
  TimeWatch same(t, "f");
  Must(setxattr("f", "user.a", "v", 1, 0) == 0, "set");
  same.Report("set_same");
  TimeWatch remove(t, "f");
  Must(removexattr("f", "user.a") == 0, "remove");
  remove.Report("remove");
}

CASE(xattr, read_only_file) {
  WriteFile("f", "x", 0444);
  t.Ok("set", setxattr("f", "user.a", "v", 1, 0));
  Must(chmod("f", 0200) == 0, "chmod");
  t.Ok("set_writable", setxattr("f", "user.a", "v", 1, 0));
  t.Say("get_unreadable", Get("f", "user.a"));
  t.Say("list_unreadable", List("f"));
}

CASE(xattr, trusted_and_security) {
  // trusted.* is for CAP_SYS_ADMIN alone; security.* may be read by all.
  WriteFile("f", "x");
  t.Ok("set_trusted", setxattr("f", "trusted.a", "v", 1, 0));
  t.Say("get_trusted", Get("f", "trusted.a"));
  t.Say("list", List("f"));
  t.Ok("set_security", setxattr("f", "security.omfstest", "v", 1, 0));
  t.Say("get_security", Get("f", "security.omfstest"));
  t.Ok("remove_trusted", removexattr("f", "trusted.a"));
}

ROOT_CASE(xattr, trusted_hidden_from_users) {
  Must(chmod(".", 0777) == 0, "chmod");
  WriteFile("f", "x", 0666);
  Must(setxattr("f", "trusted.a", "v", 1, 0) == 0 && setxattr("f", "user.a", "v", 1, 0) == 0,
       "set");
  t.Say("root_list", List("f"));
  t.As("bob", kBob, [&] {
    t.Say("list", List("f"));
    t.Say("get", Get("f", "trusted.a"));
    t.Ok("set", setxattr("f", "trusted.b", "v", 1, 0));
    t.Ok("set_security", setxattr("f", "security.b", "v", 1, 0));
    t.Ok("remove", removexattr("f", "trusted.a"));
  });
}

ROOT_CASE(xattr, file_capabilities) {
  // VFS_CAP_REVISION_2 with CAP_NET_RAW permitted; dropped by a write or a chown like the set-id
  // bits.
  const unsigned char caps[20] = {0x01, 0, 0, 0x02, 0x00, 0x20};
  WriteFile("f", "x", 0777);
  t.Ok("set", setxattr("f", "security.capability", caps, sizeof caps, 0));
  t.Say("get", Get("f", "security.capability"));
  ScopedFd fd = t.Open("open", "f", O_WRONLY);
  t.Say("after_open", Get("f", "security.capability"));
  t.Value("write", write(fd.get(), "y", 1));
  t.Say("after_write", Get("f", "security.capability"));
  Must(setxattr("f", "security.capability", caps, sizeof caps, 0) == 0, "set");
  t.Ok("truncate", truncate("f", 0));
  t.Say("after_truncate", Get("f", "security.capability"));
  Must(setxattr("f", "security.capability", caps, sizeof caps, 0) == 0, "set");
  t.Ok("chown", chown("f", kAlice.uid, -1));
  t.Say("after_chown", Get("f", "security.capability"));
  Must(setxattr("f", "security.capability", caps, sizeof caps, 0) == 0, "set");
  t.Ok("chmod", chmod("f", 0700));
  t.Say("after_chmod", Get("f", "security.capability"));
  t.As("alice", kAlice,
       [&] { t.Ok("user_sets", setxattr("f", "security.capability", caps, sizeof caps, 0)); });
}

ROOT_CASE(xattr, sticky_directory) {
  // user.* on a sticky directory is for its owner only (fs/xattr.c).
  Must(mkdir("d", 0777) == 0 && chmod("d", 01777) == 0, "setup");
  t.As("bob", kBob, [&] {
    t.Ok("set", setxattr("d", "user.a", "v", 1, 0));
    t.Say("get", Get("d", "user.a"));
  });
  Must(chmod("d", 0777) == 0, "chmod");
  t.As("bob", kBob, [&] { t.Ok("set_without_sticky", setxattr("d", "user.a", "v", 1, 0)); });
}

}  // namespace conformance
