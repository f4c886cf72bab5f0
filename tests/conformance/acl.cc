// POSIX access control lists, set and read as the extended attributes the kernel keeps them in.

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "observe.h"

namespace conformance {

namespace {

constexpr char kAccess[] = "system.posix_acl_access";
constexpr char kDefault[] = "system.posix_acl_default";

// Layout of the attribute: include/uapi/linux/posix_acl_xattr.h. x86-64 is little-endian like the
// format.
enum Tag : uint16_t { kUserObj = 1, kUser = 2, kGroupObj = 4, kGroup = 8, kMask = 16, kOther = 32 };
struct Entry {
  uint16_t tag;
  uint16_t perm;
  uint32_t id = 0xffffffff;
};

std::string Encode(const std::vector<Entry>& entries) {
  uint32_t version = 2;
  std::string bytes(reinterpret_cast<char*>(&version), 4);
  for (const Entry& e : entries) {
    bytes.append(reinterpret_cast<const char*>(&e.tag), 2);
    bytes.append(reinterpret_cast<const char*>(&e.perm), 2);
    bytes.append(reinterpret_cast<const char*>(&e.id), 4);
  }
  return bytes;
}

int Set(const std::string& path, const char* name, const std::vector<Entry>& entries) {
  std::string bytes = Encode(entries);
  return setxattr(path.c_str(), name, bytes.data(), bytes.size(), 0);
}

std::string Decode(const std::string& path, const char* name) {
  char bytes[4096];
  ssize_t n = getxattr(path.c_str(), name, bytes, sizeof bytes);
  if (n < 0) return ErrnoName(errno);
  std::string text;
  for (ssize_t at = 4; at + 8 <= n; at += 8) {
    Entry e;
    memcpy(&e.tag, bytes + at, 2);
    memcpy(&e.perm, bytes + at + 2, 2);
    memcpy(&e.id, bytes + at + 4, 4);
    const char* tag = e.tag == kUserObj    ? "u"
                      : e.tag == kUser     ? "user"
                      : e.tag == kGroupObj ? "g"
                      : e.tag == kGroup    ? "group"
                      : e.tag == kMask     ? "mask"
                      : e.tag == kOther    ? "o"
                                           : "?";
    text += std::string(text.empty() ? "" : " ") + tag;
    if (e.tag == kUser || e.tag == kGroup) text += std::to_string(e.id);
    text += ":" + std::to_string(e.perm);
  }
  return text.empty() ? "empty" : text;
}

const std::vector<Entry> kTypical = {{kUserObj, 6},     {kUser, 6, 4202}, {kGroupObj, 4},
                                     {kGroup, 4, 4301}, {kMask, 6},       {kOther, 0}};

}  // namespace

CASE(acl, set_and_get) {
  WriteFile("f", "x", 0644);
  t.Say("none_access", Decode("f", kAccess));
  t.Say("none_default", Decode("f", kDefault));
  t.Ok("set", Set("f", kAccess, kTypical));
  t.Say("get", Decode("f", kAccess));
  t.Attributes("mode_shows_mask", "f");
  char list[256];
  ssize_t n = listxattr("f", list, sizeof list);
  t.Say("list", n < 0 ? ErrnoName(errno) : Printable(std::string(list, n)));
  t.Value("size", getxattr("f", kAccess, nullptr, 0));
  t.Value("small_buffer", getxattr("f", kAccess, list, 10));
  t.Ok("remove", removexattr("f", kAccess));
  t.Say("removed", Decode("f", kAccess));
  t.Attributes("mode_after_remove", "f");
  t.Ok("remove_again", removexattr("f", kAccess));
}

CASE(acl, minimal_is_the_mode) {
  WriteFile("f", "x", 0777);
  t.Ok("set", Set("f", kAccess, {{kUserObj, 6}, {kGroupObj, 4}, {kOther, 2}}));
  t.Say("get", Decode("f", kAccess));
  t.Attributes("mode", "f");
}

CASE(acl, malformed) {
  WriteFile("f", "x", 0644);
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Ok("no_mask",
       Set("f", kAccess, {{kUserObj, 6}, {kUser, 6, 4202}, {kGroupObj, 4}, {kOther, 0}}));
  t.Ok("no_other", Set("f", kAccess, {{kUserObj, 6}, {kGroupObj, 4}}));
  t.Ok("wrong_order", Set("f", kAccess, {{kOther, 6}, {kGroupObj, 4}, {kUserObj, 0}}));
  t.Ok("bad_perm", Set("f", kAccess, {{kUserObj, 9}, {kGroupObj, 4}, {kOther, 0}}));
  t.Ok("bad_tag", Set("f", kAccess, {{kUserObj, 6}, {64, 6}, {kGroupObj, 4}, {kOther, 0}}));
  t.Ok("twice", Set("f", kAccess,
                    {{kUserObj, 6},
                     {kUser, 6, 4202},
                     {kUser, 4, 4202},
                     {kGroupObj, 4},
                     {kMask, 6},
                     {kOther, 0}}));
  t.Ok("empty", setxattr("f", kAccess, "", 0, 0));
  t.Ok("short", setxattr("f", kAccess, "\2\0\0", 3, 0));
  t.Ok("version", setxattr("f", kAccess, "\3\0\0\0", 4, 0));
  t.Ok("default_on_file", Set("f", kDefault, kTypical));
  t.Ok("remove_default_on_file", removexattr("f", kDefault));
  Must(symlink("f", "s") == 0, "symlink");
  t.Ok("on_symlink", lsetxattr("s", kAccess, "\2\0\0\0", 4, 0));
  t.Value("get_on_symlink", lgetxattr("s", kAccess, nullptr, 0));
  t.Say("unchanged", Decode("f", kAccess));
  t.Attributes("mode", "f");
}

CASE(acl, chmod_changes_mask) {
  WriteFile("f", "x", 0644);
  Must(Set("f", kAccess, kTypical) == 0, "set");
  for (mode_t mode : {0600, 0640, 0777, 0070, 0000, 0664}) {
    t.Ok("chmod" + ModeText(mode), chmod("f", mode));
    t.Say("acl" + ModeText(mode), Decode("f", kAccess));
    t.Attributes("mode" + ModeText(mode), "f");
  }
}

CASE(acl, default_is_inherited) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Ok("set", Set("d", kDefault, kTypical));
  t.Say("get", Decode("d", kDefault));
  for (mode_t mask : {0, 022, 077}) {
    umask(mask);
    std::string end = ModeText(mask);
    t.Open("file" + end, "d/f" + end, O_WRONLY | O_CREAT, 0666);
    t.Open("private" + end, "d/p" + end, O_WRONLY | O_CREAT, 0600);
    t.Ok("dir" + end, mkdir(("d/d" + end).c_str(), 0777));
    t.Ok("fifo" + end, mkfifo(("d/q" + end).c_str(), 0666));
    t.Ok("socket" + end, mknod(("d/s" + end).c_str(), S_IFSOCK | 0666, 0));
    t.Ok("symlink" + end, symlink("x", ("d/l" + end).c_str()));
    umask(022);
    for (const char* name : {"f", "p", "d", "q", "s"}) {
      std::string path = std::string("d/") + name + end;
      t.Attributes(name + end, path);
      t.Say(name + end + "_acl", Decode(path, kAccess));
      t.Say(name + end + "_default", Decode(path, kDefault));
    }
    t.Attributes("l" + end, "d/l" + end);
  }
  umask(077);
  ScopedFd unnamed = t.Open("tmpfile", "d", O_WRONLY | O_TMPFILE, 0666);
  t.AttributesOf("tmpfile_mode", unnamed.get());
  umask(022);
  t.Ok("remove", removexattr("d", kDefault));
  t.Open("file_after", "d/after", O_WRONLY | O_CREAT, 0666);
  t.Attributes("after", "d/after");
  t.Ok("empty_default", setxattr("d", kDefault, "\2\0\0\0", 4, 0));
  t.Say("none", Decode("d", kDefault));
}

