// What native processes do to watched objects, done by real processes on this machine's file
// system: the kernel is the oracle of what is noticed.
//
// That something is not reported is known by a mark: a native change of an object of its own, made
// afterwards, whose report comes after all earlier ones.
#include "omfs/server/native_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "omfs/server/identity.h"
#include "omfs/server/testing/native_process.h"

namespace omfs {
namespace {

using testing::UnorderedElementsAre;
using Guard = NativeWatch::Guard;
using Done = std::function<void()>;

// Keeps what it is told, in words: "data f", "entry d/x".
class Recorder : public NativeWatch::Listener {
 public:
  struct Opener {
    std::string name;
    NativeUse use;
    Done done;
  };

  void Name(const omfs_fh& fh, const std::string& name) {
    std::lock_guard lock(mutex_);
    names_[fh] = name;
  }

  void Opening(const omfs_fh& fh, NativeUse use, Done done) override {
    if (on_opening) return on_opening(use, std::move(done));
    std::lock_guard lock(mutex_);
    openers_.push_back({names_[fh], use, std::move(done)});
    changed_.notify_all();
  }
  void DataChanged(const omfs_fh& fh) override {
    if (on_data) on_data();
    Add("data", fh);
  }
  void AttributesChanged(const omfs_fh& fh) override { Add("attributes", fh); }
  void EntryChanged(const omfs_fh& dir, std::string_view name) override {
    Add("entry", dir, "/" + std::string(name));
  }
  void Removed(const omfs_fh& fh) override { Add("removed", fh); }
  void Overflow() override { Add("overflow", omfs_fh{}); }

  Opener NextOpener() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !openers_.empty(); });
    Opener first = std::move(openers_.front());
    openers_.erase(openers_.begin());
    return first;
  }
  size_t openers() {
    std::lock_guard lock(mutex_);
    return openers_.size();
  }
  void Await(const std::string& report) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reports_[report] > 0; });
  }
  // The reports so far, each once.
  std::vector<std::string> Take() {
    std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [report, times] : reports_) {
      if (times > 0) all.push_back(report);
    }
    reports_.clear();
    return all;
  }

  // To be set before anything is watched.
  std::function<void(NativeUse, Done)> on_opening;
  std::function<void()> on_data;

 private:
  void Add(const std::string& what, const omfs_fh& fh, const std::string& entry = "") {
    std::lock_guard lock(mutex_);
    const auto name = names_.find(fh);
    ++reports_[what + (name == names_.end() ? "" : " " + name->second) + entry];
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<omfs_fh, std::string, HandleHash, HandleEqual> names_;
  std::vector<Opener> openers_;
  std::map<std::string, int> reports_;
};

// The marks that fanotify groups of this process have on objects.
size_t Marks() {
  size_t marks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(entry.path());
    for (std::string line; std::getline(info, line);) {
      marks += line.starts_with("fanotify ino:") ? 1 : 0;
    }
  }
  return marks;
}

