// Whether a history of one object is linearizable: whether each operation can be given a moment
// between its invocation and its return so that, in the order of these moments, all outcomes are
// those of the sequential model. (Wing and Gong's search with Lowe's memory of configurations,
// going along the history instead of backtracking in it.)
//
// The search keeps every configuration the object may be in: its state, and which of the operations
// under way have already had their moment. An invocation only adds an operation under way. A return
// forces: a configuration where that operation has not had its moment yet is replaced by all that
// come of letting some operations under way, and then this one, happen. When no configuration is
// left, no order explains the history.
//
// What keeps this small: configurations that are equal are one; an operation that changes nothing
// is given its moment as soon as a state agrees with it, which never excludes anything; and of two
// configurations that differ only in operations of unknown outcome, the one in which fewer of these
// have happened can do all that the other can.
#pragma once

#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace omfs::checker {

struct Verdict {
  enum Answer { kLinearizable, kViolation, kUndecided } answer = kLinearizable;
  // Of a violation: the operation whose return no order explains, and what was going on.
  std::string explanation;
  size_t most_configurations = 0;
};

inline constexpr size_t kConfigurationLimit = 300'000;

Verdict Linearize(std::vector<Operation> history, size_t limit = kConfigurationLimit);

// What has to be done first to histories of files with write-behind. A write is only promised to
// last once its descriptor's next sync has succeeded; when that fails, the loss was reported and
// the write is one of unknown outcome (Loss::kPossible). Until the report its own node may have
// read the lost data: such reads are left out. That most likely nothing was lost (Loss::kNone) is
// far quicker to check, and an order found so is as good. Syncs themselves, and reads that failed,
// are taken out in any case. Counts what was left out.
enum class Loss { kNone, kPossible };
struct Prepared {
  std::vector<Operation> history;
  size_t lost_and_reported = 0;
  size_t reads_of_lost_data = 0;
  size_t failed_reads = 0;
};
Prepared Prepare(std::vector<Operation> history, Loss loss);

// Prepares and linearizes, trying first what is quick. *prepared, if given: what was prepared in
// the end.
Verdict Judge(const std::vector<Operation>& history, Prepared* prepared = nullptr);

}  // namespace omfs::checker
