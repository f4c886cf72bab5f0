// omfs-check-history [--no-errors] FILE...: checks each object of the histories (history.h) for
// linearizability. With --no-errors an operation of unknown outcome is a failure itself: nothing
// had been done to the cluster. Exit status 1: some object is not linearizable. Objects of which it
// could not be decided, because too many operations failed, are counted; the caller has to see that
// these stay few.
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>

#include "tests/checker/linearize.h"

using namespace omfs::checker;

namespace {

struct Totals {
  size_t operations = 0, unknown = 0, failed = 0, undecided = 0, objects = 0, most = 0;
  size_t lost = 0, reads_of_lost = 0, failed_reads = 0;
};

void CheckObject(const std::string& name, std::vector<Operation> ops, bool no_errors, Totals* t) {
  ++t->objects;
  t->operations += ops.size();
  for (const Operation& op : ops) {
    if (op.outcome != Outcome::kUnknown) continue;
    ++t->unknown;
    // ESTALE of a lookup that meets a rename over its file: the kernel asks again once, and may
    // meet the next.
    if (no_errors && !(op.error == "ESTALE" && op.code == Code::kLookup)) {
      ++t->failed;
      std::cout << "FAILED: an error though nothing was wrong: " << Format(op) << "\n";
    }
  }
  Prepared prepared;
  const Verdict v = Judge(ops, &prepared);
  t->lost += prepared.lost_and_reported;
  t->reads_of_lost += prepared.reads_of_lost_data;
  t->failed_reads += prepared.failed_reads;
  t->most = std::max(t->most, v.most_configurations);
  if (v.answer == Verdict::kUndecided) ++t->undecided;
  if (v.answer != Verdict::kViolation) return;
  ++t->failed;
  std::cout << "FAILED: object " << name << ": " << v.explanation;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::vector<Operation>> objects;
  bool no_errors = false;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--no-errors") == 0) {
      no_errors = true;
      continue;
    }
    std::ifstream in(argv[i]);
    std::string bad;
    for (auto& [name, ops] : ReadHistory(in, &bad)) {
      auto& all = objects[name];
      all.insert(all.end(), std::make_move_iterator(ops.begin()),
                 std::make_move_iterator(ops.end()));
    }
    if (!in.eof() || !bad.empty()) {
      std::cout << "FAILED: " << argv[i] << ": cannot be read: " << bad << "\n";
      return 1;
    }
  }
  Totals t;
  for (auto& [name, ops] : objects) CheckObject(name, std::move(ops), no_errors, &t);
  std::cout << t.operations << " operations on " << t.objects << " objects, " << t.unknown
            << " of unknown outcome (" << t.failed_reads << " reads), " << t.lost
            << " writes reported as lost, " << t.reads_of_lost << " reads left out with them, "
            << t.most << " configurations at most: " << t.undecided << " undecided, " << t.failed
            << " failed\n";
  return t.failed == 0 ? 0 : 1;
}
