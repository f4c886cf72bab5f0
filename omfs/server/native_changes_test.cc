// What native processes do to watched objects is reported: the kernel is the oracle of what is
// noticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "omfs/server/testing/native_watch_fixture.h"

namespace omfs {
namespace {

using testing::UnorderedElementsAre;

struct Case {
  const char* what;
  std::function<int(const std::string& dir)> change;
  std::vector<std::string> reports;
};

// A file f with a second name d/g, a directory d with an entry d/e and a directory d/s in it, a
// symbolic link l; all watched but d/e.
const std::vector<Case>& Cases() {
  using S = const std::string&;
  static const std::vector<Case> cases = {
      {"truncate", [](S d) { return truncate((d + "/f").c_str(), 3); }, {"data f"}},
      {"utimes of mtime only",
       [](S d) {
         const timespec t[2] = {{0, UTIME_OMIT}, {1, 0}};
         return utimensat(AT_FDCWD, (d + "/f").c_str(), t, 0);
       },
       {"data f"}},
      {"utimes",
       [](S d) { return utimensat(AT_FDCWD, (d + "/f").c_str(), nullptr, 0); },
       {"attributes f"}},
      // The kernel calls it an access, and those are not asked for.
      {"utimes of atime only",
       [](S d) {
         const timespec t[2] = {{1, 0}, {0, UTIME_OMIT}};
         return utimensat(AT_FDCWD, (d + "/f").c_str(), t, 0);
       },
       {}},
      {"chmod", [](S d) { return chmod((d + "/f").c_str(), 0600); }, {"attributes f"}},
      {"chown", [](S d) { return chown((d + "/f").c_str(), 1, 1); }, {"attributes f"}},
      {"chown of a symbolic link",
       [](S d) { return lchown((d + "/l").c_str(), 1, 1); },
       {"attributes l"}},
      {"chmod of a directory",
       [](S d) { return chmod((d + "/d").c_str(), 0700); },
       {"attributes d"}},
      {"setxattr",
       [](S d) { return setxattr((d + "/f").c_str(), "user.x", "v", 1, 0); },
       {"attributes f"}},
      {"a second link",
       [](S d) { return link((d + "/f").c_str(), (d + "/f2").c_str()); },
       {"attributes f"}},
      {"a second link in a watched directory",
       [](S d) { return link((d + "/f").c_str(), (d + "/d/f2").c_str()); },
       {"attributes f", "entry d/f2"}},
      {"unlink of one of two names",
       [](S d) { return unlink((d + "/d/g").c_str()); },
       {"attributes f", "entry d/g"}},
      {"unlink of both names",
       [](S d) { return Do(!unlink((d + "/f").c_str()) && !unlink((d + "/d/g").c_str())); },
       {"attributes f", "entry d/g", "removed f"}},
      {"unlink of a symbolic link",
       [](S d) { return unlink((d + "/l").c_str()); },
       {"attributes l", "removed l"}},
      {"rename of the object",
       [](S d) { return rename((d + "/f").c_str(), (d + "/h").c_str()); },
       {"attributes f"}},
      {"rename over a name of the object",
       [](S d) { return rename((d + "/d/e").c_str(), (d + "/f").c_str()); },
       {"attributes f", "entry d/e"}},
      {"creation",
       [](S d) { return Do(ScopedFd(creat((d + "/d/n").c_str(), 0644)).valid()); },
       {"entry d/n"}},
      {"mkdir", [](S d) { return mkdir((d + "/d/n").c_str(), 0755); }, {"entry d/n"}},
      {"mknod", [](S d) { return mkfifo((d + "/d/n").c_str(), 0644); }, {"entry d/n"}},
      {"symlink", [](S d) { return symlink("a", (d + "/d/n").c_str()); }, {"entry d/n"}},
      {"rename within a directory",
       [](S d) { return rename((d + "/d/e").c_str(), (d + "/d/n").c_str()); },
       {"entry d/e", "entry d/n"}},
      {"rename out of a directory",
       [](S d) { return rename((d + "/d/e").c_str(), (d + "/n").c_str()); },
       {"entry d/e"}},
      {"rename into a directory",
       [](S d) { return rename((d + "/x").c_str(), (d + "/d/x").c_str()); },
       {"entry d/x"}},
      {"rename of a directory",
       [](S d) { return rename((d + "/d/s").c_str(), (d + "/s").c_str()); },
       {"attributes d/s", "entry d/s"}},
      {"rmdir", [](S d) { return rmdir((d + "/d/s").c_str()); }, {"entry d/s", "removed d/s"}},
      {"a change of an object that is not watched",
       [](S d) { return chmod((d + "/d/e").c_str(), 0600); },
       {}},
  };
  return cases;
}

class WatchChanges : public Watch {
 protected:
  void MakeTree() {
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
      if (entry.path().filename() != "mark") std::filesystem::remove_all(entry.path());
    }
    ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
    ASSERT_EQ(mkdir(Path("d/s").c_str(), 0755), 0);
    MakeFile("f");
    MakeFile("x");
    MakeFile("d/e");
    ASSERT_EQ(link(Path("f").c_str(), Path("d/g").c_str()), 0);
    ASSERT_EQ(symlink("f", Path("l").c_str()), 0);
    Reports();  // of the old one's end
    for (const char* name : {"f", "d", "d/s", "l"}) WatchObject(name);
  }
};

TEST_F(WatchChanges, OfEveryKindAreReported) {
  Start();
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.what);
    MakeTree();
    EXPECT_THAT(Reports(), testing::IsEmpty());
    EXPECT_EQ(Natively([&] { return c.change(dir_); }), 0);
    EXPECT_THAT(Reports(), testing::UnorderedElementsAreArray(c.reports));
  }
}

