// Random histories: a seeded sequence of operations on a small tree, each result said. Two file
// systems that answer all of them alike, and end with the same tree, agree on far more combinations
// than cases can name.

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "observe.h"

namespace conformance {

namespace {

class History {
 public:
  History(Case& t, uint64_t seed) : t_(t), state_(seed * 2654435761U + 1) {}

  void Run(int steps) {
    for (step_ = 0; step_ < steps; ++step_) Step();
    Tree(".", 0);
  }

 private:
  uint64_t Next(uint64_t bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % bound;
  }

  // One of few names, up to three levels deep, so that operations meet.
  std::string Path() {
    static const std::array<const char*, 5> names = {"a", "b", "c", "d", "e"};
    std::string path = names[Next(names.size())];
    while (Next(3) == 0 && path.size() < 6) path += std::string("/") + names[Next(names.size())];
    if (Next(25) == 0) path += "/";
    if (Next(40) == 0) path += "/..";
    return path;
  }

  void Result(const std::string& what, long rc) {
    t_.Say(std::to_string(step_) + " " + what,
           rc >= 0 ? "ok " + std::to_string(rc) : ErrnoName(errno));
  }

  void Step() {
    std::string p = Path(), q = Path();
    switch (Next(18)) {
      case 0:
        return Result("mkdir " + p, mkdir(p.c_str(), 0700 + Next(64)));
      case 1:
        return Result("rmdir " + p, rmdir(p.c_str()));
      case 2:
        return Result("unlink " + p, unlink(p.c_str()));
      case 3:
        return Result("rename " + p + " " + q, rename(p.c_str(), q.c_str()));
      case 4: {
        unsigned flags = 1 + Next(2);  // RENAME_NOREPLACE or RENAME_EXCHANGE
        return Result("rename" + std::to_string(flags) + " " + p + " " + q,
                      renameat2(AT_FDCWD, p.c_str(), AT_FDCWD, q.c_str(), flags));
      }
      case 5:
        return Result("link " + p + " " + q, link(p.c_str(), q.c_str()));
      case 6:
        return Result("symlink " + p + " " + q, symlink(p.c_str(), q.c_str()));
      case 7:
        return Result("truncate " + p, truncate(p.c_str(), Next(10000)));
      case 8:
        return Result("chmod " + p, chmod(p.c_str(), 0400 + Next(512)));
      case 9:
        return Result("setxattr " + p, setxattr(p.c_str(), "user.x", "value", Next(6), Next(3)));
      case 10:
        return Result("removexattr " + p, removexattr(p.c_str(), "user.x"));
      case 11:
        return t_.Attributes(std::to_string(step_) + " stat " + p, p);
      case 12:
        return t_.Content(std::to_string(step_) + " read " + p, p);
      case 13:
        return Result("mkfifo " + p, mkfifo(p.c_str(), 0644));
      default:
        return Write(p);
    }
  }

  void Write(const std::string& p) {
    static const std::array<int, 6> flags = {
        O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_APPEND, 0, O_CREAT | O_NOFOLLOW};
    size_t which = Next(flags.size());
    ScopedFd fd(open(p.c_str(), O_WRONLY | O_NONBLOCK | flags[which], 0644));
    Result("open" + std::to_string(which) + " " + p, fd ? 0 : -1);
    if (!fd) return;
    std::string data(Next(5000), static_cast<char>('a' + step_ % 26));
    struct stat st;
    if (fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode)) {
      Result("write " + p, pwrite(fd.get(), data.data(), data.size(), Next(3000)));
    }
  }

  void Tree(const std::string& path, int depth) {
    t_.Attributes("tree " + path, path);
    struct stat st;
    if (lstat(path.c_str(), &st) != 0) return;
    if (S_ISREG(st.st_mode)) t_.Content("content " + path, path);
    if (!S_ISDIR(st.st_mode) || depth > 20) return;
    DIR* dir = opendir(path.c_str());
    if (!dir) return;
    closedir(dir);
    for (const std::string& name : Names(path)) Tree(path + "/" + name, depth + 1);
  }

  Case& t_;
  uint64_t state_;
  int step_ = 0;
};

}  // namespace

CASE(history, seed_1) { History(t, 1).Run(600); }
CASE(history, seed_2) { History(t, 2).Run(600); }
CASE(history, seed_3) { History(t, 3).Run(600); }
CASE(history, seed_4) { History(t, 4).Run(600); }

}  // namespace conformance
