// The frame of omfs-conformance: a case does file-system calls in a directory of its own and says
// what it saw.
//
// Nothing here knows what is right. A case prints one line per observation, "group.case.point:
// value", and the same program is run on the owner's native file system and on /mfs: the kernel's
// native answer is the oracle (see run). So a value must hold everything that should be equal
// between two file systems and nothing that may differ by nature: no inode or device numbers, no
// absolute times, no order of directory entries, no free space. What differs by nature is said as a
// relation: "ino_equal yes", "ctime_advanced yes".
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "omfs/base/scoped_fd.h"

namespace conformance {

using omfs::ScopedFd;

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
};

// The ordinary users of the cases; none of the numbers needs an account.
inline const Identity kAlice{4201, 4201, {}};
inline const Identity kAliceWithGroups{4201, 4201, {4301, 4302}};
inline const Identity kBob{4202, 4202, {}};
inline const Identity kBobInAlicesGroup{4202, 4201, {}};
inline const Identity kBobWithAlicesGroup{4202, 4202, {4301, 4201}};  // supplementary only
inline constexpr gid_t kTeam = 4301;
inline constexpr gid_t kClub = 4302;

// Name of an errno value: "ENOENT".
std::string ErrnoName(int err);
// "0644", with the set-id and sticky bits: "02755".
std::string ModeText(mode_t mode);
std::string TypeText(mode_t mode);
inline const char* YesNo(bool b) { return b ? "yes" : "no"; }
// Bytes as text; control bytes, blanks at risk and bytes above 126 as \xNN; long ones as length and
// hash.
std::string Printable(std::string_view bytes);

// The observations of one running case. Not thread-safe; may be used in forked children (a line is
// one write).
class Case {
 public:
  Case(std::string name, int out_fd);
  ~Case();
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  void Say(std::string_view point, std::string_view value);
  // "ok", or the name of errno when rc is negative. Returns rc >= 0.
  bool Ok(std::string_view point, long rc);
  // The number, or the name of errno when rc is negative.
  void Value(std::string_view point, long rc);
  void Bool(std::string_view point, bool value) { Say(point, YesNo(value)); }
  // open(2) with the result said as by Ok.
  ScopedFd Open(std::string_view point, const std::string& path, int flags, mode_t mode = 0644);
  // lstat: type, mode, links, owner, group, size, device numbers.
  void Attributes(std::string_view point, const std::string& path);
  void AttributesOf(std::string_view point, int fd);
  // Whole content of a file, read from its start.
  void Content(std::string_view point, const std::string& path);
  // Sorted names of a directory without "." and "..".
  void Listing(std::string_view point, const std::string& path);

  // Runs body in a forked child with that identity; the caller must be root for another one than
  // its own. Waits; says "<point>: died ..." only if the child did not end normally. Returns its
  // exit status or -1.
  int As(std::string_view point, const Identity& who, const std::function<void()>& body);
  // The same without changing identity.
  int InChild(std::string_view point, const std::function<void()>& body);

 private:
  std::string name_;
  int out_fd_;
};

// Remembers a file's times, puts them far back where allowed, and tells which of them an operation
// moved.
class TimeWatch {
 public:
  // No symlink is followed.
  TimeWatch(Case& c, std::string path);
  // Says e.g. "atime - mtime moved ctime moved".
  void Report(std::string_view point);

 private:
  Case& case_;
  std::string path_;
  struct stat before_;
};

// ---- small tools of the cases; failures end the case with a line "<case>.setup: ..." ----
void Must(bool ok, const char* what);
void WriteFile(const std::string& path, std::string_view content, mode_t mode = 0644);
std::string ReadAll(int fd);
std::vector<std::string> Names(const std::string& dir);  // sorted, without "." and ".."
bool BecomeIdentity(const Identity& who);
int WaitExit(pid_t pid);  // the child's exit status, or minus the signal that ended it
void Pause();             // longer than the grain of file times

// ---- registration ----
using CaseBody = void (*)(Case&);
enum class RunBy {
  kAll,
  kRootAndUser,  // supplementary groups make no difference
  kRoot,
};
struct CaseInfo {
  const char* name;
  CaseBody body;
  RunBy run_by;
};
std::vector<CaseInfo>& AllCases();
struct Registrar {
  Registrar(const char* name, CaseBody body, RunBy run_by) {
    AllCases().push_back({name, body, run_by});
  }
};

// Where the shell's ids decide what a case does.
bool RunningAsRoot();

}  // namespace conformance

#define CONFORMANCE_CASE_(group, name, by)                              \
  static void Case_##group##_##name(conformance::Case& t);              \
  static const conformance::Registrar registrar_##group##_##name(       \
      #group "." #name, Case_##group##_##name, conformance::RunBy::by); \
  static void Case_##group##_##name([[maybe_unused]] conformance::Case& t)
#define CASE(group, name) CONFORMANCE_CASE_(group, name, kAll)
#define ROOT_AND_USER_CASE(group, name) CONFORMANCE_CASE_(group, name, kRootAndUser)
#define ROOT_CASE(group, name) CONFORMANCE_CASE_(group, name, kRoot)
