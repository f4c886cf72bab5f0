// Histories of operations by several clients, as the checker's workers write them down and as the
// checker reads them.
//
// An operation is a line of words:
//
//   OBJECT KIND CLIENT NODE INVOKED RETURNED OPERATION A B OUTCOME [VALUE...]
//
//   r0.2 file 4 1 1000 1800 write 3 77 ok
//   r0.2 file 5 2 1100 1900 read 0 0 ok 0 0 0 77
//   r0.5 names 4 1 2000 2500 rename 1 2 ENOENT
//   r0.2 file 4 1 3000 - append 0 78 ?EIO
//
// EHOSTDOWN is not noted at all: the owner could not be reached, and nothing was done
// (omfs/client/node_client.h).
//
// Times are nanoseconds of CLOCK_MONOTONIC, which all nodes of a box share. OUTCOME is ok, the name
// of an errno that tells that nothing was changed and why, or "?" with an errno: such an operation
// may or may not have happened, at any time from its invocation on. RETURNED is "-" when there was
// no answer at all.
#pragma once

#include <cstdint>
#include <istream>
#include <map>
#include <string>
#include <vector>

namespace omfs::checker {

enum class Kind { kFile, kPaged, kNames };  // see model.h

enum class Code {
  // of files
  kRead,
  kWrite,
  kAppend,
  kTruncate,
  kSize,
  kSync,
  // of directories
  kCreate,
  kPlace,
  kUnlink,
  kRename,
  kLink,
  kLookup,
  kList,
  kMkdir,
  kRmdir,
};

enum class Outcome { kOk, kNoEntry, kExists, kUnknown };

struct Operation {
  std::string object;
  Kind kind = Kind::kFile;
  int client = 0;
  int node = 0;
  int64_t invoked = 0;
  int64_t returned = -1;  // -1: never
  Code code = Code::kRead;
  uint64_t a = 0, b = 0;
  Outcome outcome = Outcome::kOk;
  std::string error;  // of kUnknown
  std::vector<uint64_t> value;
};

std::string Format(const Operation& op);
// false: not such a line.
bool Parse(const std::string& line, Operation* op);

// By object. Stops at a line that cannot be read and leaves it in *bad.
std::map<std::string, std::vector<Operation>> ReadHistory(std::istream& in, std::string* bad);

}  // namespace omfs::checker