TEST_F(WatchChanges, OfEveryKindAreReportedWhileTheDaemonHoldsTheObjects) {
  Start();
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.what);
    MakeTree();
    const std::vector<InodeRef> held = {Object("f"), Object("d"), Object("d/s"), Object("l")};
    EXPECT_EQ(Natively([&] { return c.change(dir_); }), 0);
    EXPECT_THAT(Reports(), testing::UnorderedElementsAreArray(c.reports));
  }
}

TEST_F(WatchChanges, OfTheDaemonAreNotReported) {
  Start();
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.what);
    MakeTree();
    EXPECT_EQ(c.change(dir_), 0);
    // The end of a directory looks the same whoever brought it about.
    std::vector<std::string> reports = Reports();
    std::erase(reports, "removed d/s");
    EXPECT_THAT(reports, testing::IsEmpty());
  }
}

TEST_F(WatchChanges, AreReportedNoMoreOnceUnwatched) {
  Start();
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.what);
    MakeTree();
    for (const char* name : {"f", "d", "d/s", "l"}) watch_->Unwatch(Object(name)->handle());
    EXPECT_EQ(Marks(), 2U);  // the test's own
    EXPECT_EQ(Natively([&] { return c.change(dir_); }), 0);
    EXPECT_THAT(Reports(), testing::IsEmpty());
  }
}

TEST_F(WatchChanges, ThroughADescriptorOpenedBeforeTheWatchAreReported) {
  Start();
  MakeFile("f");
  const ScopedFd before(open(Path("f").c_str(), O_RDWR | O_CLOEXEC));
  WatchObject("f");
  const int fd = before.get();
  EXPECT_EQ(Natively([&] { return Do(pwrite(fd, "x", 1, 0) == 1); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
  EXPECT_EQ(Natively([&] { return ftruncate(fd, 100); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
  EXPECT_EQ(Natively([&] { return fallocate(fd, 0, 0, 8192); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
  EXPECT_EQ(Natively([&] { return fchmod(fd, 0600); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes f"));
}

// A removed file lives on in who has it open: it is reported at the removal, and can be written to
// afterwards.
TEST_F(WatchChanges, OfARemovedButOpenFileAreReported) {
  Start();
  MakeFile("f");
  const ScopedFd before(open(Path("f").c_str(), O_RDWR | O_CLOEXEC));
  WatchObject("f");
  EXPECT_EQ(Natively([&] { return unlink(Path("f").c_str()); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes f", "removed f"));
  const int fd = before.get();
  EXPECT_EQ(Natively([&] { return Do(pwrite(fd, "x", 1, 0) == 1); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
}

// Nothing tells of it as long as the daemon has it open.
TEST_F(WatchChanges, RmdirOfAHeldDirectoryIsReportedWhenItIsLetGo) {
  Start();
  ASSERT_EQ(mkdir(Path("s").c_str(), 0755), 0);
  WatchObject("s");
  InodeRef held = Object("s");
  export_->Removed(held->handle());
  EXPECT_EQ(Natively([&] { return rmdir(Path("s").c_str()); }), 0);
  EXPECT_THAT(Reports(), testing::IsEmpty());
  held.reset();
  EXPECT_THAT(Reports(), UnorderedElementsAre("removed s"));
}

}  // namespace
}  // namespace omfs