CASE(acl, minimal_default) {
  Must(mkdir("d", 0755) == 0, "mkdir");
  t.Ok("set", Set("d", kDefault, {{kUserObj, 7}, {kGroupObj, 5}, {kOther, 4}}));
  umask(077);
  t.Open("file", "d/f", O_WRONLY | O_CREAT, 0666);
  t.Ok("dir", mkdir("d/d", 0777));
  umask(022);
  t.Attributes("f", "d/f");
  t.Attributes("d", "d/d");
  t.Say("f_acl", Decode("d/f", kAccess));
  t.Say("d_default", Decode("d/d", kDefault));
}

ROOT_CASE(acl, decides) {
  Must(chmod(".", 0777) == 0, "chmod");
  WriteFile("f", "x", 0600);
  Must(chown("f", kAlice.uid, kAlice.gid) == 0, "chown");
  auto everyone = [&](const std::string& point) {
    struct {
      const char* name;
      Identity who;
    } people[] = {{"owner", kAlice},
                  {"named", kBob},
                  {"team", {4203, 4203, {kTeam}}},
                  {"group", {4204, 4201, {}}},
                  {"other", {4205, 4205, {}}},
                  {"root", {0, 0, {}}}};
    for (auto& person : people) {
      t.As(person.name, person.who, [&] {
        std::string text;
        for (int flags : {O_RDONLY, O_WRONLY}) {
          int fd = open("f", flags);
          text += std::string(text.empty() ? "" : " ") + (fd >= 0 ? "ok" : ErrnoName(errno));
        }
        text += access("f", X_OK) == 0 ? " x" : " -";
        t.Say(point + "_" + person.name, text);
      });
    }
  };
  everyone("mode_only");
  Must(Set("f", kAccess, kTypical) == 0, "set");
  everyone("typical");
  Must(Set("f", kAccess,
           {{kUserObj, 0},
            {kUser, 7, 4202},
            {kGroupObj, 2},
            {kGroup, 4, 4301},
            {kMask, 5},
            {kOther, 7}}) == 0,
       "set");
  everyone("masked");
  Must(Set("f", kAccess,
           {{kUserObj, 7},
            {kUser, 0, 4202},
            {kGroupObj, 0},
            {kGroup, 0, 4301},
            {kMask, 7},
            {kOther, 7}}) == 0,
       "set");
  everyone("denying");
}

