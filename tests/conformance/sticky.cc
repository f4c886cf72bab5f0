// Directories with the sticky bit: who may take away or replace whose entries, for every owner of
// directory and entry and every type of entry. (unlink(2), rename(2): EPERM unless owner of one of
// them, or privileged.)

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <array>

#include "observe.h"

namespace conformance {

namespace {

struct Person {
  const char* name;
  Identity who;
};
const std::array<Person, 3> kOwners = {{{"alice", kAlice}, {"bob", kBob}, {"root", Identity{}}}};
const std::array<Person, 4> kCallers = {
    {{"alice", kAlice}, {"bob", kBob}, {"bob_in_group", kBobInAlicesGroup}, {"root", Identity{}}}};
constexpr std::array<const char*, 3> kTypes = {"file", "dir", "symlink"};

void Give(const std::string& path, const Identity& who) {
  Must(lchown(path.c_str(), who.uid, who.gid) == 0, "chown");
}

void Make(const std::string& type, const std::string& path, const Identity& owner) {
  if (type == "file") WriteFile(path, type, 0666);
  if (type == "dir") Must(mkdir(path.c_str(), 0777) == 0, "mkdir");
  if (type == "symlink") Must(symlink("target", path.c_str()) == 0, "symlink");
  Give(path, owner);
}

using Act =
    std::function<long(const std::string& dir, const std::string& entry, const std::string& type)>;

// Runs act as everyone on every entry of every directory; with_own: beside each entry lies one of
// the caller's, "own-<entry>".
void Everyone(Case& t, mode_t mode, const Act& act, bool with_own = false) {
  Must(chmod(".", 0777) == 0, "chmod");
  for (const Person& caller : kCallers) {
    for (const Person& dir_owner : kOwners) {
      const std::string dir = std::string(caller.name) + "-in-" + dir_owner.name;
      Must(mkdir(dir.c_str(), 0777) == 0, "mkdir");
      for (const Person& owner : kOwners) {
        for (const char* type : kTypes) {
          const std::string name = std::string(owner.name) + "-" + type;
          Make(type, dir + "/" + name, owner.who);
          if (with_own) Make(type, dir + "/own-" + name, caller.who);
        }
      }
      Give(dir, dir_owner.who);
      Must(chmod(dir.c_str(), mode) == 0, "chmod");
      t.As(dir, caller.who, [&] {
        for (const Person& owner : kOwners) {
          for (const char* type : kTypes) {
            const std::string name = std::string(owner.name) + "-" + type;
            t.Ok(dir + "_" + name, act(dir, name, type));
          }
        }
      });
      t.Listing(dir + "_left", dir);
    }
  }
}

long Remove(const std::string& dir, const std::string& entry, const std::string& type) {
  return unlinkat(AT_FDCWD, (dir + "/" + entry).c_str(), type == "dir" ? AT_REMOVEDIR : 0);
}

long RenameWithin(const std::string& dir, const std::string& entry, const std::string&) {
  return rename((dir + "/" + entry).c_str(), (dir + "/new-" + entry).c_str());
}

long RenameOut(const std::string& dir, const std::string& entry, const std::string&) {
  return rename((dir + "/" + entry).c_str(), (dir + "-" + entry).c_str());
}

long RenameOver(const std::string& dir, const std::string& entry, const std::string&) {
  return rename((dir + "/own-" + entry).c_str(), (dir + "/" + entry).c_str());
}

long Exchange(const std::string& dir, const std::string& entry, const std::string&) {
  const std::string own = dir + "/own-" + entry;
  return renameat2(AT_FDCWD, own.c_str(), AT_FDCWD, (dir + "/" + entry).c_str(), RENAME_EXCHANGE);
}

long Link(const std::string& dir, const std::string& entry, const std::string&) {
  return link((dir + "/" + entry).c_str(), (dir + "/linked-" + entry).c_str());
}

}  // namespace

ROOT_CASE(sticky, remove) { Everyone(t, 01777, Remove); }
ROOT_CASE(sticky, remove_by_group) { Everyone(t, 01770, Remove); }
ROOT_CASE(sticky, rename_within) { Everyone(t, 01777, RenameWithin); }
ROOT_CASE(sticky, rename_out) { Everyone(t, 01777, RenameOut); }
ROOT_CASE(sticky, rename_over) { Everyone(t, 01777, RenameOver, true); }
ROOT_CASE(sticky, exchange) { Everyone(t, 01777, Exchange, true); }
ROOT_CASE(sticky, link) { Everyone(t, 01777, Link); }

}  // namespace conformance