bool HasFanotify() {
  const ScopedFd group(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
  return group.valid() &&
         fanotify_mark(group.get(), FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "/") == 0;
}

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!HasFanotify()) GTEST_SKIP() << "needs fanotify with permission events";
    ASSERT_TRUE(ThreadIdentity::Prepare().ok());
    ThreadIdentity::Enter();
    char name[] = "/tmp/omfs-watch-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    auto e = Export::Open(dir_, {1, 2, 3}, 1);
    ASSERT_TRUE(e.ok()) << e.status();
    export_ = std::move(*e);
  }
  void TearDown() override {
    watch_.reset();
    export_.reset();
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }

  void Start(NativeWatch::Options options = {}) {
    auto watch = NativeWatch::Start(export_.get(), &recorder_, options);
    ASSERT_TRUE(watch.ok()) << watch.status();
    ASSERT_EQ((*watch)->rung(), NativeWatch::Rung::kFanotify) << (*watch)->Describe();
    watch_ = std::move(*watch);
    MakeFile("mark");
    WatchObject("mark");
  }

  std::string Path(const std::string& name) const { return dir_ + "/" + name; }
  void MakeFile(const std::string& name, mode_t mode = 0644) {
    ScopedFd fd(creat(Path(name).c_str(), mode));
    ASSERT_TRUE(fd.valid()) << name;
    ASSERT_EQ(write(fd.get(), "contents", 8), 8);
  }
  InodeRef Object(const std::string& name) {
    ScopedFd fd(open(Path(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return *export_->Adopt(fd.get());
  }
  void WatchObject(const std::string& name, Guard guard = Guard::kWriters) {
    const InodeRef object = Object(name);
    recorder_.Name(object->handle(), name);
    const absl::Status s = watch_->Watch(*object, guard);
    ASSERT_TRUE(s.ok()) << name << ": " << s;
    export_->Removed(object->handle());  // nothing keeps it open
  }
  NativeUse Use(const std::string& name) { return watch_->Use(*Object(name)); }

  // All that was reported of what has been done so far.
  std::vector<std::string> Reports() {
    EXPECT_EQ(Natively([&] { return chmod(Path("mark").c_str(), 0600); }), 0);
    recorder_.Await("attributes mark");
    std::vector<std::string> reports = recorder_.Take();
    std::erase(reports, "attributes mark");
    return reports;
  }

  std::string dir_;
  std::unique_ptr<Export> export_;
  Recorder recorder_;
  std::unique_ptr<NativeWatch> watch_;
};

TEST_F(Watch, SaysWhichRungItIs) {
  Start();
  EXPECT_THAT(watch_->Describe(), testing::StartsWith("fanotify: "));
}

// For good, for this process.
bool DropAdmin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  sets[0].effective &= ~(1U << CAP_SYS_ADMIN);
  sets[0].permitted &= ~(1U << CAP_SYS_ADMIN);
  return syscall(SYS_capset, &header, sets) == 0;
}

TEST(WatchWithoutRights, IsNone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const int status = Natively([] {
    Recorder recorder;
    if (!ThreadIdentity::Prepare().ok()) return 1;
    auto e = Export::Open("/tmp", {1}, 1);
    if (!e.ok() || !DropAdmin()) return 2;
    auto watch = NativeWatch::Start(e->get(), &recorder, {});
    if (!watch.ok() || (*watch)->rung() != NativeWatch::Rung::kNone) return 3;
    if ((*watch)->Watch(*(*e)->root(), Guard::kWriters).ok()) return 4;
    return (*watch)->Describe().starts_with("none") ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
}

// ---- changes of objects ----

struct Case {
  const char* what;
  std::function<int(const std::string& dir)> change;
  std::vector<std::string> reports;
};

int Do(bool ok) { return ok ? 0 : 1; }

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

// ---- openers ----

class WatchOpeners : public Watch {
 protected:
  void SetUp() override {
    Watch::SetUp();
    if (IsSkipped()) return;
    MakeFile("f", 0755);
  }
  // A native process that opens f, and ends with the errno.
  std::function<int()> Open(int flags) {
    return [path = Path("f"), flags] { return open(path.c_str(), flags) < 0 ? errno : 0; };
  }
};

TEST_F(WatchOpeners, ForWritingWait) {
  Start();
  WatchObject("f", Guard::kWriters);
  for (const int flags :
       {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_NONBLOCK, O_RDWR | O_APPEND}) {
    NativeProcess p(Open(flags));
    Recorder::Opener opener = recorder_.NextOpener();
    EXPECT_EQ(opener.name, "f");
    EXPECT_EQ(opener.use, NativeUse::kWriting);
    EXPECT_TRUE(p.Running());
    EXPECT_EQ(Use("f"), NativeUse::kWriting);
    opener.done();
    EXPECT_EQ(p.Wait(), 0);
    EXPECT_EQ(Use("f"), NativeUse::kNone);
  }
}

TEST_F(WatchOpeners, ForReadingWaitOnlyIfAllDo) {
  Start();
  WatchObject("f", Guard::kWriters);
  EXPECT_EQ(Natively(Open(O_RDONLY)), 0);
  EXPECT_EQ(Natively(Open(O_RDONLY | O_TRUNC)), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
  WatchObject("f", Guard::kOpeners);
  NativeProcess p(Open(O_RDONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  EXPECT_TRUE(p.Running());
  opener.done();
  EXPECT_EQ(p.Wait(), 0);
}

TEST_F(WatchOpeners, ForExecutionWaitOnce) {
  std::filesystem::copy_file("/bin/true", Path("f"),
                             std::filesystem::copy_options::overwrite_existing);
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess p([path = Path("f")] { return execl(path.c_str(), "true", nullptr); });
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  opener.done();
  EXPECT_EQ(p.Wait(), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
}

TEST_F(WatchOpeners, WithoutAccessToTheContentsGoOn) {
  Start();
  WatchObject("f", Guard::kOpeners);
  EXPECT_EQ(Natively(Open(O_PATH)), 0);
  EXPECT_EQ(recorder_.openers(), 0U);
}

TEST_F(WatchOpeners, CanBeKilled) {
  Start();
  WatchObject("f");
  NativeProcess p(Open(O_WRONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  p.Kill();
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  opener.done();
}

TEST_F(WatchOpeners, AreLetGoAfterAWhile) {
  Start({.patience = std::chrono::milliseconds(50)});
  WatchObject("f");
  NativeProcess first(Open(O_WRONLY));
  NativeProcess second(Open(O_WRONLY));
  EXPECT_EQ(first.Wait(), 0);
  EXPECT_EQ(second.Wait(), 0);
  recorder_.NextOpener().done();
  recorder_.NextOpener().done();
}

TEST_F(WatchOpeners, AreLetGoWhenTheWatchEnds) {
  Start();
  WatchObject("f");
  NativeProcess p(Open(O_WRONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  watch_.reset();
  EXPECT_EQ(p.Wait(), 0);
  opener.done();
}

// What the next test starts, as a program of its own, in an export that is there already.
class WatchDaemon : public Watch {
 protected:
  void TearDown() override { dir_.clear(); }
};

TEST_F(WatchDaemon, DISABLED_HasAnOpenerWait) {
  const char* dir = getenv("OMFS_TEST_EXPORT");
  const char* report = getenv("OMFS_TEST_REPORT");
  if (dir == nullptr || report == nullptr) GTEST_SKIP() << "started by another test only";
  std::filesystem::remove(dir_);
  dir_ = dir;
  export_ = std::move(*Export::Open(dir_, {1}, 1));
  Start();
  WatchObject("f");
  ASSERT_EQ(write(atoi(report), "w", 1), 1);
  recorder_.NextOpener();
  ASSERT_EQ(write(atoi(report), "o", 1), 1);
  pause();
}

TEST_F(WatchOpeners, AreLetGoWhenTheDaemonIsKilled) {
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  NativeProcess daemon([&] {
    setenv("OMFS_TEST_EXPORT", dir_.c_str(), 1);
    setenv("OMFS_TEST_REPORT", std::to_string(report[1]).c_str(), 1);
    return execl("/proc/self/exe", "daemon", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
                 "--gtest_filter=WatchDaemon.DISABLED_HasAnOpenerWait", nullptr);
  });
  close(report[1]);
  char c = 0;
  ASSERT_EQ(read(report[0], &c, 1), 1);
  NativeProcess p(Open(O_WRONLY));
  ASSERT_EQ(read(report[0], &c, 1), 1);
  EXPECT_TRUE(p.Running());
  daemon.Kill();
  EXPECT_EQ(p.Wait(), 0);
  close(report[0]);
}

// The listener may want a lock that a server thread holds over an open of a watched file.
TEST_F(WatchOpeners, OfTheDaemonNeverWaitForTheListener) {
  std::mutex server;
  std::atomic<int> openings{0};
  recorder_.on_opening = [&](NativeUse, Done done) {
    ++openings;
    std::lock_guard lock(server);
    done();
  };
  Start();
  WatchObject("f", Guard::kOpeners);
  for (int i = 0; i < 50; ++i) {
    std::unique_lock lock(server);
    NativeProcess p(Open(O_RDWR));
    while (openings.load() == i) std::this_thread::yield();
    // Now the listener waits for the lock.
    ScopedFd own(open(Path("f").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(own.valid());
    WatchObject("f", Guard::kOpeners);
    EXPECT_EQ(Use("f"), NativeUse::kWriting);
    lock.unlock();
    EXPECT_EQ(p.Wait(), 0);
  }
}

TEST_F(WatchOpeners, ByWhomTheyAreOvertakenMayCallBackFromAnyThread) {
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess reader(Open(O_RDONLY));
  Recorder::Opener first = recorder_.NextOpener();
  NativeProcess writer(Open(O_WRONLY));
  Recorder::Opener second = recorder_.NextOpener();
  EXPECT_EQ(first.use, NativeUse::kReading);
  EXPECT_EQ(second.use, NativeUse::kWriting);
  std::thread(second.done).join();
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_TRUE(reader.Running());
  std::thread(first.done).join();
  EXPECT_EQ(reader.Wait(), 0);
}

// ---- who has it open ----

TEST_F(WatchOpeners, FromBeforeTheWatchAreKnown) {
  Start();
  int begin[2];
  ASSERT_EQ(pipe(begin), 0);
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    ScopedFd before(open(Path("f").c_str(), flags | O_CLOEXEC));
    NativeProcess p([&] {
      char c;
      return Do(read(begin[0], &c, 1) == 1);
    });
    before.reset();  // the native process has it now
    WatchObject("f");
    EXPECT_EQ(Use("f"), flags == O_RDONLY ? NativeUse::kReading : NativeUse::kWriting);
    ASSERT_EQ(write(begin[1], "x", 1), 1);
    EXPECT_EQ(p.Wait(), 0);
    EXPECT_EQ(Use("f"), NativeUse::kNone);
    watch_->Unwatch(Object("f")->handle());
  }
  close(begin[0]);
  close(begin[1]);
}

TEST_F(WatchOpeners, WithASharedMappingAreWritersUntilItGoes) {
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  WatchObject("f");
  int step[2], go[2];
  ASSERT_EQ(pipe(step), 0);
  ASSERT_EQ(pipe(go), 0);
  NativeProcess p([&] {
    char c;
    const int fd = open(Path("f").c_str(), O_RDWR);
    void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED || close(fd) != 0) return 1;
    if (write(step[1], "m", 1) != 1 || read(go[0], &c, 1) != 1) return 2;
    *static_cast<char*>(map) = 'M';
    munmap(map, 4096);
    return 0;
  });
  char c;
  ASSERT_EQ(read(step[0], &c, 1), 1);
  EXPECT_EQ(Use("f"), NativeUse::kWriting);
  EXPECT_THAT(Reports(), testing::IsEmpty());
  ASSERT_EQ(write(go[1], "g", 1), 1);
  EXPECT_EQ(p.Wait(), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("data f"));
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  for (const int fd : {step[0], step[1], go[0], go[1]}) close(fd);
}

// A client writes through the daemon while somebody on the owner looks on.
TEST_F(WatchOpeners, AreToldFromTheDaemonItself) {
  Start();
  WatchObject("f", Guard::kOpeners);
  ScopedFd own(open(Path("f").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(Use("f"), NativeUse::kNone);
  NativeProcess reader(Open(O_RDONLY));
  Recorder::Opener opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kReading);
  opener.done();
  EXPECT_EQ(reader.Wait(), 0);
  NativeProcess writer(Open(O_WRONLY));
  opener = recorder_.NextOpener();
  EXPECT_EQ(opener.use, NativeUse::kWriting);
  opener.done();
  EXPECT_EQ(writer.Wait(), 0);
  EXPECT_EQ(Use("f"), NativeUse::kWriting);  // cannot be told as long as the daemon writes
  own.reset();
  EXPECT_EQ(Use("f"), NativeUse::kNone);
}

TEST_F(WatchOpeners, OfAnUnwatchedFileAreUnknown) {
  Start();
  EXPECT_EQ(Use("f"), NativeUse::kWriting);
  EXPECT_EQ(Natively(Open(O_RDWR)), 0);
}

// The leases that are taken to ask must not be met by anybody.
TEST_F(WatchOpeners, ThatDoNotBlockNeverFail) {
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  WatchObject("f", Guard::kOpeners);
  NativeProcess p([path = Path("f")] {
    for (int i = 0; i < 3000; ++i) {
      const int fd = open(path.c_str(), (i % 2 == 0 ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
      if (fd < 0) return errno;
      close(fd);
    }
    return 0;
  });
  std::thread asker([&] {
    ThreadIdentity::Enter();
    while (p.Running()) Use("f");
  });
  while (p.Running()) {
    ScopedFd own(open(Path("f").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(own.valid()) << strerror(errno);
  }
  asker.join();
  EXPECT_EQ(p.Wait(), 0);
}

// ---- limits ----

TEST_F(Watch, SaysThatReportsWereLost) {
  std::ifstream limit_file("/proc/sys/fs/fanotify/max_queued_events");
  int limit = 0;
  ASSERT_TRUE(limit_file >> limit);
  if (limit > 200'000) GTEST_SKIP() << "the queue is too long here";
  std::mutex blocked;
  recorder_.on_data = [&] { std::lock_guard lock(blocked); };
  Start();
  ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  WatchObject("d");
  MakeFile("f");
  WatchObject("f");
  {
    std::lock_guard lock(blocked);
    ASSERT_EQ(truncate(Path("f").c_str(), 1), 0);  // own: not reported
    EXPECT_EQ(Natively([&] { return truncate(Path("f").c_str(), 2); }), 0);
    EXPECT_EQ(Natively([&] {
                // Names differ, or the kernel would merge the events. The feed takes one bufferful,
                // some hundreds, before it is stopped.
                std::string name = Path("d/0");
                if (mkfifo(name.c_str(), 0600) != 0) return 1;
                for (int i = 1; i < limit + 2000; ++i) {
                  const std::string next = Path("d/" + std::to_string(i));
                  if (rename(name.c_str(), next.c_str()) != 0) return 1;
                  name = next;
                }
                return 0;
              }),
              0);
  }
  recorder_.Await("overflow");
  EXPECT_THAT(Reports(), testing::Contains("entry d/0"));
}

TEST_F(Watch, HoldsThousandsOfObjectsAndNoDescriptors) {
  constexpr int kFiles = 5000;
  Start();
  std::vector<omfs_fh> handles;
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = std::to_string(i);
    MakeFile(name);
    handles.push_back(Object(name)->handle());
    WatchObject(name);
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(Marks(), 2U * (kFiles + 1));
  EXPECT_EQ(Natively([&] { return chmod(Path("4711").c_str(), 0600); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes 4711"));
  for (const omfs_fh& fh : handles) watch_->Unwatch(fh);
  EXPECT_EQ(Marks(), 2U);
}

TEST_F(Watch, OfARemovedFileLetsItsSpaceGo) {
  Start();
  MakeFile("f");
  WatchObject("f");
  EXPECT_EQ(Marks(), 4U);
  EXPECT_EQ(Natively([&] { return unlink(Path("f").c_str()); }), 0);
  EXPECT_THAT(Reports(), UnorderedElementsAre("attributes f", "removed f"));
  EXPECT_EQ(Marks(), 2U);
}

TEST_F(Watch, CanBeBegunAndEndedWhileNativesWork) {
  constexpr int kRounds = 400;
  recorder_.on_opening = [](NativeUse, Done done) { std::thread(std::move(done)).detach(); };
  Start();
  const std::vector<std::string> names = {"a", "b", "c"};
  for (const std::string& n : names) MakeFile(n);
  NativeProcess native([&] {
    for (int i = 0; i < kRounds; ++i) {
      for (const std::string& n : names) {
        const ScopedFd fd(open(Path(n).c_str(), O_CREAT | O_RDWR | O_NONBLOCK, 0600));
        if (!fd || write(fd.get(), "x", 1) != 1) return errno;
        if (i % 7 == 0) unlink(Path(n).c_str());
      }
    }
    return 0;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      ThreadIdentity::Enter();
      for (int i = 0; i < kRounds || native.Running(); ++i) {
        const std::string& name = names[static_cast<size_t>(i + t) % names.size()];
        const ScopedFd fd(open(Path(name).c_str(), O_PATH | O_CLOEXEC));
        if (!fd) continue;
        const InodeRef object = *export_->Adopt(fd.get());
        // NotFound: removed meanwhile.
        (void)watch_->Watch(*object, i % 2 == 0 ? Guard::kOpeners : Guard::kWriters);
        watch_->Use(*object);
        if (i % 3 != t) watch_->Unwatch(object->handle());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(native.Wait(), 0);
  for (const std::string& n : names) {
    const ScopedFd fd(open(Path(n).c_str(), O_PATH | O_CLOEXEC));
    if (fd) watch_->Unwatch((*export_->Adopt(fd.get()))->handle());
  }
  for (const std::string& n : names) unlink(Path(n).c_str());
  export_->Sweep();
}

// ---- costs: printed, not judged ----

class WatchCosts : public Watch {
 protected:
  // Microseconds, the median of many.
  static double Median(int times, const std::function<void(int)>& f) {
    std::vector<double> all;
    for (int i = 0; i < times; ++i) {
      const auto start = std::chrono::steady_clock::now();
      f(i);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      all.push_back(took.count());
    }
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }
  static void Print(const char* what, double value, const char* unit) {
    printf("%-60s %8.1f %s\n", what, value, unit);
  }
  void OpenOnce(int flags) { ScopedFd(open(Path("f").c_str(), flags | O_CLOEXEC)); }
  // The median as a native process measures it.
  double NativeMedian(int times, const std::function<void()>& f) {
    int result[2];
    if (pipe(result) != 0) return 0;
    NativeProcess p([&] {
      const double median = Median(times, [&](int) { f(); });
      return Do(write(result[1], &median, sizeof median) == sizeof median);
    });
    double median = 0;
    if (read(result[0], &median, sizeof median) != sizeof median) median = 0;
    close(result[0]);
    close(result[1]);
    return median;
  }
  static double KernelKib(const char* what) {
    std::ifstream info("/proc/meminfo");
    for (std::string key; info >> key;) {
      double value = 0;
      if (key == std::string(what) + ":" && info >> value) return value;
    }
    return 0;
  }
};

TEST_F(WatchCosts, OfMarksAndOpens) {
  constexpr int kFiles = 2000;
  recorder_.on_opening = [](NativeUse, Done done) { done(); };
  Start();
  std::vector<InodeRef> files;
  for (int i = 0; i < kFiles; ++i) {
    MakeFile(std::to_string(i));
    files.push_back(Object(std::to_string(i)));
  }
  const double slab = KernelKib("Slab");
  Print(
      "Watch of a file",
      Median(kFiles,
             [&](int i) { (void)watch_->Watch(*files[static_cast<size_t>(i)], Guard::kWriters); }),
      "us");
  Print("kernel memory for a watch", (KernelKib("Slab") - slab) * 1024 / kFiles, "bytes");
  Print(
      "Watch of a watched file",
      Median(kFiles,
             [&](int i) { (void)watch_->Watch(*files[static_cast<size_t>(i)], Guard::kWriters); }),
      "us");
  Print("Use, without a native opener",
        Median(kFiles, [&](int i) { watch_->Use(*files[static_cast<size_t>(i)]); }), "us");
  Print("Unwatch",
        Median(kFiles, [&](int i) { watch_->Unwatch(files[static_cast<size_t>(i)]->handle()); }),
        "us");

  MakeFile("f");
  const auto own = [&](int) { OpenOnce(O_RDONLY); };
  Print("own open and close, not watched", Median(kFiles, own), "us");
  Print("native open and close, not watched", NativeMedian(kFiles, [&] { OpenOnce(O_RDONLY); }),
        "us");
  WatchObject("f", Guard::kWriters);
  Print("own open and close, watched", Median(kFiles, own), "us");
  Print("native open for reading, watched for writers",
        NativeMedian(kFiles, [&] { OpenOnce(O_RDONLY); }), "us");
  Print("native open for writing, watched, nothing to recall",
        NativeMedian(kFiles, [&] { OpenOnce(O_WRONLY); }), "us");
}

TEST_F(WatchCosts, OfOwnBursts) {
  constexpr int kFiles = 3000;
  Start();
  const auto create = [&](const std::string& prefix) {
    return Median(kFiles, [&](int i) {
      ScopedFd(open(Path("d/" + prefix + std::to_string(i)).c_str(), O_CREAT | O_RDWR | O_CLOEXEC,
                    0600));
    });
  };
  ASSERT_EQ(mkdir(Path("d").c_str(), 0755), 0);
  Print("own creation, directory not watched", create("a"), "us");
  WatchObject("d");
  Print("own creation, directory watched", create("b"), "us");
  EXPECT_THAT(Reports(), testing::IsEmpty());
}

TEST_F(WatchCosts, OfTheLag) {
  Start();
  MakeFile("f");
  WatchObject("f");
  int flip = 0;
  const double lag = Median(200, [&](int) {
    Natively([&] { return chmod(Path("f").c_str(), 0600 | (++flip & 7)); });
    recorder_.Await("attributes f");
    recorder_.Take();
  });
  Print("from before fork, chmod and exit to the report", lag, "us");
}

}  // namespace
}  // namespace omfs