ROOT_CASE(acl, decides_on_directories) {
  Must(chmod(".", 0755) == 0 && mkdir("d", 0700) == 0, "setup");
  WriteFile("d/f", "x", 0644);
  t.As("before", kBob, [&] { t.Content("before", "d/f"); });
  Must(Set("d", kAccess,
           {{kUserObj, 7}, {kUser, 7, 4202}, {kGroupObj, 0}, {kMask, 7}, {kOther, 0}}) == 0,
       "set");
  t.As("named", kBob, [&] {
    t.Content("read", "d/f");
    t.Open("create", "d/bobs", O_WRONLY | O_CREAT);
    t.Listing("list", "d");
  });
  t.As("stranger", kAlice, [&] { t.Content("stranger", "d/f"); });
  Must(Set("d", kAccess,
           {{kUserObj, 7}, {kUser, 7, 4202}, {kGroupObj, 0}, {kMask, 1}, {kOther, 0}}) == 0,
       "set");
  t.As("search_only", kBob, [&] {
    t.Content("search_read", "d/f");
    t.Open("search_create", "d/more", O_WRONLY | O_CREAT);
    t.Listing("search_list", "d");
  });
}

ROOT_CASE(acl, who_may_set) {
  WriteFile("f", "x", 0666);
  Must(chown("f", kAlice.uid, 4999) == 0 && chmod("f", 02755) == 0, "setup");
  t.As("bob", kBob, [&] {
    t.Ok("other_sets", Set("f", kAccess, kTypical));
    t.Say("other_reads", Decode("f", kAccess));
  });
  t.As("alice", kAlice, [&] { t.Ok("owner_sets", Set("f", kAccess, kTypical)); });
  t.Attributes("setgid_goes", "f");
  t.Say("after", Decode("f", kAccess));
  t.As("bob", kBob, [&] { t.Ok("other_removes", removexattr("f", kAccess)); });
  Must(chmod("f", 02755) == 0, "chmod");
  t.Ok("root_sets", Set("f", kAccess, kTypical));
  t.Attributes("setgid_stays_for_root", "f");
}

CASE(acl, ctime) {
  WriteFile("f", "x", 0644);
  TimeWatch watch(t, "f");
  Must(Set("f", kAccess, kTypical) == 0, "set");
  watch.Report("set");
  TimeWatch again(t, "f");
  (void)Decode("f", kAccess);
  again.Report("get");
  Must(removexattr("f", kAccess) == 0, "remove");
  again.Report("remove");
}

CASE(acl, large) {
  WriteFile("f", "x", 0644);
  std::vector<Entry> entries = {{kUserObj, 6}};
  for (uint32_t i = 0; i < 100; ++i) entries.push_back({kUser, 4, 10000 + i});
  entries.push_back({kGroupObj, 4});
  entries.push_back({kMask, 4});
  entries.push_back({kOther, 0});
  t.Ok("hundred", Set("f", kAccess, entries));
  t.Say("get", Printable(Decode("f", kAccess)));
}

}  // namespace conformance
