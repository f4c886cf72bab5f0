// A NativeWatch over a directory of its own, for tests.
//
// That something is not reported is known by a mark: a native change of an object of its own, made
// afterwards, whose report comes after all earlier ones.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "omfs/server/identity.h"
#include "omfs/server/native_watch.h"
#include "omfs/server/testing/native_process.h"

namespace omfs {

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
inline size_t Marks() {
  size_t marks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(entry.path());
    for (std::string line; std::getline(info, line);) {
      marks += line.starts_with("fanotify ino:") ? 1 : 0;
    }
  }
  return marks;
}

inline bool HasFanotify() {
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
    dir_ = std::filesystem::temp_directory_path() / "omfs-watch-XXXXXX";
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
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

inline int Do(bool ok) { return ok ? 0 : 1; }

}  // namespace omfs
