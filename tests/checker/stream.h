// What the workers do, as a function of the seed alone: the objects of a round and each client's
// stream of operations. The same seed gives the same streams; how they meet in time is the
// machine's affair.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace omfs::checker {

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }

 private:
  uint64_t state_;
};

struct Object {
  std::string name;  // in the history
  Kind kind;
  bool symlinks = false;  // of kNames: its objects are symbolic links, not files
  int owner = 0;
  std::string path;
};

std::vector<Object> ObjectsOf(uint64_t seed, int round, int nodes);

// Where a client prepares what it places into an object of kNames.
std::string StagingOf(const Object& object, int client);

struct Planned {
  size_t object;
  Code code;
  uint64_t a, b;
  bool held;     // through a descriptor that is kept; otherwise by path
  bool variant;  // the other of two ways, where there are two
};

class Stream {
 public:
  Stream(uint64_t seed, int round, int client, const std::vector<Object>& objects);
  Planned Next();

 private:
  Planned OfFile(Planned p);
  Planned OfNames(Planned p);

  const std::vector<Object>& objects_;
  Random random_;
  const uint64_t token_base_;
  uint64_t count_ = 0;
};

}  // namespace omfs::checker
